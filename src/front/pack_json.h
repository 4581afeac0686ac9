/* pack_json — the packs in a folder, and what pruning them did.
 *
 *     "folder":"...", "bytes":..., "limit_bytes":..., "limit_reason":"40.0 GiB, the default",
 *     "packs":[{"name":"3f2a...", "source":"vae (bf16) of a.safetensors", "state":"ready", "bytes":...,
 *               "used":"2026-11-25 09:30", "in_use":true, "path":"...", "problem":"..."}, ...]
 *
 *     "verified_count":...
 *
 *     "would_remove":[a pack, ...]
 *
 *     "removed_bytes":..., "removed_count":..., "kept_bytes":..., "kept_count":...,
 *     "in_use_bytes":..., "in_use_count":...
 *
 * used is in local time. problem is left out where there is none, and so is all about packs in use.
 */
#ifndef FRONT_PACK_JSON_H
#define FRONT_PACK_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void pack_json_add_list(json_t *answer, const struct dr_pack_list *list);
/* How many packs were read and found good: all of the list that are complete. */
void pack_json_add_verified(json_t *answer, const struct dr_pack_list *list);
/* What a prune would remove: the packs of the list that go. */
void pack_json_add_plan(json_t *answer, const struct dr_pack_list *list);
void pack_json_add_prune(json_t *answer, const struct dr_pack_prune *prune);

#endif
