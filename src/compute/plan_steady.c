/* Values that are made of steady inputs alone: which they are, and whether they are kept from run to run. How they
 * are laid out is plan_seal.c's, when they are computed plan_run.c's and plan_value.c's. */
#include <assert.h>

#include "compute/plan_private.h"

static struct plan_buffer *buffer_of(const struct plan *plan, struct value value)
{
    return &plan->buffers[plan->values[value.id].buffer];
}

void plan_find_steady(struct plan *plan)
{
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        op->steady = op->inputs[0].id != 0;
        for (int k = 0; k < OP_INPUTS; ++k)
            if (op->inputs[k].id != 0 && !buffer_of(plan, op->inputs[k])->steady)
                op->steady = false;
        buffer_of(plan, op->result)->steady = op->steady;
    }
    for (size_t i = 0; i < plan->op_count; ++i)
        for (int k = 0; k < OP_INPUTS && !plan->ops[i].steady; ++k) {
            if (plan->ops[i].inputs[k].id == 0) continue;
            struct plan_buffer *const buffer = buffer_of(plan, plan->ops[i].inputs[k]);
            buffer->wanted = buffer->steady && !buffer->given;
        }
}

enum dr_code plan_keep_steady(struct plan *plan, bool keep, struct dr_error *err)
{
    assert(plan->phase != PLAN_BUILDING && !plan->by_lines && !plan->is_borrowed);
    if (plan->keeps_steady == keep) return DR_OK;
    plan->keeps_steady = keep;
    plan->phase = PLAN_SEALED;
    const enum dr_code code = plan_lay_out(plan, err);
    if (code == DR_OK) plan_check(plan);
    return code;
}

size_t plan_steady_bytes(const struct plan *plan)
{
    size_t bytes = 0;
    assert(plan->phase != PLAN_BUILDING);
    for (size_t i = 0; i < plan->buffer_count; ++i)
        if (plan->buffers[i].wanted) bytes += plan->buffers[i].bytes;
    return bytes;
}
