#include "compute/linear.h"

#include "compute/merge.h"
#include "compute/projection.h"

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    return projection_prepare(plan, op, op->state, err);
}

static bool run(const struct plan *plan, const struct op *op, struct rows rows)
{
    return projection_run(plan, op, op->state, rows);
}

static const struct op_class linear_class = {
    .kind = "linear", .prepare = prepare, .run = run, .by_rows = true};
static const struct op_class gated_class = {
    .kind = "linear geglu", .prepare = prepare, .run = run, .by_rows = true};

static bool check_input(struct plan *plan, struct value x,
                        const struct linear_options *options)
{
    if (!plan_has(plan, x, "a linear")) return false;
    const struct weight *const weight = options->weight;
    if (!weight || weight->kind != WEIGHT_LINEAR) {
        plan_fail(plan, DR_BAD_INPUT, "a linear without a linear weight");
        return false;
    }
    const struct plan_value *const v = &plan->values[x.id];
    if (v->shape.c != weight->in) {
        plan_fail(plan, DR_BAD_INPUT,
                  "a linear of %d inputs and %d outputs got %d channels", weight->in,
                  weight->out, v->shape.c);
        return false;
    }
    if (v->dtype != weight->dtype) {
        plan_fail(plan, DR_BAD_INPUT, "a linear with a weight in %s got an input in %s",
                  dtype_name(weight->dtype), dtype_name(v->dtype));
        return false;
    }
    return true;
}

/* Is the optional value of the same shape as the result? */
static bool check_same(struct plan *plan, struct value value, struct shape shape,
                       const char *what)
{
    if (plan_failed(plan)) return false;
    if (value.id == 0) return true;
    const struct shape got = plan_shape(plan, value);
    if (shape_equal(got, shape)) return true;
    plan_fail(plan, DR_BAD_INPUT,
              "a linear's result is %d x %d x %d x %d and its %s %d x %d x %d x %d",
              shape.n, shape.h, shape.w, shape.c, what, got.n, got.h, got.w, got.c);
    return false;
}

struct value plan_linear(struct plan *plan, struct value x,
                         const struct linear_options *given)
{
    struct linear_options merged = *given;
    merged.weight = merge_take(plan, given->weight);
    merged.bias = merge_take(plan, given->bias);
    const struct linear_options *const options = &merged;
    if (!check_input(plan, x, options)) return VALUE_NONE;
    const struct weight *const weight = options->weight;
    if (options->bias &&
        !plan_has_vector(plan, options->bias, weight->out, "a linear's bias"))
        return VALUE_NONE;
    struct shape shape = plan_shape(plan, x);
    shape.c = weight->out;
    if (!check_same(plan, options->residual, shape, "residual") ||
        !check_same(plan, options->multiply, shape, "factor"))
        return VALUE_NONE;
    struct projection *const record = plan_record(plan, sizeof *record);
    const struct value result =
        plan_value_new(plan, shape, options->dtype_set ? options->dtype : plan->dtype);
    plan_uses(plan, weight);
    plan_uses(plan, options->bias);
    if (plan_failed(plan)) return VALUE_NONE;
    *record = (struct projection){.weight = weight,
                                  .bias = options->bias,
                                  .activation = options->activation};
    return plan_add_op(plan, &(struct op){
                                 .class = &linear_class,
                                 .inputs = {[PROJECTION_X] = x,
                                            [PROJECTION_RESIDUAL] = options->residual,
                                            [PROJECTION_MULTIPLY] = options->multiply},
                                 .result = result,
                                 .state = record,
                                 .inplace = options->residual.id ? PROJECTION_RESIDUAL
                                                                 : NOT_INPLACE,
    });
}

bool linear_gate(struct op *op, struct value result)
{
    if (op->class != &linear_class) return false;
    struct projection *const record = op->state;
    if (record->activation != ACTIVATION_NONE || op->inputs[PROJECTION_RESIDUAL].id ||
        op->inputs[PROJECTION_MULTIPLY].id || !projection_can_gate(record->weight))
        return false;
    record->gated = true;
    op->class = &gated_class;
    op->result = result;
    return true;
}
