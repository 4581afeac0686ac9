/* Addresses, and the loop over the operators. */
#include <assert.h>
#include <omp.h>
#include <time.h>

#include "compute/compute.h"
#include "compute/plan_private.h"

enum dr_code plan_bind(struct plan *plan, void *arena, const void *weights,
                       struct dr_error *err)
{
    assert(plan->phase != PLAN_BUILDING);
    if ((uintptr_t)arena % ARENA_ALIGN != 0 || (!arena && plan->bytes > 0))
        return error_set(err, DR_BAD_INPUT, "%s: its arena must be a multiple of %d",
                         plan->name, ARENA_ALIGN);
    plan->arena = arena;
    plan->weights = weights;
    plan->phase = PLAN_BOUND;
    return DR_OK;
}

void *plan_address(const struct plan *plan, struct value value)
{
    const struct plan_buffer *const buffer =
        &plan->buffers[plan->values[value.id].buffer];
    return plan->arena + plan->items[plan->buffers[buffer->owner].item].offset;
}

void *plan_scratch(const struct plan *plan, const struct op *op)
{
    return plan->arena + plan->items[op->scratch_item].offset;
}

const void *plan_weight(const struct plan *plan, const struct weight *weight)
{
    return plan->weights + weight->offset;
}

void *plan_data(const struct plan *plan, struct value value)
{
    assert(plan->phase == PLAN_BOUND);
    assert(value.id > 0 && (size_t)value.id < plan->value_count);
    assert(plan->buffers[plan->values[value.id].buffer].pinned);
    return plan_address(plan, value);
}

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool run_op(struct plan *plan, size_t i)
{
    const struct op *const op = &plan->ops[i];
    if (!plan->profile) return op->class->run(plan, op);
    const double before = now_seconds();
    const bool well = op->class->run(plan, op);
    plan->profiles[i].seconds += now_seconds() - before;
    ++plan->profiles[i].runs;
    return well;
}

enum dr_code plan_run(struct plan *plan, const struct plan_progress *progress,
                      struct dr_error *err)
{
    assert(plan->phase == PLAN_BOUND);
    assert(plan->thread_count == compute_thread_count());
    omp_set_num_threads(compute_thread_count()); /* of the calling thread */
    double done = 0;
    for (size_t i = 0; i < plan->op_count; ++i) {
        if (progress && progress->cancel && atomic_load(progress->cancel))
            return error_set(err, DR_CANCELLED, "%s: cancelled", plan->name);
        if (!run_op(plan, i))
            return error_set(err, DR_FAILED, "%s: oneDNN failed in operator %zu (%s)",
                             plan->name, i, plan->ops[i].class->kind);
        done += plan->ops[i].flop;
        if (progress && progress->report)
            progress->report(progress->cookie,
                             plan->flop > 0 ? done / plan->flop
                                            : (double)(i + 1) / (double)plan->op_count);
    }
    return DR_OK;
}

const struct plan_op_profile *plan_profile(const struct plan *plan, size_t *count)
{
    assert(plan->phase != PLAN_BUILDING);
    *count = plan->op_count;
    return plan->profiles;
}
