/* Operators that look at each row or number alone: layer norm, GEGLU, activation, sum, and
 * the rows of an embedding table. Tasks are pieces of PIECE_NUMBERS numbers or so.
 */
#include <assert.h>

#include "compute/merge.h"
#include "compute/plan_private.h"
#include "compute/pointwise.h"
#include "compute/team.h"

#define PIECE_NUMBERS 32768

struct pointwise {
    struct layer_norm_options norm;
    enum activation activation;
    struct embed_options embed;
    int32_t tokens; /* of an embedding's row */
};

struct run {
    const struct plan *plan;
    const struct op *op;
    const struct pointwise *record;
    struct rows rows;
    int64_t piece_rows;
    size_t width; /* of the result's rows */
};

/* Rows of a task: [first, first + count). */
struct piece {
    size_t first, count;
};

static struct piece piece_of(const struct run *run, int64_t task_idx)
{
    const int64_t first = task_idx * run->piece_rows, left = run->rows.count - first;
    return (struct piece){(size_t)(run->rows.first + first),
                          (size_t)(left < run->piece_rows ? left : run->piece_rows)};
}

static bool run_pieces(const struct plan *plan, const struct op *op, struct rows rows,
                       team_task *task)
{
    const struct shape shape = plan->values[op->result.id].shape;
    struct run run = {.plan = plan,
                      .op = op,
                      .record = op->state,
                      .rows = rows,
                      .width = (size_t)shape.c};
    run.piece_rows = PIECE_NUMBERS / shape.c > 0 ? PIECE_NUMBERS / shape.c : 1;
    team_run((rows.count + run.piece_rows - 1) / run.piece_rows, task, &run);
    return true;
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    (void)plan;
    (void)op;
    (void)err;
    return DR_OK;
}

static unsigned char *row_of(const struct run *run, struct value value, size_t row)
{
    return plan_row(run->plan, value, (int64_t)row);
}

static enum dtype type_of(const struct run *run, struct value value)
{
    return run->plan->values[value.id].dtype;
}

/* ---- layer norm --------------------------------------------------------------------- */

static void norm_piece(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct op *const op = run->op;
    const struct piece piece = piece_of(run, task_idx);
    const struct kernel_layer_norm arguments = {
        .target = row_of(run, op->result, piece.first),
        .source = row_of(run, op->inputs[0], piece.first),
        .target_type = type_of(run, op->result),
        .source_type = type_of(run, op->inputs[0]),
        .rows = piece.count,
        .c = run->width,
        .scale = plan_weight(run->plan, run->record->norm.scale),
        .bias = plan_weight(run->plan, run->record->norm.bias),
        .epsilon = run->record->norm.epsilon,
    };
    run->plan->kernels->layer_norm(&arguments);
}

static bool run_norm(const struct plan *plan, const struct op *op, struct rows rows)
{
    return run_pieces(plan, op, rows, norm_piece);
}

static const struct op_class layer_norm_class = {
    .kind = "layer norm", .prepare = prepare, .run = run_norm, .by_rows = true};

struct value plan_layer_norm(struct plan *plan, struct value x,
                             const struct layer_norm_options *given)
{
    struct layer_norm_options merged = *given;
    merged.scale = merge_take(plan, given->scale);
    merged.bias = merge_take(plan, given->bias);
    const struct layer_norm_options *const options = &merged;
    if (!plan_has(plan, x, "a layer norm")) return VALUE_NONE;
    const struct shape shape = plan_shape(plan, x);
    if (!plan_has_vector(plan, options->scale, shape.c, "a layer norm's scale") ||
        !plan_has_vector(plan, options->bias, shape.c, "a layer norm's bias"))
        return VALUE_NONE;
    struct pointwise *const record = plan_record(plan, sizeof *record);
    const struct value result = plan_value_new(plan, shape, plan->dtype);
    plan_uses(plan, options->scale);
    plan_uses(plan, options->bias);
    if (plan_failed(plan)) return VALUE_NONE;
    record->norm = *options;
    return plan_add_op(plan, &(struct op){.class = &layer_norm_class,
                                          .inputs = {x},
                                          .result = result,
                                          .state = record,
                                          .inplace = 0,
                                          .weight_bytes = options->scale->bytes +
                                                          options->bias->bytes});
}

/* ---- GEGLU -------------------------------------------------------------------------- */

static void gate_piece(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct op *const op = run->op;
    const struct piece piece = piece_of(run, task_idx);
    const size_t half_bytes = run->width * dtype_bytes(type_of(run, op->inputs[0]));
    for (size_t row = piece.first; row < piece.first + piece.count; ++row) {
        const unsigned char *const source = row_of(run, op->inputs[0], row);
        const struct kernel_gate arguments = {
            .target = row_of(run, op->result, row),
            .value = source,
            .gate = source + half_bytes,
            .target_type = type_of(run, op->result),
            .source_type = type_of(run, op->inputs[0]),
        };
        run->plan->kernels->gate(&arguments, run->width);
    }
}

static bool run_gate(const struct plan *plan, const struct op *op, struct rows rows)
{
    return run_pieces(plan, op, rows, gate_piece);
}

static const struct op_class gate_class = {
    .kind = "geglu", .prepare = prepare, .run = run_gate, .by_rows = true};

bool pointwise_is_gate(const struct op *op)
{
    return op->class == &gate_class;
}

struct value plan_geglu(struct plan *plan, struct value x)
{
    if (!plan_has(plan, x, "a GEGLU")) return VALUE_NONE;
    struct shape shape = plan_shape(plan, x);
    if (shape.c % 2 != 0) {
        plan_fail(plan, DR_BAD_INPUT, "a GEGLU of %d channels: they must be even",
                  shape.c);
        return VALUE_NONE;
    }
    shape.c /= 2;
    struct pointwise *const record = plan_record(plan, sizeof *record);
    const struct value result = plan_value_new(plan, shape, plan->dtype);
    if (plan_failed(plan)) return VALUE_NONE;
    return plan_add_op(plan, &(struct op){.class = &gate_class,
                                          .inputs = {x},
                                          .result = result,
                                          .state = record,
                                          .inplace = NOT_INPLACE});
}

/* ---- activation, conversion, sum ---------------------------------------------------- */

static void finish_piece(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct op *const op = run->op;
    const struct piece piece = piece_of(run, task_idx);
    const struct value other = op->inputs[1];
    const struct kernel_finish arguments = {
        .target = row_of(run, op->result, piece.first),
        .source = row_of(run, op->inputs[0], piece.first),
        .residual = other.id ? row_of(run, other, piece.first) : NULL,
        .target_type = type_of(run, op->result),
        .source_type = type_of(run, op->inputs[0]),
        .residual_type = type_of(run, other),
        .activation = run->record->activation,
    };
    run->plan->kernels->finish(&arguments, piece.count * run->width);
}

static bool run_finish(const struct plan *plan, const struct op *op, struct rows rows)
{
    return run_pieces(plan, op, rows, finish_piece);
}

static const struct op_class activate_class = {
    .kind = "activation", .prepare = prepare, .run = run_finish, .by_rows = true};
static const struct op_class add_class = {
    .kind = "sum", .prepare = prepare, .run = run_finish, .by_rows = true};

static bool is_network_type(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_BF16;
}

struct value plan_activate(struct plan *plan, struct value x,
                           enum activation activation, enum dtype dtype)
{
    if (!plan_has(plan, x, "an activation")) return VALUE_NONE;
    if (!is_network_type(dtype) || !is_network_type(plan_dtype(plan, x))) {
        plan_fail(plan, DR_BAD_INPUT, "an activation from %s to %s: F32 and BF16 only",
                  dtype_name(plan_dtype(plan, x)), dtype_name(dtype));
        return VALUE_NONE;
    }
    struct pointwise *const record = plan_record(plan, sizeof *record);
    const struct value result = plan_value_new(plan, plan_shape(plan, x), dtype);
    if (plan_failed(plan)) return VALUE_NONE;
    record->activation = activation;
    return plan_add_op(plan, &(struct op){.class = &activate_class,
                                          .inputs = {x},
                                          .result = result,
                                          .state = record,
                                          .inplace = 0});
}

struct value plan_add(struct plan *plan, struct value a, struct value b)
{
    if (!plan_has(plan, a, "a sum") || !plan_has(plan, b, "a sum")) return VALUE_NONE;
    const struct shape one = plan_shape(plan, a), two = plan_shape(plan, b);
    if (!shape_equal(one, two)) {
        plan_fail(plan, DR_BAD_INPUT,
                  "a sum of %d x %d x %d x %d and %d x %d x %d x %d", one.n, one.h,
                  one.w, one.c, two.n, two.h, two.w, two.c);
        return VALUE_NONE;
    }
    struct pointwise *const record = plan_record(plan, sizeof *record);
    const struct value result = plan_value_new(plan, one, plan->dtype);
    if (plan_failed(plan)) return VALUE_NONE;
    return plan_add_op(plan, &(struct op){
                                 .class = &add_class,
                                 .inputs = {a, b},
                                 .result = result,
                                 .state = record,
                                 .inplace = 0
    });
}

/* ---- embedding ---------------------------------------------------------------------- */

static const unsigned char *table_row(const struct run *run, const struct weight *table,
                                      int32_t row)
{
    assert(row >= 0 && row < table->out);
    return (const unsigned char *)plan_weight(run->plan, table) +
           (size_t)row * (size_t)table->in * dtype_bytes(table->stored);
}

static void embed_piece(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct pointwise *const record = run->record;
    const struct op *const op = run->op;
    const struct piece piece = piece_of(run, task_idx);
    const int32_t *const ids = plan_address(run->plan, op->inputs[0]);
    const struct embed_options *const from = &record->embed;
    for (size_t row = piece.first; row < piece.first + piece.count; ++row) {
        const int32_t id = ids[row];
        const struct weight *const table = id < 0 ? from->vectors : from->table;
        assert(table);
        struct kernel_lookup arguments = {
            .target = row_of(run, op->result, row),
            .row = table_row(run, table, id < 0 ? -1 - id : id),
            .target_type = type_of(run, op->result),
            .row_type = table->stored,
        };
        if (from->position) {
            arguments.position =
                table_row(run, from->position, (int32_t)(row % (size_t)record->tokens));
            arguments.position_type = from->position->stored;
        }
        run->plan->kernels->lookup(&arguments, run->width);
    }
}

static bool run_embed(const struct plan *plan, const struct op *op, struct rows rows)
{
    return run_pieces(plan, op, rows, embed_piece);
}

static const struct op_class embed_class = {.kind = "embedding",
                                            .prepare = prepare,
                                            .run = run_embed};

struct value plan_embed(struct plan *plan, struct value ids,
                        const struct embed_options *options)
{
    const struct weight *const table = options->table;
    const struct weight *const position = options->position;
    const struct weight *const vectors = options->vectors;
    if (!plan_has(plan, ids, "an embedding")) return VALUE_NONE;
    struct shape shape = plan_shape(plan, ids);
    if (plan_dtype(plan, ids) != DTYPE_I32 || shape.c != 1 || !table ||
        table->kind != WEIGHT_TABLE) {
        plan_fail(plan, DR_BAD_INPUT,
                  "an embedding needs a table and ids in I32, one a token");
        return VALUE_NONE;
    }
    const int32_t tokens = shape.h * shape.w;
    if (position && (position->kind != WEIGHT_TABLE || position->in != table->in ||
                     position->out < tokens)) {
        plan_fail(plan, DR_BAD_INPUT,
                  "an embedding of %d tokens, %d wide, got %d positions, %d wide",
                  tokens, table->in, position->out, position->in);
        return VALUE_NONE;
    }
    if (vectors && (vectors->kind != WEIGHT_TABLE || vectors->in != table->in)) {
        plan_fail(plan, DR_BAD_INPUT,
                  "an embedding of %d values a token got vectors of %d", table->in,
                  vectors->in);
        return VALUE_NONE;
    }
    shape.c = table->in;
    struct pointwise *const record = plan_record(plan, sizeof *record);
    const struct value result = plan_value_new(plan, shape, plan->dtype);
    plan_uses(plan, table);
    plan_uses(plan, position);
    plan_uses(plan, vectors);
    if (plan_failed(plan)) return VALUE_NONE;
    *record = (struct pointwise){.embed = *options, .tokens = tokens};
    const size_t row_bytes =
        (size_t)table->in * dtype_bytes(table->stored) +
        (position ? (size_t)position->in * dtype_bytes(position->stored) : 0);
    return plan_add_op(plan, &(struct op){.class = &embed_class,
                                          .inputs = {ids},
                                          .result = result,
                                          .state = record,
                                          .inplace = NOT_INPLACE,
                                          .weight_bytes =
                                              (size_t)shape_rows(shape) * row_bytes});
}
