/* settings_json — the settings' file and what it says.
 *
 *     "path":"...", "exists":true, "vae":"sharp", "vae_by_model":[{"model":"sd15", "vae":"none"}, ...],
 *     "by_model":[{"model":"sd15", "size":"512x768", "steps":30, "cfg":7.0, "sampler":"...", "scheduler":"..."}, ...],
 *     "vae_dir":"...", "model":"sd15", "model_dirs":["..."], "output_dir":"...", "styles":"...", "wildcard_dir":"...", "precision":"bf16", "weights":"f16",
 *     "budget_bytes":..., "packs_limit_bytes":..., "size":"...", "steps":..., ..., "warnings":"..."
 *
 * All but path, exists and vae_by_model are left out where nothing is set.
 */
#ifndef FRONT_SETTINGS_JSON_H
#define FRONT_SETTINGS_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void settings_json_add(json_t *answer, const struct dr_settings *settings);

#endif
