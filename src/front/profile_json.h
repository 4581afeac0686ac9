/* profile_json — where the time of a job's networks went.
 *
 *     "profile":[{"network":"unet", "runs":20, "flop":..., "ms":..., "bytes":..., "flop_per_ms":...,
 *                 "library_share":0.8, "rows":[{"kind":"conv 3x3", "shape":[n, height, width, channels],
 *                 "in_channels":320, "count":9, "share":0.12, "flop":..., "ms":..., "bytes":..., "flop_per_ms":...,
 *                 "library_share":0.8}, ...]}, ...],
 *     "library_flop_per_ms":...
 *
 * share is of the network's ms; library_share is flop_per_ms by library_flop_per_ms, and left out where that is 0:
 * not measured. flop, ms and bytes are of all runs together.
 */
#ifndef FRONT_PROFILE_JSON_H
#define FRONT_PROFILE_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void profile_json_add(json_t *answer, const struct dr_profile *profile);

#endif
