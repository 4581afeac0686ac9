#include "compute/projection.h"

#include <assert.h>

#include "base/size.h"
#include "compute/compute.h"
#include "compute/team.h"

/* Blocks of this many rows keep the library at its best rate: fewer read the weight too often,
 * more do not fit the caches. The gathered rows may be larger than a core's own cache: they
 * are read in order, which its prefetcher hides. */
#define MOST_ROWS 128
/* An own GEMM makes a panel once for each block, and has no order of its own for the rows. */
#define MOST_OWN_ROWS     192
#define FEWEST_ROWS       32
#define GATHERED_BYTES    (6u << 20)
#define STAGE_OUTPUTS     512
#define OWN_STAGE_OUTPUTS 128 /* whose finish finds them in the first or second cache */
/* A weight above this leaves the caches before the next block wants it. */
#define LARGE_WEIGHT (4u << 20)

static bool can_slice(const struct weight_layout *layout, int32_t count)
{
    struct weight_layout slice;
    size_t offset = 0;
    return layout_slice(layout, 0, count, &slice, &offset);
}

/* Enough blocks of rows for the threads, while they are large enough. A large weight is read
 * once by each block, so there the threads rather share its outputs. */
static void choose_blocks(struct projection *p, size_t row_bytes, bool by_lines)
{
    int64_t most = p->own && !p->gather ? MOST_OWN_ROWS : MOST_ROWS;
    while (p->gather && most > FEWEST_ROWS && (size_t)most * row_bytes > GATHERED_BYTES)
        most /= 2;
    if (by_lines) { /* of which there are enough for the threads */
        p->block_rows = (int32_t)divide_up(p->rows, divide_up(p->rows, most));
        p->blocks = divide_up(p->rows, p->block_rows);
        return;
    }
    const struct weight_layout *const layout = p->weight->layout;
    const int64_t threads = compute_thread_count();
    const bool large = layout->bytes > LARGE_WEIGHT && can_slice(layout, LAYOUT_BLOCK);
    int64_t blocks = divide_up(p->rows, most);
    if (blocks >= threads) {
        blocks = divide_up(blocks, threads) * threads;
    } else if (!large) {
        const int64_t possible = p->rows / FEWEST_ROWS;
        const int64_t wanted = possible < threads ? possible : threads;
        blocks = wanted > blocks ? wanted : blocks;
    }
    p->block_rows = (int32_t)divide_up(p->rows, blocks);
    p->blocks = divide_up(p->rows, p->block_rows);
}

/* Outputs are done in chunks of whole panels that divide them evenly, as wide as the stage
 * takes; and where blocks are too few for the threads, by several threads. */
static void choose_chunks(struct projection *p, int32_t outputs, bool by_lines)
{
    const struct weight_layout *const layout = p->weight->layout;
    const int64_t wanted = by_lines ? 1 : divide_up(compute_thread_count(), p->blocks);
    p->columns = 1;
    p->chunk = outputs;
    if (!p->staged && wanted == 1) return;
    int32_t most = (int32_t)(outputs / wanted);
    const int32_t stage = p->own ? OWN_STAGE_OUTPUTS : STAGE_OUTPUTS;
    if (most > stage) most = stage;
    for (int32_t chunk = most / LAYOUT_BLOCK * LAYOUT_BLOCK; chunk > 0;
         chunk -= LAYOUT_BLOCK)
        if (outputs % chunk == 0 && can_slice(layout, chunk)) {
            const int32_t chunks = outputs / chunk;
            p->columns = (int32_t)(wanted < chunks ? wanted : chunks);
            p->chunk = chunk;
            p->staged = true;
            return;
        }
}

bool projection_can_gate(const struct weight *weight)
{
    struct weight_layout slice;
    size_t offset = 0;
    const int32_t half = weight->out / 2;
    return weight->out % 2 == 0 &&
           layout_slice(weight->layout, half, half, &slice, &offset);
}

static enum dr_code get_products(struct plan *plan, struct projection *p,
                                 const struct product_shape *like, struct dr_error *err)
{
    struct weight_layout slice;
    size_t offset = 0;
    const bool possible = layout_slice(p->weight->layout, 0, p->chunk, &slice, &offset);
    assert(possible);
    (void)possible;
    struct product_shape shape = *like;
    shape.rows = p->block_rows;
    enum dr_code code =
        product_get(&plan->products, &shape, &slice, &p->products[0], err);
    const int64_t rest = p->rows - (p->blocks - 1) * p->block_rows;
    shape.rows = (int32_t)rest;
    if (code == DR_OK)
        code = product_get(&plan->products, &shape, &slice, &p->products[1], err);
    return code;
}

enum dr_code projection_prepare(struct plan *plan, struct op *op, struct projection *p,
                                struct dr_error *err)
{
    const struct weight_layout *const layout = p->weight->layout;
    const enum dtype result = plan->values[op->result.id].dtype;
    const bool residual = op->inputs[PROJECTION_RESIDUAL].id != 0;
    const bool multiply = op->inputs[PROJECTION_MULTIPLY].id != 0;
    const struct shape result_shape = plan->values[op->result.id].shape;
    p->rows = op->by_lines ? result_shape.w : shape_rows(result_shape);
    const size_t row_bytes = (size_t)layout->in * dtype_bytes(layout->type);
    /* In bfloat16 the library's GEMM is 2 to 4 % faster for pairs of results that stay in float32. */
    const bool library = p->gated && layout->type == DTYPE_BF16;
    p->own = !library && product_is_own(&plan->products, layout);
    choose_blocks(p, row_bytes, op->by_lines);
    p->staged = p->gated || multiply || p->activation != ACTIVATION_NONE ||
                (layout->type == DTYPE_F32 && result != DTYPE_F32) ||
                product_wants_stage(&plan->products, layout, result, residual);
    choose_chunks(p, p->gated ? layout->out / 2 : layout->out, op->by_lines);
    const struct product_shape shape = {
        .result = p->staged ? DTYPE_F32 : result,
        .bias = p->bias != NULL,
        .add = residual && !p->staged,
        .made = panel_is_made(p->weight),
        .library = library,
    };
    const enum dr_code code = get_products(plan, p, &shape, err);
    if (code != DR_OK) return code;
    size_t product_bytes = p->products[0]->scratch_bytes;
    if (p->products[1]->scratch_bytes > product_bytes)
        product_bytes = p->products[1]->scratch_bytes;
    const size_t block_rows = (size_t)p->block_rows;
    p->gathered_bytes = p->gather ? size_align(block_rows * row_bytes, 64) : 0;
    p->stage_bytes =
        p->staged ? size_align(block_rows * (size_t)p->chunk * sizeof(float), 64) : 0;
    p->lane_bytes =
        p->gathered_bytes + p->stage_bytes * (p->gated ? 2 : 1) + product_bytes;
    const int64_t lines = shape_rows(result_shape) / p->rows;
    p->lanes = team_lanes(lines * p->blocks * p->columns, p->lane_bytes);
    op->scratch_bytes = p->lane_bytes * (size_t)p->lanes;
    op->flop = 2.0 * (double)shape_rows(result_shape) * layout->in * layout->out;
    op->weight_bytes = p->weight->bytes + (p->bias ? p->bias->bytes : 0);
    return DR_OK;
}

/* ---- running ------------------------------------------------------------------------ */

struct run {
    const struct plan *plan;
    const struct op *op;
    const struct projection *projection;
    int64_t first; /* row */
    atomic_bool failed;
};

struct block {
    int64_t first;
    int32_t rows;
    const struct product *product;
    const void *source;
    unsigned char *stage, *scratch;
};

static const unsigned char *row_of(const struct plan *plan, struct value value,
                                   int64_t row, int32_t column)
{
    const struct plan_value *const v = &plan->values[value.id];
    return (const unsigned char *)plan_row(plan, value, row) +
           (size_t)column * dtype_bytes(v->dtype);
}

static unsigned char *result_row(const struct run *run, int64_t row, int32_t column)
{
    const struct plan_value *const v = &run->plan->values[run->op->result.id];
    return (unsigned char *)plan_row(run->plan, run->op->result, row) +
           (size_t)column * dtype_bytes(v->dtype);
}

/* add: as product_call's. */
static bool multiply_slice(const struct run *run, const struct block *block, int lane,
                           int32_t output, void *result, const void *add)
{
    const struct projection *const p = run->projection;
    const struct weight_layout *const layout = p->weight->layout;
    const unsigned char *const operand = plan_weight(run->plan, p->weight);
    const struct panel_source panels = {.weight = p->weight,
                                        .data = operand,
                                        .kernels = run->plan->kernels};
    const bool is_made = panel_is_made(p->weight);
    const float *const bias = p->bias ? plan_weight(run->plan, p->bias) : NULL;
    const struct product_call call = {
        .source = block->source,
        .operand =
            is_made ? NULL
                    : operand + layout_out(layout, output) * dtype_bytes(layout->type),
        .panels = &panels,
        .output = output,
        .bias = bias ? bias + output : NULL,
        .result = result,
        .scratch = block->scratch,
        .add = add,
    };
    return product_run(block->product, lane, &call);
}

/* The product writes the result itself; a residual is put there first, where it does not read that itself. */
static bool run_direct(const struct run *run, const struct block *block, int lane)
{
    const struct plan *const plan = run->plan;
    const struct value residual = run->op->inputs[PROJECTION_RESIDUAL];
    unsigned char *const result = result_row(run, block->first, 0);
    if (residual.id != 0 && !run->op->taken) {
        const struct plan_value *const v = &plan->values[residual.id];
        if (run->projection->own && v->dtype == plan->values[run->op->result.id].dtype)
            return multiply_slice(run, block, lane, 0, result,
                                  row_of(plan, residual, block->first, 0));
        const struct kernel_finish copy = {
            .target = result,
            .target_type = plan->values[run->op->result.id].dtype,
            .source = row_of(plan, residual, block->first, 0),
            .source_type = v->dtype,
        };
        plan->kernels->finish(&copy, (size_t)block->rows * (size_t)v->shape.c);
    }
    return multiply_slice(run, block, lane, 0, result, NULL);
}

static void finish_chunk(const struct run *run, const struct block *block,
                         int32_t output)
{
    const struct projection *const p = run->projection;
    const struct plan *const plan = run->plan;
    const struct value residual = run->op->inputs[PROJECTION_RESIDUAL];
    const struct value multiply = run->op->inputs[PROJECTION_MULTIPLY];
    for (int32_t r = 0; r < block->rows; ++r) {
        const int64_t row = block->first + r;
        const struct kernel_finish arguments = {
            .target = result_row(run, row, output),
            .source = (const float *)(const void *)block->stage +
                      (size_t)r * (size_t)p->chunk,
            .multiply = multiply.id ? row_of(plan, multiply, row, output) : NULL,
            .residual = residual.id ? row_of(plan, residual, row, output) : NULL,
            .target_type = plan->values[run->op->result.id].dtype,
            .source_type = DTYPE_F32,
            .multiply_type = plan->values[multiply.id].dtype,
            .residual_type = plan->values[residual.id].dtype,
            .activation = p->activation,
        };
        plan->kernels->finish(&arguments, (size_t)p->chunk);
    }
}

static void gate_chunk(const struct run *run, const struct block *block, int32_t output)
{
    const struct projection *const p = run->projection;
    const float *const value = (const void *)block->stage;
    const float *const gate = (const void *)(block->stage + p->stage_bytes);
    for (int32_t r = 0; r < block->rows; ++r) {
        const size_t at = (size_t)r * (size_t)p->chunk;
        const struct kernel_gate arguments = {
            .target = result_row(run, block->first + r, output),
            .value = value + at,
            .gate = gate + at,
            .target_type = run->plan->values[run->op->result.id].dtype,
            .source_type = DTYPE_F32,
        };
        run->plan->kernels->gate(&arguments, (size_t)p->chunk);
    }
}

/* One column of the outputs: some of their chunks. */
static bool run_staged(const struct run *run, const struct block *block, int32_t column,
                       int lane)
{
    const struct projection *const p = run->projection;
    const int32_t outputs = p->gated ? p->weight->out / 2 : p->weight->out;
    const int64_t chunks = outputs / p->chunk;
    const int64_t end = chunks * (column + 1) / p->columns;
    for (int64_t i = chunks * column / p->columns; i < end; ++i) {
        const int32_t output = (int32_t)i * p->chunk;
        if (!multiply_slice(run, block, lane, output, block->stage, NULL)) return false;
        if (!p->gated) {
            finish_chunk(run, block, output);
            continue;
        }
        if (!multiply_slice(run, block, lane, outputs + output,
                            block->stage + p->stage_bytes, NULL))
            return false;
        gate_chunk(run, block, output);
    }
    return true;
}

/* Task: one block of rows and one column of the outputs. */
static void run_block(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    const struct projection *const p = run->projection;
    const int64_t block_idx = task_idx / p->columns % p->blocks;
    const int64_t line = task_idx / p->columns / p->blocks; /* 0 where all are one */
    const int32_t column = (int32_t)(task_idx % p->columns);
    unsigned char *const scratch = (unsigned char *)plan_scratch(run->plan, run->op) +
                                   (size_t)lane * p->lane_bytes;
    struct block block = {
        .first = run->first + line * p->rows + block_idx * p->block_rows,
        .product = p->products[block_idx == p->blocks - 1],
        .stage = scratch + p->gathered_bytes,
    };
    block.rows = block.product->shape.rows;
    block.scratch = block.stage + p->stage_bytes * (p->gated ? 2 : 1);
    if (p->gather) {
        p->gather(p->gather_context, block.first, block.rows, scratch);
        block.source = scratch;
    } else {
        block.source = row_of(run->plan, run->op->inputs[PROJECTION_X], block.first, 0);
    }
    const bool well = p->staged ? run_staged(run, &block, column, lane)
                                : run_direct(run, &block, lane);
    if (!well) atomic_store(&run->failed, true);
}

bool projection_run(const struct plan *plan, const struct op *op,
                    const struct projection *projection, struct rows rows)
{
    struct run run = {
        .plan = plan, .op = op, .projection = projection, .first = rows.first};
    assert(rows.count % projection->rows == 0);
    team_run_on(projection->lanes,
                rows.count / projection->rows * projection->blocks *
                    projection->columns,
                run_block, &run);
    return !atomic_load(&run.failed);
}
