/* lora_json — LoRAs: one that was inspected, and those of a directory.
 *
 *     {"lora_dir": "...", "loras": [{"name": "ink", "path": "...", "family": "sd15", "kinds": "LoRA",
 *      "trigger_words": "ink, brush", "base_model": "...", "layer_count": 192, "rank": 32, "bytes": 37000000,
 *      "unknown_count": 0, "problem": ""}, ...], "left_out": "..."}
 *
 * problem is "" for a file that can be used. left_out is left out where nothing was left out.
 */
#ifndef FRONT_LORA_JSON_H
#define FRONT_LORA_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *lora_json(const struct dr_lora_info *info);
/* The members of one, and "kind": "LoRA", to an answer. */
void lora_json_add(json_t *answer, const struct dr_lora_info *info);
void lora_list_json_add(json_t *answer, const struct dr_lora_list *list);

#endif
