/* vae_json — the VAE that is active, and why.
 *
 *     {"choice":"automatic", "source":"default", "reason":"...", "active":"base", "name":"built-in", "path":"...",
 *      "digest":"...", "verified":true, "resident":false, "scale_factor":0.18215, "probe":"..."}
 *
 * active is "override" for a VAE that stands in for the checkpoint's own, "base". digest is "" where nothing was read
 * yet, probe "" for the checkpoint's own.
 */
#ifndef FRONT_VAE_JSON_H
#define FRONT_VAE_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *vae_json(const struct dr_vae_info *vae);

#endif
