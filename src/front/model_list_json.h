/* model_list_json — the models in the model directories.
 *
 *     "model_dirs":"...", "models":[{"name":"sd15", "family":"sd15", "bytes":..., "vae":"its own", "packs":true,
 *                                    "path":"...", "problem":"..."}, ...]
 *
 * A model that cannot be read has its problem, and family, bytes, vae and packs are left out.
 */
#ifndef FRONT_MODEL_LIST_JSON_H
#define FRONT_MODEL_LIST_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void model_list_json_add(json_t *answer, const struct dr_model_list *list);

#endif
