/* model_json — the loaded checkpoint.
 *
 *     {"path":"...", "family":"sd15", "components":[...], "lacks":"no text encoder: give ..."}
 *
 * components: component_json.h. lacks is left out where nothing is missing.
 */
#ifndef FRONT_MODEL_JSON_H
#define FRONT_MODEL_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *model_json(const struct dr_model_info *model);

#endif
