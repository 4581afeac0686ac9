/* pack_json — the packs in a folder, and what pruning them did.
 *
 *     "folder":"...", "bytes":..., "packs":[{"source":"vae of a.safetensors", "state":"ready", "bytes":...,
 *                                            "used":"2026-11-25 09:30", "path":"...", "problem":"..."}, ...]
 *
 *     "removed_bytes":..., "removed_count":..., "kept_bytes":..., "kept_count":...
 *
 * used is in local time. problem is left out where there is none.
 */
#ifndef FRONT_PACK_JSON_H
#define FRONT_PACK_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void pack_json_add_list(json_t *answer, const struct dr_pack_list *list);
void pack_json_add_prune(json_t *answer, const struct dr_pack_prune *prune);

#endif
