/* forecast_json — what a job would need, decided before anything is reserved.
 *
 *     "forecast":{"width":512, "height":512, "components":[...], "text_arena_bytes":..., "unet_arena_bytes":...,
 *                 "vae_arena_bytes":..., "load_scratch_bytes":..., "resident_peak_bytes":..., "phased_peak_bytes":...,
 *                 "levels":[{"manner":"all components resident", "budget_bytes":..., "peak_bytes":..., "work":1.0},
 *                           ...],
 *                 "unet_flop":..., "vae_flop":..., "fits":true, "verdict":"..."},
 *     "budget":{"bytes":..., "reason":"..."}
 *
 * components: component_json.h. levels go from the most bytes to the least; work is a level's arithmetic by that of
 * the first.
 */
#ifndef FRONT_FORECAST_JSON_H
#define FRONT_FORECAST_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void forecast_json_add(json_t *answer, const struct dr_forecast *forecast);

#endif
