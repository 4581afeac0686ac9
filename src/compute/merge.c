#include "compute/merge.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "compute/compute.h"
#include "compute/grid.h"
#include "compute/merge_factor.h"
#include "compute/team.h"

/* A low-rank term of one delta. Offsets are in the operator's merge scratch. */
struct low_rank {
    struct merge_factor factor;
    const struct product *product;
    int32_t first_panel, panel_count;
    size_t up, down, core;
};

struct changed {
    const struct weight_delta *delta;
    struct low_rank *terms[2]; /* NULL: full */
    size_t sums;               /* of a norm: squares of each tile, then the factors */
    size_t factors;
};

struct merge {
    struct merge *next;
    struct weight merged;
    const struct weight *base;
    struct changed *changes;
    size_t change_count;
    int32_t tiles, panels;
    size_t lane_bytes; /* of the scratch below */
    bool has_norm;
};

struct merge_set {
    struct merge *first;
    size_t at;    /* of the scratch memory: where the merged weights begin */
    size_t lanes; /* where the lanes' memory begins */
    size_t lane_bytes;
};

enum {
    TILE_NUMBERS = MERGE_TILE * MERGE_PANEL,
    TILES_OF_A_LANE = 3
};

static bool is_fast(const struct weight_delta *delta)
{
    return delta->term_count == 1 && !delta->terms[0].full &&
           delta->norm == DELTA_NO_NORM;
}

/* ---- while a plan is built ---------------------------------------------------------- */

static void use_term(struct plan *plan, const struct delta_term *term)
{
    plan_uses(plan, term->full);
    plan_uses(plan, term->up);
    plan_uses(plan, term->down);
    plan_uses(plan, term->core);
}

static const struct weight_delta *find_deltas(const struct plan *plan,
                                              const struct weight *weight,
                                              size_t *count)
{
    const struct weight_deltas *const deltas = plan->deltas;
    *count = 0;
    for (size_t i = 0; deltas && i < deltas->count; ++i) {
        if (deltas->items[i].target != weight) continue;
        while (i + *count < deltas->count && deltas->items[i + *count].target == weight)
            ++*count;
        return &deltas->items[i];
    }
    return NULL;
}

const struct weight *merge_take(struct plan *plan, const struct weight *weight)
{
    size_t count = 0;
    const struct weight_delta *const deltas =
        weight && !plan_failed(plan) ? find_deltas(plan, weight, &count) : NULL;
    if (!deltas) return weight;
    struct merge *const merge = plan_record(plan, sizeof *merge);
    struct changed *const changes = plan_record(plan, count * sizeof *changes);
    if (!merge || !changes) return weight;
    *merge = (struct merge){.next = plan->taken,
                            .merged = *weight,
                            .base = weight,
                            .changes = changes,
                            .change_count = count};
    merge->merged.region = MERGED_REGION;
    if (weight->layout) (void)weight_store_as(&merge->merged, weight->dtype);
    plan_uses(plan, weight);
    for (size_t i = 0; i < count; ++i) {
        changes[i].delta = &deltas[i];
        for (int32_t k = 0; k < deltas[i].term_count; ++k)
            use_term(plan, &deltas[i].terms[k]);
        plan_uses(plan, deltas[i].magnitude);
        if (deltas[i].norm != DELTA_NO_NORM) merge->has_norm = true;
    }
    plan->taken = merge;
    return &merge->merged;
}

void merge_give(struct plan *plan, struct op *op)
{
    if (!plan->taken) return;
    struct merge_set *const set = plan_record(plan, sizeof *set);
    if (set) *set = (struct merge_set){.first = plan->taken};
    plan->taken = NULL;
    op->merges = set;
}

/* ---- sizes -------------------------------------------------------------------------- */

static size_t take_bytes(size_t *end, size_t bytes)
{
    const size_t start = *end;
    *end = size_align(start + bytes, 64);
    return start;
}

static int32_t window_of(const struct weight *weight)
{
    return weight->kernel_height * weight->kernel_width;
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
                                        .taps = window_of(merge->base)};
    enum dr_code code = layout_choose(&low->factor.layout, merge->base->dtype, padded,
                                      MERGE_PANEL, err);
    if (code != DR_OK) return code;
    const struct product_shape shape = {.rows = MERGE_TILE,
                                        .result = DTYPE_F32,
                                        .add = is_fast(delta)};
    code =
        product_get(&plan->products, &shape, &low->factor.layout, &low->product, err);
    if (code != DR_OK) return code;
    const size_t wide = (size_t)padded;
    const size_t inner = (size_t)term->down->out;
    low->first_panel = delta->first_row / MERGE_PANEL;
    low->panel_count =
        (delta->first_row + delta->row_count - 1) / MERGE_PANEL - low->first_panel + 1;
    low->up = take_bytes(end, (size_t)low->panel_count * low->factor.layout.bytes);
    low->down = take_bytes(end, (size_t)merge->tiles * MERGE_TILE * wide *
                                    dtype_bytes(merge->base->dtype));
    if (term->core)
        low->core = take_bytes(end, (size_t)low->factor.taps * inner * wide * 4);
    change->terms[term_idx] = low;
    return DR_OK;
}

/* Of a lane: three tiles, a line of a matrix, and what the library takes. */
static size_t lane_bytes_of(const struct merge *merge)
{
    size_t line = MERGE_TILE, library = 0;
    for (size_t i = 0; i < merge->change_count; ++i)
        for (int k = 0; k < 2; ++k) {
            const struct low_rank *const low = merge->changes[i].terms[k];
            if (!low) continue;
            if ((size_t)low->factor.padded > line) line = (size_t)low->factor.padded;
            if (low->product->scratch_bytes > library)
                library = low->product->scratch_bytes;
        }
    return TILES_OF_A_LANE * TILE_NUMBERS * sizeof(float) +
           size_align(line * sizeof(float), 64) + size_align(library, 64);
}

static size_t line_bytes_of(const struct merge *merge)
{
    size_t line = MERGE_TILE;
    for (size_t i = 0; i < merge->change_count; ++i)
        for (int k = 0; k < 2; ++k)
            if (merge->changes[i].terms[k] &&
                (size_t)merge->changes[i].terms[k]->factor.padded > line)
                line = (size_t)merge->changes[i].terms[k]->factor.padded;
    return size_align(line * sizeof(float), 64);
}

static void prepare_norm(const struct merge *merge, struct changed *change, size_t *end)
{
    const struct weight *const base = merge->base;
    const size_t inputs = (size_t)merge->tiles * MERGE_TILE;
    const size_t outputs = (size_t)merge->panels * MERGE_PANEL;
    if (change->delta->norm == DELTA_NO_NORM) return;
    const bool of_output = change->delta->norm == DELTA_NORM_OF_OUTPUT;
    change->sums = take_bytes(end, of_output ? (size_t)merge->tiles * outputs * 4
                                             : (size_t)merge->panels * inputs * 4);
    change->factors =
        take_bytes(end, (of_output ? outputs : (size_t)base->in) * sizeof(float));
}

/* The parts that only one merge uses at a time lie at `start`; *end: where the longest ends. */
static enum dr_code prepare_merge(struct plan *plan, struct merge *merge, size_t start,
                                  size_t *end, struct dr_error *err)
{
    const struct weight *const base = merge->base;
    size_t mine = start;
    if (base->kind == WEIGHT_VECTOR) return DR_OK;
    merge->tiles = (int32_t)divide_up((int64_t)base->in * window_of(base), MERGE_TILE);
    merge->panels = (int32_t)divide_up(base->out, MERGE_PANEL);
    for (size_t i = 0; i < merge->change_count; ++i) {
        struct changed *const change = &merge->changes[i];
        for (int32_t k = 0; k < change->delta->term_count; ++k) {
            const enum dr_code code = prepare_term(plan, merge, change, k, &mine, err);
            if (code != DR_OK) return code;
        }
        prepare_norm(merge, change, &mine);
    }
    merge->lane_bytes = lane_bytes_of(merge);
    if (mine > *end) *end = mine;
    return DR_OK;
}

enum dr_code merge_prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct merge_set *const set = op->merges;
    if (!set) return DR_OK;
    size_t end = size_align(op->scratch_bytes, 64);
    set->at = end;
    for (struct merge *merge = set->first; merge; merge = merge->next)
        merge->merged.offset = take_bytes(&end, merge->merged.bytes) - set->at;
    const size_t shared = end;
    for (struct merge *merge = set->first; merge; merge = merge->next) {
        const enum dr_code code = prepare_merge(plan, merge, shared, &end, err);
        if (code != DR_OK) return code;
        if (merge->lane_bytes > set->lane_bytes) set->lane_bytes = merge->lane_bytes;
    }
    set->lanes = end;
    op->scratch_bytes = end + set->lane_bytes * (size_t)compute_thread_count();
    return DR_OK;
}

/* ---- running ------------------------------------------------------------------------ */

struct run {
    const struct plan *plan;
    const struct merge_set *set;
    const struct merge *merge;
    unsigned char *scratch;
    bool measures; /* squares for norms, not the weight */
    atomic_bool failed;
};

struct unit {
    int32_t panel, tile;
    int32_t first_out, outs, first_in, ins;
    float *acc, *made, *other;
    unsigned char *library;
};

static unsigned char *lane_of(const struct run *run, int lane)
{
    return run->scratch + run->set->lanes + (size_t)lane * run->set->lane_bytes;
}

static struct factor_matrix matrix_of(const struct run *run,
                                      const struct weight *weight)
{
    return (struct factor_matrix){.data = plan_weight(run->plan, weight),
                                  .type = weight->stored,
                                  .columns = (size_t)weight->in};
}

/* ---- factors ---- */

static const struct low_rank *low_rank_at(const struct merge *merge, int64_t i)
{
    return merge->changes[i / 2].terms[i % 2];
}

/* Task: of term i / taps the core's tap. */
static void make_core(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const int64_t taps = window_of(run->merge->base);
    const struct low_rank *const low = low_rank_at(run->merge, task_idx / taps);
    if (!low || !low->factor.term->core) return;
    const int32_t tap = (int32_t)(task_idx % taps);
    const struct factor_matrix core = matrix_of(run, low->factor.term->core);
    const size_t numbers =
        (size_t)low->factor.term->down->out * (size_t)low->factor.padded;
    factor_make_core(&low->factor, &core, tap,
                     (float *)(void *)(run->scratch + low->core) +
                         (size_t)tap * numbers);
}

/* Task: of a term one panel of up, or one tile of down. */
static void make_factor(void *context, int64_t task_idx, int lane)
{
    const struct run *const run = context;
    const struct merge *const merge = run->merge;
    const int64_t parts = (int64_t)merge->panels + merge->tiles;
    const struct low_rank *const low = low_rank_at(merge, task_idx / parts);
    if (!low) return;
    const struct merge_factor *const factor = &low->factor;
    const int32_t part = (int32_t)(task_idx % parts);
    float *const line =
        (float *)(void *)lane_of(run, lane) + TILES_OF_A_LANE * TILE_NUMBERS;
    if (part < merge->panels) {
        if (part < low->first_panel || part >= low->first_panel + low->panel_count)
            return;
        const struct factor_matrix up = matrix_of(run, factor->term->up);
        const float scale = is_fast(factor->delta)
                                ? factor->delta->scale * factor->delta->strength
                                : 1.0F;
        factor_make_up(factor, &up, scale, part * MERGE_PANEL, line,
                       run->scratch + low->up +
                           (size_t)(part - low->first_panel) * factor->layout.bytes);
        return;
    }
    const struct factor_matrix down = matrix_of(run, factor->term->down);
    const int32_t tile = part - merge->panels;
    const size_t tile_bytes =
        (size_t)MERGE_TILE * (size_t)factor->padded * dtype_bytes(factor->type);
    factor_make_down(
        factor, &down,
        factor->term->core ? (const float *)(void *)(run->scratch + low->core) : NULL,
        tile * MERGE_TILE, line, run->scratch + low->down + (size_t)tile * tile_bytes);
}

/* ---- tiles of the packed weight ---- */

/* type: that of data. */
static void copy_slowly(const struct weight_layout *layout, const struct unit *unit,
                        unsigned char *data, enum dtype type, float *tile, bool writes)
{
    for (int32_t k = 0; k < unit->ins; ++k)
        for (int32_t o = 0; o < unit->outs; ++o) {
            const size_t at = layout_in(layout, unit->first_in + k) +
                              layout_out(layout, unit->first_out + o);
            float *const number = &tile[k * MERGE_PANEL + o];
            unsigned char *const place = data + at * dtype_bytes(type);
            if (!writes)
                dtype_to_f32(place, type, number, 1);
            else if (type == DTYPE_BF16)
                dtype_to_bf16(number, DTYPE_F32, (uint16_t *)(void *)place, 1);
            else
                memcpy(place, number, sizeof *number);
        }
}

/* A base in blocks (grid.h): some lines of its panel are made in the operand's type, and read from there. */
static void copy_blocks(const struct run *run, const struct unit *unit,
                        const unsigned char *data, const struct layout_lines *lines,
                        float *tile)
{
    enum {
        LINES = 8
    };
    const struct weight *const base = run->merge->base;
    const int32_t side = lines->paired ? 2 : 1;
    float made[LINES * 2 * MERGE_PANEL]; /* holds either type */
    for (int32_t in = 0; in < unit->ins; in += LINES * side) {
        const int32_t left = unit->ins - in;
        const int32_t count =
            left < LINES * side ? (int32_t)divide_up(left, side) : LINES;
        grid_make_lines(base, data, run->plan->kernels, unit->first_out,
                        unit->first_in + in, count, made);
        const struct kernel_lines arguments = {
            .lines = (unsigned char *)made,
            .tile = tile + (size_t)in * MERGE_PANEL,
            .type = base->dtype,
            .paired = lines->paired,
            .line_count = (size_t)count,
            .line_step = lines->in_step,
            .tile_step = MERGE_PANEL,
            .width = (size_t)unit->outs,
        };
        run->plan->kernels->read_lines(&arguments);
    }
}

/* Between the packed weight and a tile [MERGE_TILE][64] of float32. The base is read as it is stored, the merged
 * weight written in its own type. */
static void copy_tile(const struct run *run, const struct unit *unit,
                      unsigned char *data, float *tile, bool writes)
{
    const struct weight_layout *const layout = run->merge->base->layout;
    const enum dtype type = writes ? layout->type : run->merge->base->stored;
    struct layout_lines lines;
    if (!layout_lines(layout, &lines) ||
        (lines.paired && type != DTYPE_BF16 && !dtype_is_block(type))) {
        copy_slowly(layout, unit, data, type, tile, writes);
        return;
    }
    if (!writes && dtype_is_block(type)) {
        copy_blocks(run, unit, data, &lines, tile);
        return;
    }
    const int32_t side = lines.paired ? 2 : 1;
    const int32_t wide = (int32_t)lines.panel_out;
    for (int32_t o = 0; o < unit->outs;) {
        const int32_t output = unit->first_out + o;
        const int32_t left = wide - output % wide;
        const int32_t count = left < unit->outs - o ? left : unit->outs - o;
        const size_t at = (size_t)(output / wide) * lines.panel_step +
                          (size_t)(output % wide) * (size_t)side +
                          (size_t)(unit->first_in / side) * lines.in_step;
        const struct kernel_lines arguments = {
            .lines = data + at * dtype_bytes(type),
            .tile = tile + o,
            .type = type,
            .paired = lines.paired,
            .line_count = (size_t)divide_up(unit->ins, side),
            .line_step = lines.in_step,
            .tile_step = MERGE_PANEL,
            .width = (size_t)count,
        };
        if (writes)
            run->plan->kernels->write_lines(&arguments);
        else
            run->plan->kernels->read_lines(&arguments);
        o += count;
    }
}

static unsigned char *base_data(const struct run *run)
{
    union {
        const void *borrowed;
        unsigned char *data;
    } either = {.borrowed = plan_weight(run->plan, run->merge->base)};
    return either.data; /* copy_tile only reads it */
}

/* ---- terms ---- */

/* The delta's outputs within the unit's. */
static void rows_of(const struct weight_delta *delta, const struct unit *unit,
                    int32_t *first, int32_t *end)
{
    *first = delta->first_row - unit->first_out;
    *end = *first + delta->row_count;
    if (*first < 0) *first = 0;
    if (*end > unit->outs) *end = unit->outs;
}

static bool multiply(const struct run *run, const struct low_rank *low,
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
static void spread(const struct run *run, const struct weight_delta *delta,
                   const struct delta_term *term, const struct unit *unit, float *tile,
                   bool multiplies)
{
    const struct weight *const base = run->merge->base;
    const struct factor_matrix full = matrix_of(run, term->full);
    const int32_t window = window_of(base);
    const size_t taps = term->has_taps ? (size_t)window : 1;
    int32_t first, end;
    rows_of(delta, unit, &first, &end);
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

static bool make_term(const struct run *run, const struct changed *change, int32_t k,
                      const struct unit *unit, int lane, float *tile)
{
    if (change->terms[k]) return multiply(run, change->terms[k], unit, lane, tile);
    memset(tile, 0, TILE_NUMBERS * sizeof *tile);
    spread(run, change->delta, &change->delta->terms[k], unit, tile, false);
    return true;
}

/* D of a delta, to unit->made. */
static bool make_delta(const struct run *run, const struct changed *change,
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

/* ---- norms ---- */

static float *numbers_at(const struct run *run, size_t offset)
{
    return (float *)(void *)(run->scratch + offset);
}

/* The squares of base + scale * D; made: D, other: the base. */
static void add_squares(const struct run *run, const struct changed *change,
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
    rows_of(delta, unit, &first, &end);
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

/* magnitude / norm; what is left of an empty norm is 0. */
static void make_norm_factors(const struct run *run, const struct changed *change)
{
    const struct weight_delta *const delta = change->delta;
    const struct merge *const merge = run->merge;
    const size_t outputs = (size_t)merge->panels * MERGE_PANEL;
    const size_t inputs = (size_t)merge->tiles * MERGE_TILE;
    const struct factor_matrix magnitude = matrix_of(run, delta->magnitude);
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
            for (int32_t tap = 0; tap < window_of(merge->base); ++tap)
                for (int32_t panel = first_panel; panel <= last_panel; ++panel)
                    sum +=
                        (double)sums[(size_t)panel * inputs +
                                     (size_t)tap * (size_t)merge->base->in + (size_t)i];
        const int32_t at = of_output ? i : delta->first_column + i;
        const float number = factor_number(&magnitude, 0, (size_t)at);
        factors[i] = sum > 0 ? number / (float)sqrt(sum) : 0.0F;
    }
}

/* acc += strength * (factor * (base + scale * D) - base). */
static void add_normed(const struct run *run, const struct changed *change,
                       const struct unit *unit)
{
    const struct weight_delta *const delta = change->delta;
    const float *const factors = numbers_at(run, change->factors);
    const bool of_output = delta->norm == DELTA_NORM_OF_OUTPUT;
    int32_t first, end;
    rows_of(delta, unit, &first, &end);
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

/* ---- units ---- */

static bool is_beside(const struct weight_delta *delta, const struct unit *unit)
{
    return delta->first_row >= unit->first_out + unit->outs ||
           delta->first_row + delta->row_count <= unit->first_out;
}

static bool add_change(const struct run *run, const struct changed *change,
                       const struct unit *unit, int lane)
{
    const struct weight_delta *const delta = change->delta;
    if (is_beside(delta, unit)) return true;
    if (is_fast(delta))
        return run->measures || multiply(run, change->terms[0], unit, lane, unit->acc);
    if (run->measures && delta->norm == DELTA_NO_NORM) return true;
    if (!make_delta(run, change, unit, lane)) return false;
    if (delta->norm == DELTA_NO_NORM) {
        const float scale = delta->scale * delta->strength;
        int32_t first, end;
        rows_of(delta, unit, &first, &end);
        for (int32_t k = 0; k < unit->ins; ++k)
            for (int32_t o = first; o < end; ++o)
                unit->acc[k * MERGE_PANEL + o] +=
                    scale * unit->made[k * MERGE_PANEL + o];
        return true;
    }
    copy_tile(run, unit, base_data(run), unit->other, false);
    if (run->measures)
        add_squares(run, change, unit);
    else
        add_normed(run, change, unit);
    return true;
}

/* Task: one tile of one panel. */
static void run_unit(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    const struct merge *const merge = run->merge;
    const struct weight *const base = merge->base;
    struct unit unit = {.panel = (int32_t)(task_idx / merge->tiles),
                        .tile = (int32_t)(task_idx % merge->tiles)};
    unit.first_out = unit.panel * MERGE_PANEL;
    unit.first_in = unit.tile * MERGE_TILE;
    const int32_t outs = base->out - unit.first_out;
    const int32_t ins = base->in * window_of(base) - unit.first_in;
    unit.outs = outs < MERGE_PANEL ? outs : MERGE_PANEL;
    unit.ins = ins < MERGE_TILE ? ins : MERGE_TILE;
    unit.acc = (float *)(void *)lane_of(run, lane);
    unit.made = unit.acc + TILE_NUMBERS;
    unit.other = unit.made + TILE_NUMBERS;
    unit.library = (unsigned char *)(unit.other + TILE_NUMBERS) + line_bytes_of(merge);
    if (!run->measures) copy_tile(run, &unit, base_data(run), unit.acc, false);
    for (size_t i = 0; i < merge->change_count; ++i)
        if (!add_change(run, &merge->changes[i], &unit, lane))
            atomic_store(&run->failed, true);
    if (!run->measures)
        copy_tile(run, &unit, run->scratch + run->set->at + merge->merged.offset,
                  unit.acc, true);
}

static void merge_vector(const struct run *run)
{
    const struct merge *const merge = run->merge;
    const float *const base = plan_weight(run->plan, merge->base);
    float *const merged =
        (float *)(void *)(run->scratch + run->set->at + merge->merged.offset);
    memcpy(merged, base, merge->base->bytes);
    for (size_t i = 0; i < merge->change_count; ++i) {
        const struct weight_delta *const delta = merge->changes[i].delta;
        const struct factor_matrix full = matrix_of(run, delta->terms[0].full);
        for (int32_t k = 0; k < delta->row_count; ++k)
            merged[delta->first_row + k] +=
                delta->scale * delta->strength * factor_number(&full, 0, (size_t)k);
    }
}

static void merge_matrix(struct run *run)
{
    const struct merge *const merge = run->merge;
    const int64_t terms = 2 * (int64_t)merge->change_count;
    const int64_t units = (int64_t)merge->panels * merge->tiles;
    team_run(terms * window_of(merge->base), make_core, run);
    team_run(terms * (merge->panels + merge->tiles), make_factor, run);
    if (merge->base->layout->padded)
        memset(run->scratch + run->set->at + merge->merged.offset, 0,
               merge->merged.bytes);
    if (merge->has_norm) {
        run->measures = true;
        team_run(units, run_unit, run);
        for (size_t i = 0; i < merge->change_count; ++i)
            if (merge->changes[i].delta->norm != DELTA_NO_NORM)
                make_norm_factors(run, &merge->changes[i]);
        run->measures = false;
    }
    team_run(units, run_unit, run);
}

bool merge_run(struct plan *plan, const struct op *op)
{
    const struct merge_set *const set = op->merges;
    if (!set) return true;
    struct run run = {.plan = plan, .set = set, .scratch = plan_scratch(plan, op)};
    bool well = true;
    for (const struct merge *merge = set->first; merge; merge = merge->next) {
        run.merge = merge;
        if (merge->base->kind == WEIGHT_VECTOR)
            merge_vector(&run);
        else
            merge_matrix(&run);
        well = well && !atomic_load(&run.failed);
    }
    plan->merged = run.scratch + set->at;
    return well;
}
