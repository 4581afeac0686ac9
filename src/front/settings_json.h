/* settings_json — the settings' file and what it says.
 *
 *     "path":"...", "exists":true, "vae":"sharp", "vae_by_model":[{"model":"sd15", "vae":"none"}, ...],
 *     "vae_dir":"...", "warnings":"..."
 *
 * vae, vae_dir and warnings are left out where nothing is said.
 */
#ifndef FRONT_SETTINGS_JSON_H
#define FRONT_SETTINGS_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void settings_json_add(json_t *answer, const struct dr_settings *settings);

#endif
