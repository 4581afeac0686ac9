/* The plan's records: values, buffers, operators, the sticky error. See plan_seal.c for how
 * they become an arena and plan_run.c for the run.
 */
#include "compute/plan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "compute/library.h"
#include "compute/merge.h"
#include "compute/plan_private.h"

enum dr_code plan_create(struct plan **out, const struct plan_options *options,
                         struct dr_error *err)
{
    if (options->dtype != DTYPE_F32 && options->dtype != DTYPE_BF16)
        return error_set(err, DR_BAD_INPUT, "%s: a plan runs in F32 or BF16, not %s",
                         options->name, dtype_name(options->dtype));
    struct pool pool = {.head = NULL};
    struct plan *const plan = pool_alloc(&pool, sizeof *plan);
    if (!plan) {
        pool_finish(&pool);
        return error_set(err, DR_NOMEM, "%s: no memory for a plan's records",
                         options->name);
    }
    plan->pool = pool;
    plan->name = options->name ? options->name : "plan";
    plan->dtype = options->dtype;
    plan->profile = options->profile;
    plan->by_lines = options->by_lines;
    plan->exact_convolutions = options->exact_convolutions;
    plan->whole_bytes = options->by_lines ? options->whole_bytes : 0;
    plan->most_bytes = options->most_bytes;
    assert(!options->by_lines || !options->deltas);
    plan->deltas = options->deltas;
    plan->thread_count = library_begin_plan();
    assert(plan->thread_count > 0); /* compute_init comes first */
    plan->products.pool = &plan->pool;
    plan->products.kernels = plan->kernels = kernels_choose();
    *out = plan;
    return DR_OK;
}

void plan_destroy(struct plan **plan)
{
    if (!plan || !*plan) return;
    assert(!(*plan)->is_borrowed);
    library_end_plan();
    product_set_finish(&(*plan)->products);
    pool_finish(&(*plan)->step_pool);
    struct pool pool = (*plan)->pool; /* a copy: the plan lies in it */
    pool_finish(&pool);
    *plan = NULL;
}

bool plan_failed(const struct plan *plan)
{
    return plan->error.code != DR_OK;
}

void plan_fail(struct plan *plan, enum dr_code code, const char *format, ...)
{
    if (plan_failed(plan)) return;
    char text[sizeof plan->error.message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)error_set(&plan->error, code, "%s: %s", plan->name, text);
}

/* ---- records ------------------------------------------------------------------------ */

void *plan_record(struct plan *plan, size_t bytes)
{
    void *const record = pool_alloc(&plan->pool, bytes);
    if (!record) plan_fail(plan, DR_NOMEM, "no memory for an operator's record");
    return record;
}

/* Room for one more element; false (and the error sticks) where there is no memory. */
static bool grow(struct plan *plan, void **array, size_t count, size_t *capacity,
                 size_t element_bytes)
{
    if (count < *capacity) return true;
    const size_t wider = *capacity > 0 ? *capacity * 2 : 64;
    void *const grown = pool_grow(&plan->pool, *array, count, wider, element_bytes);
    if (!grown) {
        plan_fail(plan, DR_NOMEM, "no memory for the plan's tables");
        return false;
    }
    *array = grown;
    *capacity = wider;
    return true;
}

static bool shape_bytes(struct shape shape, enum dtype dtype, size_t *bytes)
{
    if (shape.n < 1 || shape.h < 1 || shape.w < 1 || shape.c < 1) return false;
    size_t count = (size_t)shape.n;
    return size_mul(count, (size_t)shape.h, &count) &&
           size_mul(count, (size_t)shape.w, &count) && count <= INT32_MAX &&
           size_mul(count, (size_t)shape.c, &count) &&
           size_mul(count, dtype_bytes(dtype), bytes) && *bytes <= SIZE_MAX / 64;
}

static struct value add_value(struct plan *plan, struct shape shape, enum dtype dtype,
                              int32_t buffer)
{
    void *values = plan->values;
    if (!grow(plan, &values, plan->value_count, &plan->value_capacity,
              sizeof *plan->values))
        return VALUE_NONE;
    plan->values = values;
    if (plan->value_count == 0)
        plan->values[plan->value_count++].buffer = -1; /* none */
    const int32_t id = (int32_t)plan->value_count++;
    plan->values[id] =
        (struct plan_value){.shape = shape, .dtype = dtype, .buffer = buffer};
    return (struct value){id};
}

struct value plan_value_new(struct plan *plan, struct shape shape, enum dtype dtype)
{
    if (plan_failed(plan)) return VALUE_NONE;
    assert(plan->phase == PLAN_BUILDING);
    size_t bytes = 0;
    if (!shape_bytes(shape, dtype, &bytes)) {
        plan_fail(plan, DR_BAD_INPUT, "a value of %d x %d x %d x %d is out of range",
                  shape.n, shape.h, shape.w, shape.c);
        return VALUE_NONE;
    }
    void *buffers = plan->buffers;
    if (!grow(plan, &buffers, plan->buffer_count, &plan->buffer_capacity,
              sizeof *plan->buffers))
        return VALUE_NONE;
    plan->buffers = buffers;
    const int32_t buffer = (int32_t)plan->buffer_count++;
    plan->buffers[buffer] = (struct plan_buffer){.bytes = bytes};
    return add_value(plan, shape, dtype, buffer);
}

struct value plan_add_op(struct plan *plan, const struct op *op)
{
    if (plan_failed(plan)) return VALUE_NONE;
    void *ops = plan->ops;
    if (!grow(plan, &ops, plan->op_count, &plan->op_capacity, sizeof *plan->ops))
        return VALUE_NONE;
    plan->ops = ops;
    struct op *const added = &plan->ops[plan->op_count++];
    *added = *op;
    merge_give(plan, added);
    return op->result;
}

bool plan_has(struct plan *plan, struct value value, const char *what)
{
    if (plan_failed(plan)) return false;
    assert(value.id >= 0 && (size_t)value.id < plan->value_count);
    if (value.id == 0) plan_fail(plan, DR_BAD_INPUT, "%s has no value", what);
    return value.id != 0;
}

bool plan_has_vector(struct plan *plan, const struct weight *weight, int32_t n,
                     const char *what)
{
    if (plan_failed(plan)) return false;
    if (weight && weight->kind == WEIGHT_VECTOR && weight->out == n) return true;
    plan_fail(plan, DR_BAD_INPUT, "%s needs a vector of %d numbers and got %d", what, n,
              weight ? weight->out : 0);
    return false;
}

/* ---- weights ------------------------------------------------------------------------ */

void plan_uses(struct plan *plan, const struct weight *weight)
{
    if (plan_failed(plan) || !weight || weight->region == MERGED_REGION) return;
    assert(plan->phase == PLAN_BUILDING);
    if (weight->region < 0 || weight->region >= WEIGHT_MOST_REGIONS) {
        plan_fail(plan, DR_BAD_INPUT, "a weight in region %d; a run reads at most %d",
                  weight->region, WEIGHT_MOST_REGIONS);
        return;
    }
    const size_t region = (size_t)weight->region;
    while (plan->region_count <= region) {
        void *regions = plan->regions;
        if (!grow(plan, &regions, plan->region_count, &plan->region_capacity,
                  sizeof *plan->regions))
            return;
        plan->regions = regions;
        plan->regions[plan->region_count++] = (struct plan_region){.used = false};
    }
    plan->regions[region].used = true;
}

int32_t plan_region_count(const struct plan *plan)
{
    return (int32_t)plan->region_count;
}

/* ---- values of callers -------------------------------------------------------------- */

struct value plan_input(struct plan *plan, struct shape shape, enum dtype dtype)
{
    const struct value value = plan_value_new(plan, shape, dtype);
    if (value.id == 0) return value;
    struct plan_buffer *const buffer = &plan->buffers[plan->values[value.id].buffer];
    buffer->pinned = true;
    buffer->given = true;
    return value;
}

struct value plan_steady_input(struct plan *plan, struct shape shape, enum dtype dtype)
{
    const struct value value = plan_input(plan, shape, dtype);
    if (value.id != 0) plan->buffers[plan->values[value.id].buffer].steady = true;
    return value;
}

struct value plan_output(struct plan *plan, struct value value, enum dtype dtype)
{
    if (!plan_has(plan, value, "an output")) return VALUE_NONE;
    struct value out = value;
    if (plan->values[value.id].dtype != dtype)
        out = plan_activate(plan, value, ACTIVATION_NONE, dtype);
    if (out.id != 0) plan->buffers[plan->values[out.id].buffer].pinned = true;
    return out;
}

struct shape plan_shape(const struct plan *plan, struct value value)
{
    if (plan_failed(plan) || value.id == 0) return (struct shape){0, 0, 0, 0};
    assert(value.id > 0 && (size_t)value.id < plan->value_count);
    return plan->values[value.id].shape;
}

enum dtype plan_dtype(const struct plan *plan, struct value value)
{
    if (plan_failed(plan) || value.id == 0) return plan->dtype;
    assert(value.id > 0 && (size_t)value.id < plan->value_count);
    return plan->values[value.id].dtype;
}

void plan_expect(const struct plan *plan, struct value value, struct shape shape,
                 enum dtype dtype)
{
    assert(value.id > 0 && (size_t)value.id < plan->value_count);
    const struct plan_value *const is = &plan->values[value.id];
    assert(is->shape.n == shape.n);
    assert(is->shape.h == shape.h);
    assert(is->shape.w == shape.w);
    assert(is->shape.c == shape.c);
    assert(is->dtype == dtype);
}
