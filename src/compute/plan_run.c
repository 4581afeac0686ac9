/* Addresses, and the loop over the operators. */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include <time.h>

#include "base/cancel.h"
#include "compute/compute.h"
#include "compute/group_norm.h"
#include "compute/library.h"
#include "compute/merge.h"
#include "compute/plan_band.h"

/* The first region that an operator reads and the list lacks; -1: none. */
static int32_t missing_region(const struct plan *plan, const void *const regions[],
                              int32_t region_count)
{
    for (int32_t i = 0; i < plan_region_count(plan); ++i)
        if (plan->regions[i].used && (i >= region_count || !regions[i])) return i;
    return -1;
}

enum dr_code plan_bind(struct plan *plan, void *arena, const void *const regions[],
                       int32_t region_count, struct dr_error *err)
{
    assert(plan->phase != PLAN_BUILDING && !plan->is_borrowed);
    const int32_t missing = missing_region(plan, regions, region_count);
    if ((uintptr_t)arena % ARENA_ALIGN != 0 || (!arena && plan->bytes > 0))
        return error_set(err, DR_BAD_INPUT, "%s: its arena must be a multiple of %d",
                         plan->name, ARENA_ALIGN);
    if (missing >= 0)
        return error_set(err, DR_BAD_INPUT,
                         "%s: it reads weights in region %d, which is not among the %d "
                         "that it was given",
                         plan->name, (int)missing, (int)region_count);
    plan->arena = arena;
    for (int32_t i = 0; i < plan_region_count(plan); ++i)
        plan->regions[i].data = i < region_count ? regions[i] : NULL;
    plan->phase = PLAN_BOUND;
    plan->has_steady = false;
    return DR_OK;
}

void *plan_address(const struct plan *plan, struct value value)
{
    const struct plan_buffer *const buffer =
        &plan->buffers[plan->values[value.id].buffer];
    return plan->arena + plan->items[plan->buffers[buffer->owner].item].offset;
}

int32_t plan_first_line(const struct plan *plan, struct value value)
{
    const struct plan_buffer *const buffer =
        &plan->buffers[plan->values[value.id].buffer];
    return buffer->banded ? buffer->window.first : 0;
}

void *plan_row(const struct plan *plan, struct value value, int64_t row)
{
    const struct plan_value *const v = &plan->values[value.id];
    const int64_t first = (int64_t)plan_first_line(plan, value) * v->shape.w;
    return (unsigned char *)plan_address(plan, value) +
           (size_t)(row - first) * (size_t)v->shape.c * dtype_bytes(v->dtype);
}

void *plan_scratch(const struct plan *plan, const struct op *op)
{
    return plan->arena + plan->items[op->scratch_item].offset;
}

const void *plan_weight(const struct plan *plan, const struct weight *weight)
{
    if (weight->region == MERGED_REGION) return plan->merged + weight->offset;
    assert((size_t)weight->region < plan->region_count &&
           plan->regions[weight->region].used);
    return plan->regions[weight->region].data + weight->offset;
}

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool run_op(struct plan *plan, int32_t i, struct rows rows)
{
    const struct op *const op = &plan->ops[i];
    if (!plan->profile) return merge_run(plan, op) && op->class->run(plan, op, rows);
    const double before = now_seconds();
    const bool well = merge_run(plan, op) && op->class->run(plan, op, rows);
    plan->profiles[i].seconds += now_seconds() - before;
    return well;
}

void plan_run_measure(struct plan *plan, int32_t i, int64_t first, int64_t end)
{
    const double before = plan->profile ? now_seconds() : 0;
    group_norm_measure(plan, &plan->ops[i], first, end);
    if (plan->profile) plan->profiles[i].seconds += now_seconds() - before;
}

bool plan_run_rows(struct plan *plan, int32_t i, struct rows rows,
                   struct plan_runner *runner)
{
    const struct op *const op = &plan->ops[i];
    const struct plan_progress *const progress = runner->progress;
    if (progress && cancel_requested(progress->cancel)) {
        runner->code =
            error_set(runner->err, DR_CANCELLED, "%s: cancelled", plan->name);
        return false;
    }
    if (!run_op(plan, i, rows)) {
        runner->code =
            error_set(runner->err, DR_FAILED, "%s: oneDNN failed in operator %d (%s)",
                      plan->name, (int)i, op->class->kind);
        return false;
    }
    runner->done += op_flop_of(plan, op, rows);
    if (progress && progress->report)
        progress->report(progress->cookie,
                         plan->flop > 0 ? fmin(runner->done / plan->flop, 1.0)
                                        : (double)(i + 1) / (double)plan->op_count);
    return true;
}

enum dr_code plan_run(struct plan *plan, const struct plan_progress *progress,
                      struct dr_error *err)
{
    assert(plan->phase == PLAN_BOUND && !plan->is_borrowed);
    assert(plan->thread_count == compute_thread_count());
    const enum dr_code code = library_room(plan->name, err);
    if (code != DR_OK) return code;
    omp_set_num_threads(compute_thread_count()); /* of the calling thread */
    struct plan_runner runner = {.progress = progress, .err = err};
    for (size_t i = 0; i < plan->step_count; ++i) {
        const struct op *const op = &plan->ops[plan->steps[i].op];
        if (plan->has_steady && op->steady)
            runner.done += op->run_flop;
        else if (!plan_band_run(plan, &plan->steps[i], &runner))
            return runner.code;
    }
    plan->has_steady = plan->keeps_steady;
    for (size_t i = 0; plan->profile && i < plan->op_count; ++i)
        ++plan->profiles[i].runs;
    return DR_OK;
}

const struct plan_op_profile *plan_profile(const struct plan *plan, size_t *count)
{
    assert(plan->phase != PLAN_BUILDING);
    *count = plan->op_count;
    return plan->profiles;
}
