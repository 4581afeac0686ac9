/* Numbers of inputs and outputs, between their users' memory and the arena. */
#include <assert.h>
#include <string.h>

#include "compute/plan_private.h"

/* Where elements [first, first + count) lie. */
static unsigned char *elements(const struct plan *plan, struct value value,
                               size_t first, size_t count)
{
    assert(plan->phase == PLAN_BOUND && !plan->is_borrowed);
    assert(value.id > 0 && (size_t)value.id < plan->value_count);
    const struct plan_value *const v = &plan->values[value.id];
    const size_t all = (size_t)shape_rows(v->shape) * (size_t)v->shape.c;
    assert(plan->buffers[v->buffer].pinned);
    assert(first <= all && count <= all - first);
    return (unsigned char *)plan_address(plan, value) + first * dtype_bytes(v->dtype);
}

static bool is_input(const struct plan *plan, struct value value)
{
    return plan->buffers[plan->values[value.id].buffer].given;
}

/* What was made of it is no longer so. */
static void will_change(struct plan *plan, struct value value)
{
    if (plan->buffers[plan->values[value.id].buffer].steady) plan->has_steady = false;
}

static size_t bytes_of(const struct plan *plan, struct value value, size_t count)
{
    return count * dtype_bytes(plan->values[value.id].dtype);
}

void plan_write(struct plan *plan, struct value input, size_t first, size_t count,
                const void *source)
{
    unsigned char *const target = elements(plan, input, first, count);
    assert(is_input(plan, input));
    will_change(plan, input);
    memcpy(target, source, bytes_of(plan, input, count));
}

void plan_clear(struct plan *plan, struct value input, size_t first, size_t count)
{
    unsigned char *const target = elements(plan, input, first, count);
    assert(is_input(plan, input));
    will_change(plan, input);
    memset(target, 0, bytes_of(plan, input, count));
}

void plan_read(const struct plan *plan, struct value value, size_t first, size_t count,
               void *target)
{
    memcpy(target, elements(plan, value, first, count), bytes_of(plan, value, count));
}

void *plan_borrow(struct plan *plan, struct value value)
{
    void *const whole = elements(plan, value, 0, 0);
    plan->is_borrowed = true;
    will_change(plan, value);
    return whole;
}

void plan_return(struct plan *plan)
{
    assert(plan->is_borrowed);
    plan->is_borrowed = false;
}
