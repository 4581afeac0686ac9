/* A tile of a delta. */
#include <string.h>

#include "compute/merge_private.h"

bool merge_multiply(const struct merging *run, const struct low_rank *low,
                    const struct unit *unit, int lane, float *result)
{
    const size_t tile_bytes =
        (size_t)MERGE_TILE * (size_t)low->factor.padded * dtype_bytes(low->factor.type);
    const struct product_call call = {
        .source = run->scratch + low->down + (size_t)unit->tile * tile_bytes,
        .operand = run->scratch + low->up +
                   (size_t)(unit->panel - low->first_panel) * low->factor.layout.bytes,
        .result = result,
        .scratch = unit->library,
    };
    return product_run(low->product, lane, &call);
}

/* A full term's numbers, in their places of a tile; or its product with what is there. */
static void spread(const struct merging *run, const struct weight_delta *delta,
                   const struct delta_term *term, const struct unit *unit, float *tile,
                   bool multiplies)
{
    const struct weight *const base = run->merge->base;
    const struct factor_matrix full = merge_matrix_of(run, term->full);
    const int32_t window = merge_taps(base);
    const size_t taps = term->has_taps ? (size_t)window : 1;
    int32_t first, end;
    merge_rows_of(delta, unit, &first, &end);
    for (int32_t o = first; o < end; ++o) {
        const size_t row = delta_at(term->out, unit->first_out + o - delta->first_row);
        for (int32_t k = 0; k < unit->ins; ++k) {
            const int32_t packed = unit->first_in + k;
            const size_t input =
                delta_at(term->in, delta->first_column + packed % base->in);
            const size_t tap = taps > 1 ? (size_t)(packed / base->in) : 0;
            const float number = factor_number(&full, row, input * taps + tap);
            float *const at = &tile[k * MERGE_PANEL + o];
            *at = multiplies ? *at * number : number;
        }
    }
}

static bool make_term(const struct merging *run, const struct changed *change,
                      int32_t k, const struct unit *unit, int lane, float *tile)
{
    if (change->terms[k])
        return merge_multiply(run, change->terms[k], unit, lane, tile);
    memset(tile, 0, TILE_NUMBERS * sizeof *tile);
    spread(run, change->delta, &change->delta->terms[k], unit, tile, false);
    return true;
}

bool merge_make_delta(const struct merging *run, const struct changed *change,
                      const struct unit *unit, int lane)
{
    const struct weight_delta *const delta = change->delta;
    int32_t low = delta->term_count > 1 && !change->terms[0] ? 1 : 0;
    if (!make_term(run, change, low, unit, lane, unit->made)) return false;
    if (delta->term_count < 2) return true;
    const int32_t rest = 1 - low;
    if (!change->terms[rest]) {
        spread(run, delta, &delta->terms[rest], unit, unit->made, true);
        return true;
    }
    if (!make_term(run, change, rest, unit, lane, unit->other)) return false;
    for (int32_t i = 0; i < TILE_NUMBERS; ++i)
        unit->made[i] *= unit->other[i];
    return true;
}
