/* Sizes of a merge, and the products that it multiplies by. */
#include "base/size.h"
#include "compute/merge_private.h"

size_t merge_take_bytes(size_t *end, size_t bytes)
{
    const size_t start = *end;
    *end = size_align(start + bytes, 64);
    return start;
}

static enum dr_code prepare_term(struct plan *plan, const struct merge *merge,
                                 struct changed *change, int32_t term_idx, size_t *end,
                                 struct dr_error *err)
{
    const struct weight_delta *const delta = change->delta;
    const struct delta_term *const term = &delta->terms[term_idx];
    if (term->full) return DR_OK;
    struct low_rank *const low = plan_record(plan, sizeof *low);
    if (!low) return error_set(err, DR_NOMEM, "no memory for an adapter's record");
    const int32_t rank = delta_term_rank(term);
    const int32_t padded = (int32_t)divide_up(rank, MERGE_RANKS) * MERGE_RANKS;
    low->factor = (struct merge_factor){.delta = delta,
                                        .term = term,
                                        .rank = rank,
                                        .padded = padded,
                                        .type = merge->base->dtype,
                                        .in = merge->base->in,
                                        .taps = merge_taps(merge->base)};
    enum dr_code code = layout_choose(&low->factor.layout, merge->base->dtype, padded,
                                      MERGE_PANEL, err);
    if (code != DR_OK) return code;
    const struct product_shape shape = {.rows = MERGE_TILE,
                                        .result = DTYPE_F32,
                                        .add = merge_is_fast(delta)};
    code =
        product_get(&plan->products, &shape, &low->factor.layout, &low->product, err);
    if (code != DR_OK) return code;
    const size_t wide = (size_t)padded;
    const size_t inner = (size_t)term->down->out;
    low->first_panel = delta->first_row / MERGE_PANEL;
    low->panel_count =
        (delta->first_row + delta->row_count - 1) / MERGE_PANEL - low->first_panel + 1;
    low->up =
        merge_take_bytes(end, (size_t)low->panel_count * low->factor.layout.bytes);
    low->down = merge_take_bytes(end, (size_t)merge->tiles * MERGE_TILE * wide *
                                          dtype_bytes(merge->base->dtype));
    if (term->core)
        low->core = merge_take_bytes(end, (size_t)low->factor.taps * inner * wide * 4);
    change->terms[term_idx] = low;
    return DR_OK;
}

static void size_lane(struct merge *merge)
{
    size_t line = MERGE_TILE, library = 0;
    merge->tiles_of_lane = 1;
    for (size_t i = 0; i < merge->change_count; ++i) {
        const struct changed *const change = &merge->changes[i];
        if (!merge_is_fast(change->delta)) merge->tiles_of_lane = 3;
        for (int k = 0; k < 2; ++k) {
            const struct low_rank *const low = change->terms[k];
            if (!low) continue;
            if ((size_t)low->factor.padded > line) line = (size_t)low->factor.padded;
            if (low->product->scratch_bytes > library)
                library = low->product->scratch_bytes;
        }
    }
    merge->line_bytes = size_align(line * sizeof(float), 64);
    merge->lane_bytes = (size_t)merge->tiles_of_lane * TILE_NUMBERS * sizeof(float) +
                        merge->line_bytes + size_align(library, 64);
}

static void prepare_norm(const struct merge *merge, struct changed *change, size_t *end)
{
    const struct weight *const base = merge->base;
    const size_t inputs = (size_t)merge->tiles * MERGE_TILE;
    const size_t outputs = (size_t)merge->panels * MERGE_PANEL;
    if (change->delta->norm == DELTA_NO_NORM) return;
    const bool of_output = change->delta->norm == DELTA_NORM_OF_OUTPUT;
    change->sums =
        merge_take_bytes(end, of_output ? (size_t)merge->tiles * outputs * 4
                                        : (size_t)merge->panels * inputs * 4);
    change->factors =
        merge_take_bytes(end, (of_output ? outputs : (size_t)base->in) * sizeof(float));
}

enum dr_code merge_size(struct plan *plan, struct merge *merge, size_t start,
                        size_t *end, struct dr_error *err)
{
    const struct weight *const base = merge->base;
    size_t mine = start;
    if (base->kind == WEIGHT_VECTOR) return DR_OK;
    merge->tiles = (int32_t)divide_up((int64_t)base->in * merge_taps(base), MERGE_TILE);
    merge->panels = (int32_t)divide_up(base->out, MERGE_PANEL);
    for (size_t i = 0; i < merge->change_count; ++i) {
        struct changed *const change = &merge->changes[i];
        for (int32_t k = 0; k < change->delta->term_count; ++k) {
            const enum dr_code code = prepare_term(plan, merge, change, k, &mine, err);
            if (code != DR_OK) return code;
        }
        prepare_norm(merge, change, &mine);
    }
    size_lane(merge);
    if (mine > *end) *end = mine;
    return DR_OK;
}
