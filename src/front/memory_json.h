/* memory_json — what the process holds: components, regions, the ledger beside the kernel.
 *
 *     "pid":..., "components":[{"name":"unet", "role":"unet", "state":"resident", "path":"...", "private_bytes":...,
 *                               "mapped_bytes":...}, ...],
 *     "regions":[{"start":..., "bytes":..., "tag":"weights", "component":"unet", "kind":"private"}, ...],
 *     "ledger":{"private_bytes":..., "mapped_bytes":..., "peak_private_bytes":...},
 *     "kernel":{"private_bytes":..., "mapped_resident_bytes":..., "rss_bytes":..., "pss_bytes":...},
 *     "residual":{"total_bytes":..., "image_bytes":..., "heap_bytes":..., "heap_used_bytes":...,
 *                 "heap_retained_bytes":..., "stack_bytes":..., "jit_bytes":..., "shmem_bytes":..., "other_bytes":...,
 *                 "baseline_bytes":...},
 *     "regions_agree":true, "disagreement":"...", "budget":{"bytes":..., "reason":"..."}
 *
 * start is an address. Each figure of kernel and residual is null where the kernel does not tell, and so is
 * regions_agree where nobody knows. disagreement is left out where regions agree.
 */
#ifndef FRONT_MEMORY_JSON_H
#define FRONT_MEMORY_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void memory_json_add(json_t *answer, const struct dr_memory *memory);

/* The member `budget` alone. */
json_t *memory_json_budget(uint64_t bytes, const char *reason);

#endif
