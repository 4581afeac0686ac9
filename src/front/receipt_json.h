/* receipt_json — what a switch, an unload or a job did to memory.
 *
 *     {"released_bytes":..., "acquired_bytes":..., "dropped_cache_bytes":...,
 *      "before":{"private_bytes":..., "mapped_bytes":..., "kernel_private_bytes":...}, "after":{...},
 *      "ms":12.5, "reason":"..."}
 *
 * private_bytes and mapped_bytes are the ledger's. dropped_cache_bytes and kernel_private_bytes are null where the
 * kernel does not tell.
 */
#ifndef FRONT_RECEIPT_JSON_H
#define FRONT_RECEIPT_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *receipt_json(const struct dr_receipt *receipt);

#endif
