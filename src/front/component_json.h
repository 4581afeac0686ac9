/* component_json — the components of a checkpoint, as its file has them.
 *
 *     [{"role":"unet", "tensor_count":686, "parameter_count":..., "stored_types":"F16", "stored_bytes":...,
 *       "weights_bytes":..., "digest":"..."}, ...]
 *
 * parameter_count, stored_types, weights_bytes (in memory, when loaded) and digest are left out where they are not
 * known.
 */
#ifndef FRONT_COMPONENT_JSON_H
#define FRONT_COMPONENT_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *component_json_list(const struct dr_component_info *list, int32_t count);

#endif
