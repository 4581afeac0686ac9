/* vae_list_json — the VAEs that are there for the loaded model, and what each choice would mean.
 *
 *     "checkpoint":"...", "vae_dir":"...",
 *     "vaes":[{"choice":"sharp", "active":false, "usable":true, "family":"sd15", "stored_types":"F16",
 *              "stored_bytes":..., "format":"safetensors", "found":"VAE folder", "path":"...", "same_as":"",
 *              "digest":"", "fit":"whole"}, ...],
 *     "choices":[{"choice":"automatic", "source":"default", "active":"base", "path":"", "reason":"..."}, ...],
 *     "left_out_count":3, "left_out":"..."
 *
 * usable is null where the file is whole, but was not tried with the model. same_as is the choice of an earlier VAE that is the same one, "" for none. active of a choice is "override", "base",
 * or the code that a request for it would fail with. The last two are left out where nothing was left out.
 */
#ifndef FRONT_VAE_LIST_JSON_H
#define FRONT_VAE_LIST_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void vae_list_json_add(json_t *answer, const struct dr_vae_list *list);

#endif
