/* What an operator touches, by the shapes of its values: the least that memory has to move for it.
 */
#include "compute/plan_private.h"

static uint64_t value_bytes(const struct plan_value *value)
{
    return (uint64_t)shape_rows(value->shape) * (uint64_t)value->shape.c *
           dtype_bytes(value->dtype);
}

static bool stands_before(const struct plan *plan, const struct op *op, int input)
{
    const int32_t buffer = plan->values[op->inputs[input].id].buffer;
    for (int i = 0; i < input; ++i)
        if (op->inputs[i].id && plan->values[op->inputs[i].id].buffer == buffer)
            return true;
    return false;
}

uint64_t plan_touched_bytes(const struct plan *plan, const struct op *op)
{
    uint64_t bytes = value_bytes(&plan->values[op->result.id]) + op->weight_bytes;
    for (int i = 0; i < OP_INPUTS; ++i)
        if (op->inputs[i].id && !stands_before(plan, op, i))
            bytes += value_bytes(&plan->values[op->inputs[i].id]);
    return bytes;
}
