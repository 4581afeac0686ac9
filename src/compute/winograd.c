#include "compute/winograd.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"
#include "compute/compute.h"
#include "compute/team.h"

/* Measured with AVX512-BF16 from 128 channels on both sides, where it is 1.6 to 1.95 times as
 * fast as the direct convolution; no network that is served has fewer and would be chosen.
 * Counted, transforms and products take about equally long at 32, and together as long as the
 * direct convolution: down to there small networks run as the large ones do. Below (4 -> 320,
 * 128 -> 3) the transforms of the wide side are nearly all of the work. */
#define LEAST_CHANNELS 32

/* As for a projection's rows: fewer tiles read the weight too often, more do not fit the caches. */
#define MOST_TILES    128
#define FEWEST_TILES  16
#define SOURCE_BYTES  (6u << 20)
#define CHUNK_OUTPUTS 320

bool winograd_is_chosen(const struct weight_shape *shape)
{
    return shape->kind == WEIGHT_CONV_SAME && shape->dtype == DTYPE_BF16 &&
           shape->kernel_height == 3 && shape->kernel_width == 3 &&
           shape->in >= LEAST_CHANNELS && shape->out >= LEAST_CHANNELS;
}

/* ---- the weight --------------------------------------------------------------------- */

enum {
    STORED_OUT = 8,
    STORED_IN = 16,
    WINDOW = 9
};

/* G v: from three numbers to four, `step` apart. */
static void spread(const float *v, size_t step, float *to, size_t to_step)
{
    const float a = v[0], b = v[step], c = v[2 * step];
    to[0] = a;
    to[to_step] = (a + b + c) * 0.5f;
    to[2 * to_step] = (a - b + c) * 0.5f;
    to[3 * to_step] = c;
}

/* G g G^T of count (at most STORED_IN) kernels; points: [WINOGRAD_POINTS][STORED_IN]. */
static void transform_kernels(const void *kernels, enum dtype type, int32_t count,
                              void *points)
{
    float g[WINDOW * STORED_IN], u[WINOGRAD_POINTS * STORED_IN] = {0};
    dtype_to_f32(kernels, type, g, (size_t)count * WINDOW);
    for (int32_t i = 0; i < count; ++i) {
        float tall[4 * 3];
        for (int32_t k = 0; k < 3; ++k)
            spread(&g[i * WINDOW + k], 3, &tall[k], 3);
        for (int32_t k = 0; k < 4; ++k)
            spread(&tall[3 * k], 1, &u[4 * k * STORED_IN + i], STORED_IN);
    }
    if (type == DTYPE_BF16)
        dtype_to_bf16(u, DTYPE_F32, points, sizeof u / sizeof *u);
    else
        memcpy(points, u, sizeof u);
}

static int32_t at_most(int32_t count, int32_t most)
{
    return count < most ? count : most;
}

void winograd_store(const struct weight *weight, const void *plain, int32_t first,
                    int32_t count, void *target)
{
    const size_t element = dtype_bytes(weight->dtype);
    const size_t numbers = WINOGRAD_POINTS * STORED_IN;
    unsigned char points[STORED_OUT * WINOGRAD_POINTS * STORED_IN * sizeof(float)];
    struct layout_part part = {.in_step = 1, .out_step = numbers};
    for (int32_t o = first; o < first + count; o += STORED_OUT)
        for (int32_t i = 0; i < weight->in; i += STORED_IN) {
            part.in_first = i;
            part.out_first = o;
            part.in_count = at_most(weight->in - i, STORED_IN);
            part.out_count = at_most(first + count - o, STORED_OUT);
            for (int32_t k = 0; k < part.out_count; ++k) {
                const size_t kernel = (size_t)(o + k) * (size_t)weight->in + (size_t)i;
                transform_kernels((const unsigned char *)plain +
                                      kernel * WINDOW * element,
                                  weight->dtype, part.in_count,
                                  points + (size_t)k * numbers * element);
            }
            for (size_t p = 0; p < WINOGRAD_POINTS; ++p) {
                part.source = points + p * STORED_IN * element;
                layout_pack(weight->layout, &part,
                            (unsigned char *)target + p * weight->point_bytes);
            }
        }
}

/* ---- the operator ------------------------------------------------------------------- */

enum {
    WINOGRAD_X,
    WINOGRAD_RESIDUAL
};

struct winograd {
    const struct weight *weight, *bias; /* bias may be NULL */
    struct shape shape;                 /* of the result */
    int32_t tile_lines, tile_columns;   /* of one image */
    /* found by prepare */
    int64_t
        tiles; /* that are cut into blocks: of all images, or of each line of tiles */
    int64_t blocks; /* that they are cut into */
    int32_t block_tiles;
    int32_t chunk;   /* outputs at a time */
    int32_t columns; /* threads that share the chunks of one block: tasks of it */
    const struct product *products[2]; /* for whole blocks, and for the last */
    size_t source_step, result_step;   /* bytes from point to point */
    size_t source_bytes, lane_bytes;   /* of scratch, for one lane */
};

static int64_t divide_up(int64_t count, int64_t by)
{
    return (count + by - 1) / by;
}

/* An even count of blocks, for two threads; more of them share a block's outputs. */
static void choose_blocks(struct winograd *w)
{
    const size_t tile_bytes =
        WINOGRAD_POINTS * (size_t)w->weight->in * dtype_bytes(w->weight->dtype);
    int64_t most = MOST_TILES;
    while (most > FEWEST_TILES && (size_t)most * tile_bytes > SOURCE_BYTES)
        most /= 2;
    int64_t blocks = divide_up(w->tiles, most);
    if (w->tiles >= 2 * FEWEST_TILES) blocks = divide_up(blocks, 2) * 2;
    w->block_tiles = (int32_t)divide_up(w->tiles, blocks);
    w->blocks = divide_up(w->tiles, w->block_tiles);
}

/* Chunks of whole panels that divide the outputs evenly; all at once where there are none. */
static void choose_chunks(struct winograd *w, bool by_lines)
{
    const struct weight_layout *const layout = w->weight->layout;
    const int32_t most = at_most(layout->out, CHUNK_OUTPUTS);
    struct weight_layout slice;
    size_t offset = 0;
    w->chunk = layout->out;
    for (int32_t chunk = most / LAYOUT_BLOCK * LAYOUT_BLOCK; chunk > 0;
         chunk -= LAYOUT_BLOCK)
        if (layout->out % chunk == 0 &&
            layout_slice(layout, 0, chunk, &slice, &offset)) {
            w->chunk = chunk;
            break;
        }
    const int64_t wanted = by_lines ? 1 : divide_up(compute_thread_count(), w->blocks);
    const int32_t chunks = layout->out / w->chunk;
    w->columns = (int32_t)(wanted < chunks ? wanted : chunks);
}

static enum dr_code get_products(struct plan *plan, struct winograd *w,
                                 struct dr_error *err)
{
    struct weight_layout slice;
    size_t offset = 0;
    const bool possible = layout_slice(w->weight->layout, 0, w->chunk, &slice, &offset);
    assert(possible);
    (void)possible;
    struct product_shape shape = {.rows = w->block_tiles, .result = DTYPE_F32};
    enum dr_code code =
        product_get(&plan->products, &shape, &slice, &w->products[0], err);
    shape.rows = (int32_t)(w->tiles - (w->blocks - 1) * w->block_tiles);
    if (code == DR_OK)
        code = product_get(&plan->products, &shape, &slice, &w->products[1], err);
    return code;
}

/* No multiple of 4096, or a number's 16 points would all want the same few places of the first
 * cache. */
static size_t step_between_points(int32_t rows, int32_t columns, enum dtype type)
{
    return size_align((size_t)rows * (size_t)columns * dtype_bytes(type), 4096) + 64;
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct winograd *const w = op->state;
    w->tiles = op->by_lines ? w->tile_columns
                            : (int64_t)w->shape.n * w->tile_lines * w->tile_columns;
    choose_blocks(w);
    choose_chunks(w, op->by_lines);
    const enum dr_code code = get_products(plan, w, err);
    if (code != DR_OK) return code;
    size_t product_bytes = w->products[0]->scratch_bytes;
    if (w->products[1]->scratch_bytes > product_bytes)
        product_bytes = w->products[1]->scratch_bytes;
    w->source_step =
        step_between_points(w->block_tiles, w->weight->in, w->weight->dtype);
    w->result_step = step_between_points(w->block_tiles, w->chunk, DTYPE_F32);
    w->source_bytes = WINOGRAD_POINTS * w->source_step;
    w->lane_bytes = w->source_bytes + WINOGRAD_POINTS * w->result_step + product_bytes;
    op->scratch_bytes = w->lane_bytes * (size_t)compute_thread_count();
    /* Of the convolution that it stands for: rates compare. */
    op->flop =
        2.0 * (double)shape_rows(w->shape) * w->weight->in * WINDOW * w->weight->out;
    op->weight_bytes = w->weight->bytes + (w->bias ? w->bias->bytes : 0);
    return DR_OK;
}

/* ---- running ------------------------------------------------------------------------ */

struct run {
    const struct plan *plan;
    const struct op *op;
    const struct winograd *winograd;
    struct lines lines; /* to make, of each image */
    struct lines seen;  /* that they are made of */
    atomic_bool failed;
};

struct block {
    int64_t first; /* tile */
    int32_t tiles;
    const struct product *product;
    unsigned char *source, *result, *scratch;
};

/* The upper left output of a tile. */
struct corner {
    int64_t image;
    int32_t y, x;
};

static struct corner corner_of(const struct winograd *w, int64_t tile)
{
    const int64_t line = tile / w->tile_columns;
    return (struct corner){
        .image = line / w->tile_lines,
        .y = (int32_t)(line % w->tile_lines) * 2,
        .x = (int32_t)(tile % w->tile_columns) * 2,
    };
}

/* Pixel (y, x) of a value that has the result's height and width; NULL: not among the lines. */
static unsigned char *pixel_of(const struct run *run, struct value value,
                               struct lines lines, const struct corner *at)
{
    const struct plan_value *const v = &run->plan->values[value.id];
    if (at->y < lines.first || at->y >= lines.end || at->x < 0 || at->x >= v->shape.w)
        return NULL;
    return plan_row(run->plan, value,
                    (at->image * v->shape.h + at->y) * v->shape.w + at->x);
}

/* A line below or above those that are seen counts as zeros: where the map goes on there, it only
 * reaches outputs that are not to be made. */
static void transform_inputs(const struct run *run, const struct block *block)
{
    const struct winograd *const w = run->winograd;
    const size_t element = dtype_bytes(w->weight->dtype);
    const size_t row_bytes = (size_t)w->weight->in * element;
    struct kernel_winograd_input arguments = {
        .type = w->weight->dtype,
        .step = w->source_step / element,
        .channels = (size_t)w->weight->in,
    };
    for (int32_t t = 0; t < block->tiles; ++t) {
        const struct corner corner = corner_of(w, block->first + t);
        for (int32_t k = 0; k < 16; ++k) {
            const struct corner at = {corner.image, corner.y - 1 + k / 4,
                                      corner.x - 1 + k % 4};
            arguments.pixels[k] =
                pixel_of(run, run->op->inputs[WINOGRAD_X], run->seen, &at);
        }
        arguments.target = block->source + (size_t)t * row_bytes;
        run->plan->kernels->winograd_input(&arguments);
    }
}

static bool multiply(const struct run *run, const struct block *block, int lane,
                     int32_t output)
{
    const struct winograd *const w = run->winograd;
    const struct weight *const weight = w->weight;
    const size_t panel =
        layout_out(weight->layout, output) * dtype_bytes(weight->dtype);
    const unsigned char *const operand = plan_weight(run->plan, weight);
    for (size_t p = 0; p < WINOGRAD_POINTS; ++p) {
        const struct product_call call = {
            .source = block->source + p * w->source_step,
            .operand = operand + p * weight->point_bytes + panel,
            .result = block->result + p * w->result_step,
            .scratch = block->scratch,
        };
        if (!product_run(block->product, lane, &call)) return false;
    }
    return true;
}

static void transform_outputs(const struct run *run, const struct block *block,
                              int32_t output)
{
    const struct winograd *const w = run->winograd;
    const struct plan *const plan = run->plan;
    const struct value result = run->op->result;
    const struct value residual = run->op->inputs[WINOGRAD_RESIDUAL];
    const size_t out = (size_t)output;
    struct kernel_winograd_output arguments = {
        .step = w->result_step / sizeof(float),
        .channels = (size_t)w->chunk,
        .bias = w->bias ? (const float *)plan_weight(plan, w->bias) + out : NULL,
        .target_type = plan->values[result.id].dtype,
        .residual_type = plan->values[residual.id].dtype,
    };
    const size_t target_at = out * dtype_bytes(arguments.target_type);
    const size_t residual_at = out * dtype_bytes(arguments.residual_type);
    for (int32_t t = 0; t < block->tiles; ++t) {
        const struct corner corner = corner_of(w, block->first + t);
        for (int32_t k = 0; k < 4; ++k) {
            const struct corner at = {corner.image, corner.y + k / 2, corner.x + k % 2};
            unsigned char *const to = pixel_of(run, result, run->lines, &at);
            arguments.pixels[k] = to ? to + target_at : NULL;
            arguments.residual[k] =
                to && residual.id
                    ? pixel_of(run, residual, run->lines, &at) + residual_at
                    : NULL;
        }
        arguments.source =
            (const float *)(const void *)block->result + (size_t)t * arguments.channels;
        plan->kernels->winograd_output(&arguments);
    }
}

/* Task: one block of tiles and one column of the outputs. */
static void run_block(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    const struct winograd *const w = run->winograd;
    const int64_t block_idx = task_idx / w->columns % w->blocks;
    const int64_t line = run->lines.first / 2 + task_idx / w->columns / w->blocks;
    unsigned char *const scratch = (unsigned char *)plan_scratch(run->plan, run->op) +
                                   (size_t)lane * w->lane_bytes;
    struct block block = {
        .first = line * w->tiles + block_idx * w->block_tiles,
        .product = w->products[block_idx == w->blocks - 1],
        .source = scratch,
        .result = scratch + w->source_bytes,
    };
    block.tiles = block.product->shape.rows;
    block.scratch = block.result + WINOGRAD_POINTS * w->result_step;
    transform_inputs(run, &block);
    const int64_t chunks = w->shape.c / w->chunk, column = task_idx % w->columns;
    const int64_t end = chunks * (column + 1) / w->columns;
    for (int64_t i = chunks * column / w->columns; i < end; ++i) {
        const int32_t output = (int32_t)i * w->chunk;
        if (!multiply(run, &block, lane, output)) {
            atomic_store(&run->failed, true);
            return;
        }
        transform_outputs(run, &block, output);
    }
}

/* The lines above and below, where the map has them. */
static struct lines needs(const struct op *op, int k, struct lines lines)
{
    const struct winograd *const w = op->state;
    if (k != WINOGRAD_X) return lines;
    if (lines.first > 0) --lines.first;
    if (lines.end < w->shape.h) ++lines.end;
    return lines;
}

static bool run_all(const struct plan *plan, const struct op *op, struct rows rows)
{
    const struct winograd *const w = op->state;
    struct run run = {
        .plan = plan, .op = op, .winograd = w, .lines = {0, w->shape.h}
    };
    int64_t tile_lines = 1; /* or one cut of all images */
    if (op->by_lines) {
        run.lines.first = (int32_t)(rows.first / w->shape.w);
        run.lines.end = (int32_t)((rows.first + rows.count) / w->shape.w);
        tile_lines = (run.lines.end + 1) / 2 - run.lines.first / 2;
    }
    run.seen = needs(op, WINOGRAD_X, run.lines);
    team_run(tile_lines * w->blocks * w->columns, run_block, &run);
    return !atomic_load(&run.failed);
}

static const struct op_class winograd_class = {
    .kind = "conv 3x3 Winograd",
    .prepare = prepare,
    .run = run_all,
    .by_rows = true,
    .line_step = 2,
    .needs = needs,
};

struct value winograd_add(struct plan *plan, struct value x, struct value result,
                          const struct conv_options *options)
{
    struct winograd *const w = plan_record(plan, sizeof *w);
    if (!w) return VALUE_NONE;
    const struct shape shape = plan_shape(plan, result);
    *w = (struct winograd){
        .weight = options->weight,
        .bias = options->bias,
        .shape = shape,
        .tile_lines = (int32_t)divide_up(shape.h, 2),
        .tile_columns = (int32_t)divide_up(shape.w, 2),
    };
    return plan_add_op(
        plan, &(struct op){
                  .class = &winograd_class,
                  .inputs = {[WINOGRAD_X] = x, [WINOGRAD_RESIDUAL] = options->residual},
                  .result = result,
                  .state = w,
                  .inplace = options->residual.id ? WINOGRAD_RESIDUAL : NOT_INPLACE,
    });
}
