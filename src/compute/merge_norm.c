/* DoRA's norms: the squares of a base with its delta, and what they make of both. */
#include <math.h>
#include <string.h>

#include "compute/merge_private.h"

static float *numbers_at(const struct merging *run, size_t offset)
{
    return (float *)(void *)(run->scratch + offset);
}

void merge_add_squares(const struct merging *run, const struct changed *change,
                       const struct unit *unit)
{
    const struct weight_delta *const delta = change->delta;
    const struct merge *const merge = run->merge;
    const bool of_output = delta->norm == DELTA_NORM_OF_OUTPUT;
    const size_t outputs = (size_t)merge->panels * MERGE_PANEL;
    const size_t inputs = (size_t)merge->tiles * MERGE_TILE;
    float *const sums = numbers_at(run, change->sums);
    float *const of_outputs = sums + (size_t)unit->tile * outputs + unit->first_out;
    float *const of_inputs = sums + (size_t)unit->panel * inputs + unit->first_in;
    int32_t first, end;
    merge_rows_of(delta, unit, &first, &end);
    if (of_output) memset(of_outputs, 0, (size_t)unit->outs * sizeof *of_outputs);
    for (int32_t k = 0; k < unit->ins; ++k) {
        float sum = 0;
        for (int32_t o = first; o < end; ++o) {
            const int32_t at = k * MERGE_PANEL + o;
            const float number = unit->other[at] + delta->scale * unit->made[at];
            sum += number * number;
            if (of_output) of_outputs[o] += number * number;
        }
        if (!of_output) of_inputs[k] = sum;
    }
}

/* What is left of an empty norm is 0. */
void merge_make_norm_factors(const struct merging *run, const struct changed *change)
{
    const struct weight_delta *const delta = change->delta;
    const struct merge *const merge = run->merge;
    const size_t outputs = (size_t)merge->panels * MERGE_PANEL;
    const size_t inputs = (size_t)merge->tiles * MERGE_TILE;
    const struct factor_matrix magnitude = merge_matrix_of(run, delta->magnitude);
    const float *const sums = numbers_at(run, change->sums);
    float *const factors = numbers_at(run, change->factors);
    const bool of_output = delta->norm == DELTA_NORM_OF_OUTPUT;
    const int32_t count = of_output ? delta->row_count : merge->base->in;
    /* Panels beside the delta were not measured. */
    const int32_t first_panel = delta->first_row / MERGE_PANEL;
    const int32_t last_panel = (delta->first_row + delta->row_count - 1) / MERGE_PANEL;
    for (int32_t i = 0; i < count; ++i) {
        double sum = 0;
        if (of_output)
            for (int32_t tile = 0; tile < merge->tiles; ++tile)
                sum += (double)
                    sums[(size_t)tile * outputs + (size_t)(delta->first_row + i)];
        else
            for (int32_t tap = 0; tap < merge_taps(merge->base); ++tap)
                for (int32_t panel = first_panel; panel <= last_panel; ++panel)
                    sum +=
                        (double)sums[(size_t)panel * inputs +
                                     (size_t)tap * (size_t)merge->base->in + (size_t)i];
        const int32_t at = of_output ? i : delta->first_column + i;
        const float number = factor_number(&magnitude, 0, (size_t)at);
        factors[i] = sum > 0 ? number / (float)sqrt(sum) : 0.0F;
    }
}

void merge_add_normed(const struct merging *run, const struct changed *change,
                      const struct unit *unit)
{
    const struct weight_delta *const delta = change->delta;
    const float *const factors = numbers_at(run, change->factors);
    const bool of_output = delta->norm == DELTA_NORM_OF_OUTPUT;
    int32_t first, end;
    merge_rows_of(delta, unit, &first, &end);
    for (int32_t k = 0; k < unit->ins; ++k)
        for (int32_t o = first; o < end; ++o) {
            const int32_t at = k * MERGE_PANEL + o;
            const float base = unit->other[at];
            const float factor =
                factors[of_output ? unit->first_out + o - delta->first_row
                                  : (unit->first_in + k) % run->merge->base->in];
            unit->acc[at] += delta->strength *
                             (factor * (base + delta->scale * unit->made[at]) - base);
        }
}
