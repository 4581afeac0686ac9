#include "compute/merge.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"
#include "compute/merge_private.h"
#include "compute/team.h"

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

enum dr_code merge_prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct merge_set *const set = op->merges;
    int64_t tasks = 1;
    if (!set) return DR_OK;
    size_t end = size_align(op->scratch_bytes, 64);
    set->at = end;
    for (struct merge *merge = set->first; merge; merge = merge->next)
        merge->merged.offset = merge_take_bytes(&end, merge->merged.bytes) - set->at;
    const size_t shared = end;
    for (struct merge *merge = set->first; merge; merge = merge->next) {
        const enum dr_code code = merge_size(plan, merge, shared, &end, err);
        if (code != DR_OK) return code;
        const int64_t units = (int64_t)merge->panels * merge->tiles;
        if (merge->lane_bytes > set->lane_bytes) set->lane_bytes = merge->lane_bytes;
        if (units > tasks) tasks = units;
    }
    set->lanes = end;
    set->lane_count = team_lanes(tasks, set->lane_bytes);
    op->scratch_bytes = end + set->lane_bytes * (size_t)set->lane_count;
    return DR_OK;
}

/* ---- running ------------------------------------------------------------------------ */

static unsigned char *lane_of(const struct merging *run, int lane)
{
    return run->scratch + run->set->lanes + (size_t)lane * run->set->lane_bytes;
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
    const struct merging *const run = context;
    const int64_t taps = merge_taps(run->merge->base);
    const struct low_rank *const low = low_rank_at(run->merge, task_idx / taps);
    if (!low || !low->factor.term->core) return;
    const int32_t tap = (int32_t)(task_idx % taps);
    const struct factor_matrix core = merge_matrix_of(run, low->factor.term->core);
    const size_t numbers =
        (size_t)low->factor.term->down->out * (size_t)low->factor.padded;
    factor_make_core(&low->factor, &core, tap,
                     (float *)(void *)(run->scratch + low->core) +
                         (size_t)tap * numbers);
}

/* Task: of a term one panel of up, or one tile of down. */
static void make_factor(void *context, int64_t task_idx, int lane)
{
    const struct merging *const run = context;
    const struct merge *const merge = run->merge;
    const int64_t parts = (int64_t)merge->panels + merge->tiles;
    const struct low_rank *const low = low_rank_at(merge, task_idx / parts);
    if (!low) return;
    const struct merge_factor *const factor = &low->factor;
    const int32_t part = (int32_t)(task_idx % parts);
    float *const line =
        (float *)(void *)lane_of(run, lane) + merge->tiles_of_lane * TILE_NUMBERS;
    if (part < merge->panels) {
        if (part < low->first_panel || part >= low->first_panel + low->panel_count)
            return;
        const struct factor_matrix up = merge_matrix_of(run, factor->term->up);
        const float scale = merge_is_fast(factor->delta)
                                ? factor->delta->scale * factor->delta->strength
                                : 1.0F;
        factor_make_up(factor, &up, scale, part * MERGE_PANEL, line,
                       run->scratch + low->up +
                           (size_t)(part - low->first_panel) * factor->layout.bytes);
        return;
    }
    const struct factor_matrix down = merge_matrix_of(run, factor->term->down);
    const int32_t tile = part - merge->panels;
    const size_t tile_bytes =
        (size_t)MERGE_TILE * (size_t)factor->padded * dtype_bytes(factor->type);
    factor_make_down(
        factor, &down,
        factor->term->core ? (const float *)(void *)(run->scratch + low->core) : NULL,
        tile * MERGE_TILE, line, run->scratch + low->down + (size_t)tile * tile_bytes);
}

/* ---- units ---- */

static bool is_beside(const struct weight_delta *delta, const struct unit *unit)
{
    return delta->first_row >= unit->first_out + unit->outs ||
           delta->first_row + delta->row_count <= unit->first_out;
}

static bool add_change(const struct merging *run, const struct changed *change,
                       const struct unit *unit, int lane)
{
    const struct weight_delta *const delta = change->delta;
    if (is_beside(delta, unit)) return true;
    if (merge_is_fast(delta))
        return run->measures ||
               merge_multiply(run, change->terms[0], unit, lane, unit->acc);
    if (run->measures && delta->norm == DELTA_NO_NORM) return true;
    if (!merge_make_delta(run, change, unit, lane)) return false;
    if (delta->norm == DELTA_NO_NORM) {
        const float scale = delta->scale * delta->strength;
        int32_t first, end;
        merge_rows_of(delta, unit, &first, &end);
        for (int32_t k = 0; k < unit->ins; ++k)
            for (int32_t o = first; o < end; ++o)
                unit->acc[k * MERGE_PANEL + o] +=
                    scale * unit->made[k * MERGE_PANEL + o];
        return true;
    }
    merge_read_tile(run, unit, unit->other);
    if (run->measures)
        merge_add_squares(run, change, unit);
    else
        merge_add_normed(run, change, unit);
    return true;
}

/* Task: one tile of one panel. */
static void run_unit(void *context, int64_t task_idx, int lane)
{
    struct merging *const run = context;
    const struct merge *const merge = run->merge;
    const struct weight *const base = merge->base;
    struct unit unit = {.panel = (int32_t)(task_idx / merge->tiles),
                        .tile = (int32_t)(task_idx % merge->tiles)};
    unit.first_out = unit.panel * MERGE_PANEL;
    unit.first_in = unit.tile * MERGE_TILE;
    const int32_t outs = base->out - unit.first_out;
    const int32_t ins = base->in * merge_taps(base) - unit.first_in;
    unit.outs = outs < MERGE_PANEL ? outs : MERGE_PANEL;
    unit.ins = ins < MERGE_TILE ? ins : MERGE_TILE;
    unit.acc = (float *)(void *)lane_of(run, lane);
    if (merge->tiles_of_lane == 3) {
        unit.made = unit.acc + TILE_NUMBERS;
        unit.other = unit.made + TILE_NUMBERS;
    }
    unit.library = (unsigned char *)(unit.acc + merge->tiles_of_lane * TILE_NUMBERS) +
                   merge->line_bytes;
    if (!run->measures) merge_read_tile(run, &unit, unit.acc);
    for (size_t i = 0; i < merge->change_count; ++i)
        if (!add_change(run, &merge->changes[i], &unit, lane))
            atomic_store(&run->failed, true);
    if (!run->measures) merge_write_tile(run, &unit);
}

static void merge_vector(const struct merging *run)
{
    const struct merge *const merge = run->merge;
    const float *const base = plan_weight(run->plan, merge->base);
    float *const merged =
        (float *)(void *)(run->scratch + run->set->at + merge->merged.offset);
    memcpy(merged, base, merge->base->bytes);
    for (size_t i = 0; i < merge->change_count; ++i) {
        const struct weight_delta *const delta = merge->changes[i].delta;
        const struct factor_matrix full = merge_matrix_of(run, delta->terms[0].full);
        for (int32_t k = 0; k < delta->row_count; ++k)
            merged[delta->first_row + k] +=
                delta->scale * delta->strength * factor_number(&full, 0, (size_t)k);
    }
}

static void merge_matrix(struct merging *run)
{
    const struct merge *const merge = run->merge;
    const int64_t terms = 2 * (int64_t)merge->change_count;
    const int64_t units = (int64_t)merge->panels * merge->tiles;
    team_run_on(run->set->lane_count, terms * merge_taps(merge->base), make_core, run);
    team_run_on(run->set->lane_count, terms * (merge->panels + merge->tiles),
                make_factor, run);
    if (merge->base->layout->padded)
        memset(run->scratch + run->set->at + merge->merged.offset, 0,
               merge->merged.bytes);
    if (merge->has_norm) {
        run->measures = true;
        team_run_on(run->set->lane_count, units, run_unit, run);
        for (size_t i = 0; i < merge->change_count; ++i)
            if (merge->changes[i].delta->norm != DELTA_NO_NORM)
                merge_make_norm_factors(run, &merge->changes[i]);
        run->measures = false;
    }
    team_run_on(run->set->lane_count, units, run_unit, run);
}

bool merge_run(struct plan *plan, const struct op *op)
{
    const struct merge_set *const set = op->merges;
    if (!set) return true;
    struct merging run = {.plan = plan, .set = set, .scratch = plan_scratch(plan, op)};
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
