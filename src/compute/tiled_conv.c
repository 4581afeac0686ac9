#include "compute/tiled_conv.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"
#include "compute/compute.h"
#include "compute/team.h"

enum {
    TAPS = 9,
    PIECES = 16 /* combined taps */
};

/* As for the rows of a projection: with fewer tiles the weight is read too often, more do not fit the
 * caches. */
#define MOST_TILES   128
#define FEWEST_TILES 32
/* Outputs of one GEMM: many, because that is fast; fewer if there are few tiles, so that all threads
 * have work. */
#define MOST_OUTPUTS 320
#define FEW_OUTPUTS  128
/* At most this many bytes of combined weights, so that they stay in a shared cache until they are used. */
#define COMBINED_BYTES (9u << 20)
/* Bytes of the windows of a group of blocks, for weights that are combined panel by panel: many, since
 * the weights are combined again for each group. */
#define GROUP_BYTES       (16u << 20)
#define WINDOW_TASK_TILES 16
#define COMBINE_TASK_IN   64

struct recipe {
    int32_t points; /* products */
    int32_t parts;  /* input pixels side by side in a row of one: PIECES / points */
    int32_t tile_inputs; /* input lines from tile to tile */
    int32_t side; /* of the window, which begins one line above and one column before */
};

static const struct recipe recipes[] = {
    [TILED_WINOGRAD] = {.points = 16, .parts = 1, .tile_inputs = 2, .side = 4},
    [TILED_ENLARGING] = {.points = 4,  .parts = 4, .tile_inputs = 1, .side = 3},
};

enum {
    TILED_X,
    TILED_RESIDUAL
};

struct tiled_conv {
    enum tiled_recipe which;
    struct recipe recipe;
    const struct weight *weight, *bias; /* bias may be NULL */
    struct shape shape;                 /* of the result */
    int32_t tile_lines, tile_columns;   /* of one image */
    struct weight_layout
        operand; /* of one product: parts x in inputs, a panel of outputs */
    int32_t panels,
        chunk_panels; /* of all outputs; combined at once, but for the last */
    /* found by prepare */
    int64_t
        tiles; /* that are cut into blocks: of all images, or of each line of tiles */
    int64_t blocks; /* that they are cut into */
    int32_t block_tiles;
    int32_t
        group_blocks; /* 0: combined weights stay, and a task makes the windows it needs */
    const struct product *products[2]; /* for whole blocks, and for the last */
    size_t operand_step, source_step, result_step;     /* bytes from point to point */
    size_t windows_at, lanes_at, stage_at, lane_bytes; /* see lay_out */
};

static int32_t at_most(int32_t count, int32_t most)
{
    return count < most ? count : most;
}

/* Not a multiple of 4096, or what is written side by side for all points would want the same few
 * places of the first cache. */
static size_t step_between_points(size_t bytes)
{
    return size_align(bytes, 4096) + 64;
}

/* ---- choosing ----------------------------------------------------------------------- */

static size_t combined_bytes(const struct weight *weight, int32_t outputs)
{
    return PIECES * (size_t)weight->in * (size_t)outputs * dtype_bytes(weight->dtype);
}

/* Panels of whole blocks of the library's layouts that divide the outputs; else one. */
static int32_t choose_panel(const struct weight *weight, int64_t tiles)
{
    const int32_t most = tiles > MOST_TILES ? MOST_OUTPUTS : FEW_OUTPUTS;
    if (weight->out <= LAYOUT_BLOCK) return weight->out;
    for (int32_t panel = at_most(weight->out, most) / LAYOUT_BLOCK * LAYOUT_BLOCK;
         panel > 0; panel -= LAYOUT_BLOCK)
        if (weight->out % panel == 0 &&
            (panel == LAYOUT_BLOCK || combined_bytes(weight, panel) <= COMBINED_BYTES))
            return panel;
    return weight->out;
}

/* Numbers that lie one after the other in both layouts, and mean the same inputs and outputs: a
 * block of each; or, without blocks, a line of outputs. */
static bool is_alike(const struct weight_layout *a, const struct weight_layout *b)
{
    if (a->in_block != b->in_block || a->out_block != b->out_block) return false;
    if (a->in_block * a->out_block == 1)
        return a->out_stride == 1 && b->out_stride == 1;
    const size_t in = (size_t)a->in_block, out = (size_t)a->out_block;
    if ((size_t)a->in_place[in - 1] + a->out_place[out - 1] + 1 != in * out)
        return false;
    return memcmp(a->in_place, b->in_place, in * sizeof *a->in_place) == 0 &&
           memcmp(a->out_place, b->out_place, out * sizeof *a->out_place) == 0;
}

/* Each tap's inputs and each panel must begin with a block. Outputs that fill up the last block are zeros in both. */
static bool can_combine(const struct tiled_conv *t)
{
    return panel_has_layout(t->weight) && is_alike(t->weight->layout, &t->operand) &&
           t->weight->in % t->operand.in_block == 0 &&
           COMBINE_TASK_IN % t->operand.in_block == 0 &&
           (t->panels == 1 || t->operand.out % t->operand.out_block == 0);
}

/* ---- preparing ---------------------------------------------------------------------- */

/* An even count, for two threads; where a group has only one, they share the panels. */
static void choose_blocks(struct tiled_conv *t)
{
    int64_t blocks = divide_up(t->tiles, MOST_TILES);
    if (t->tiles >= 2 * FEWEST_TILES) blocks = divide_up(blocks, 2) * 2;
    t->block_tiles = (int32_t)divide_up(t->tiles, blocks);
    t->blocks = divide_up(t->tiles, t->block_tiles);
}

static enum dr_code get_products(struct plan *plan, struct tiled_conv *t,
                                 struct dr_error *err)
{
    struct product_shape shape = {.rows = t->block_tiles, .result = DTYPE_F32};
    enum dr_code code =
        product_get(&plan->products, &shape, &t->operand, &t->products[0], err);
    shape.rows = (int32_t)(t->tiles - (t->blocks - 1) * t->block_tiles);
    if (code == DR_OK)
        code = product_get(&plan->products, &shape, &t->operand, &t->products[1], err);
    return code;
}

static size_t block_bytes(const struct tiled_conv *t)
{
    return (size_t)t->recipe.points * t->source_step;
}

static size_t panel_bytes(const struct tiled_conv *t)
{
    return (size_t)t->recipe.points * t->operand_step;
}

/* [combined weights][windows of a group][a lane: its block's windows, its products] */
static void lay_out(struct tiled_conv *t, struct op *op, int64_t all_blocks)
{
    const int64_t threads = compute_thread_count();
    const int64_t fitting = (int64_t)(GROUP_BYTES / block_bytes(t)) / 2 * 2;
    const int64_t blocks = fitting > threads ? fitting : threads;
    const bool stays = t->chunk_panels == t->panels;
    t->group_blocks = stays ? 0 : (int32_t)(blocks < all_blocks ? blocks : all_blocks);
    size_t product_bytes = t->products[0]->scratch_bytes;
    if (t->products[1]->scratch_bytes > product_bytes)
        product_bytes = t->products[1]->scratch_bytes;
    t->windows_at = (size_t)t->chunk_panels * panel_bytes(t);
    t->lanes_at = t->windows_at + (size_t)t->group_blocks * block_bytes(t);
    t->stage_at = stays ? block_bytes(t) : 0;
    t->lane_bytes =
        t->stage_at + (size_t)t->recipe.points * t->result_step + product_bytes;
    op->scratch_bytes = t->lanes_at + t->lane_bytes * (size_t)threads;
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct tiled_conv *const t = op->state;
    const struct weight *const weight = t->weight;
    t->tiles = op->by_lines ? t->tile_columns : tiled_conv_tiles(t->shape);
    choose_blocks(t);
    const enum dr_code code = get_products(plan, t, err);
    if (code != DR_OK) return code;
    const size_t tiles = (size_t)t->block_tiles;
    t->source_step =
        step_between_points(tiles * (size_t)t->operand.in * dtype_bytes(weight->dtype));
    t->result_step =
        step_between_points(tiles * (size_t)t->operand.out * sizeof(float));
    lay_out(t, op, t->blocks * (op->by_lines ? t->tile_lines : 1));
    /* Of the direct convolution that it stands for: rates compare. */
    op->flop = 2.0 * (double)shape_rows(t->shape) * weight->in * TAPS * weight->out;
    op->weight_bytes = weight->bytes + (t->bias ? t->bias->bytes : 0);
    return DR_OK;
}

/* ---- running ------------------------------------------------------------------------ */

struct run {
    const struct plan *plan;
    const struct op *op;
    const struct tiled_conv *conv;
    struct lines lines; /* to make, of each image */
    struct lines seen;  /* that they are made of */
    unsigned char *scratch;
    int64_t first_block;              /* of the group; or of all that is to be made */
    int32_t block_count;              /* of the group */
    int32_t first_panel, panel_count; /* of the chunk */
    atomic_bool failed;
};

/* A block's tiles. */
struct block {
    int64_t first;
    int32_t tiles;
    const struct product *product;
    unsigned char *windows;
};

static struct block block_of(const struct run *run, int32_t idx)
{
    const struct tiled_conv *const t = run->conv;
    const int64_t of_all = run->first_block + idx;
    const int64_t line = of_all / t->blocks, in_line = of_all % t->blocks;
    struct block block = {
        .first = line * t->tiles + in_line * t->block_tiles,
        .product = t->products[in_line == t->blocks - 1],
    };
    block.tiles = block.product->shape.rows;
    return block;
}

static unsigned char *lane_of(const struct run *run, int lane)
{
    return run->scratch + run->conv->lanes_at + (size_t)lane * run->conv->lane_bytes;
}

/* A place in a map. */
struct place {
    int64_t image;
    int32_t y, x;
};

static struct place tile_place(const struct tiled_conv *t, int64_t tile)
{
    const int64_t line = tile / t->tile_columns;
    return (struct place){
        .image = line / t->tile_lines,
        .y = (int32_t)(line % t->tile_lines),
        .x = (int32_t)(tile % t->tile_columns),
    };
}

/* NULL: not in the map, or not among the lines. */
static unsigned char *pixel_of(const struct run *run, struct value value,
                               struct lines lines, struct place at)
{
    const struct plan_value *const v = &run->plan->values[value.id];
    if (at.y < lines.first || at.y >= lines.end || at.x < 0 || at.x >= v->shape.w)
        return NULL;
    return plan_row(run->plan, value,
                    (at.image * v->shape.h + at.y) * v->shape.w + at.x);
}

static void copy_pixel(void *target, const void *source, size_t bytes)
{
    if (source)
        memcpy(target, source, bytes);
    else
        memset(target, 0, bytes);
}

/* A window's 2x2 inputs for each of the four outputs. */
static void copy_windows(const struct tiled_conv *t, const void *const window[],
                         unsigned char *target)
{
    const size_t bytes = (size_t)t->weight->in * dtype_bytes(t->weight->dtype);
    for (int32_t point = 0; point < 4; ++point)
        for (int32_t part = 0; part < 4; ++part) {
            const int32_t y = point / 2 + part / 2, x = point % 2 + part % 2;
            copy_pixel(target + (size_t)point * t->source_step + (size_t)part * bytes,
                       window[y * t->recipe.side + x], bytes);
        }
}

/* A line that is not seen counts as zeros: where the map goes on there, it only reaches outputs that
 * are not to be made. */
static void make_windows(const struct run *run, const struct block *block,
                         int32_t first, int32_t end)
{
    const struct tiled_conv *const t = run->conv;
    const int32_t side = t->recipe.side;
    const size_t element = dtype_bytes(t->weight->dtype);
    for (int32_t i = first; i < end; ++i) {
        const struct place tile = tile_place(t, block->first + i);
        const void *window[16] = {NULL};
        for (int32_t k = 0; k < side * side; ++k)
            window[k] = pixel_of(run, run->op->inputs[TILED_X], run->seen,
                                 (struct place){
                                     tile.image,
                                     tile.y * t->recipe.tile_inputs - 1 + k / side,
                                     tile.x * t->recipe.tile_inputs - 1 + k % side,
                                 });
        unsigned char *const row =
            block->windows + (size_t)i * (size_t)t->operand.in * element;
        if (t->which == TILED_ENLARGING) {
            copy_windows(t, window, row);
            continue;
        }
        struct kernel_winograd_input arguments = {
            .target = row,
            .type = t->weight->dtype,
            .step = t->source_step / element,
            .channels = (size_t)t->weight->in,
        };
        memcpy(arguments.pixels, window, sizeof window);
        run->plan->kernels->winograd_input(&arguments);
    }
}

/* The run of stored numbers that begins with this input and output. */
static const unsigned char *run_in(const struct weight *weight,
                                   const unsigned char *data, int32_t in, int32_t out)
{
    const struct weight_layout *const layout = weight->layout;
    return data + (layout_in(layout, in) + layout_out(layout, out)) *
                      dtype_bytes(weight->stored);
}

static void combine_run(const struct run *run, int32_t panel, int32_t in, int32_t out,
                        size_t count)
{
    const struct tiled_conv *const t = run->conv;
    const struct weight *const weight = t->weight;
    struct kernel_taps arguments = {.type = weight->dtype,
                                    .source_type = weight->stored,
                                    .count = count,
                                    .enlarging = t->which == TILED_ENLARGING};
    for (int32_t tap = 0; tap < TAPS; ++tap)
        arguments.taps[tap] =
            run_in(weight, plan_weight(run->plan, weight), tap * weight->in + in,
                   (run->first_panel + panel) * t->operand.out + out);
    const int32_t parts = t->recipe.parts;
    for (int32_t piece = 0; piece < PIECES; ++piece) {
        const size_t at = (size_t)panel * panel_bytes(t) +
                          (size_t)(piece / parts) * t->operand_step +
                          (layout_in(&t->operand, piece % parts * weight->in + in) +
                           layout_out(&t->operand, out)) *
                              dtype_bytes(weight->dtype);
        arguments.targets[piece] = run->scratch + at;
    }
    run->plan->kernels->combine_taps(&arguments);
}

/* Task: some inputs of a panel. */
static void combine(void *context, int64_t task_idx, int lane)
{
    const struct run *const run = context;
    const struct tiled_conv *const t = run->conv;
    const struct weight_layout *const layout = &t->operand;
    const bool plain = layout->in_block * layout->out_block == 1;
    const int32_t outputs = plain ? layout->out : layout->out_block;
    const int64_t tasks = divide_up(t->weight->in, COMBINE_TASK_IN);
    const int32_t panel = (int32_t)(task_idx / tasks);
    const int32_t first = (int32_t)(task_idx % tasks) * COMBINE_TASK_IN;
    const int32_t end = at_most(t->weight->in, first + COMBINE_TASK_IN);
    (void)lane;
    for (int32_t out = 0; out < layout->out; out += outputs)
        for (int32_t in = first; in < end; in += layout->in_block)
            combine_run(run, panel, in, out,
                        (size_t)outputs * (size_t)layout->in_block);
}

static void write_outputs(const struct run *run, const struct block *block,
                          int32_t output, const unsigned char *stage)
{
    const struct tiled_conv *const t = run->conv;
    const struct plan *const plan = run->plan;
    const struct value result = run->op->result;
    const struct value residual = run->op->inputs[TILED_RESIDUAL];
    struct kernel_tile_output arguments = {
        .step = t->result_step / sizeof(float),
        .channels = (size_t)t->operand.out,
        .bias = t->bias ? (const float *)plan_weight(plan, t->bias) + output : NULL,
        .target_type = plan->values[result.id].dtype,
        .residual_type = plan->values[residual.id ? residual.id : result.id].dtype,
        .winograd = t->which == TILED_WINOGRAD,
    };
    const size_t target_at = (size_t)output * dtype_bytes(arguments.target_type);
    const size_t residual_at = (size_t)output * dtype_bytes(arguments.residual_type);
    for (int32_t i = 0; i < block->tiles; ++i) {
        const struct place tile = tile_place(t, block->first + i);
        for (int32_t k = 0; k < 4; ++k) {
            const struct place at = {tile.image, 2 * tile.y + k / 2,
                                     2 * tile.x + k % 2};
            unsigned char *const to = pixel_of(run, result, run->lines, at);
            arguments.pixels[k] = to ? to + target_at : NULL;
            arguments.residual[k] =
                to && residual.id
                    ? pixel_of(run, residual, run->lines, at) + residual_at
                    : NULL;
        }
        arguments.source =
            (const float *)(const void *)stage + (size_t)i * arguments.channels;
        plan->kernels->tile_output(&arguments);
    }
}

static bool multiply(const struct run *run, const struct block *block, int32_t panel,
                     int lane)
{
    const struct tiled_conv *const t = run->conv;
    unsigned char *const stage = lane_of(run, lane) + t->stage_at;
    for (size_t p = 0; p < (size_t)t->recipe.points; ++p) {
        const struct product_call call = {
            .source = block->windows + p * t->source_step,
            .operand =
                run->scratch + (size_t)panel * panel_bytes(t) + p * t->operand_step,
            .result = stage + p * t->result_step,
            .scratch = stage + (size_t)t->recipe.points * t->result_step,
        };
        if (!product_run(block->product, lane, &call)) return false;
    }
    write_outputs(run, block, (run->first_panel + panel) * t->operand.out, stage);
    return true;
}

/* ---- all combined weights at once ---- */

/* Task: a block of tiles. */
static void run_block(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    struct block block = block_of(run, (int32_t)task_idx);
    block.windows = lane_of(run, lane);
    make_windows(run, &block, 0, block.tiles);
    for (int32_t panel = 0; panel < run->panel_count; ++panel)
        if (!multiply(run, &block, panel, lane)) atomic_store(&run->failed, true);
}

static void run_at_once(struct run *run, int64_t end)
{
    const struct tiled_conv *const t = run->conv;
    run->panel_count = t->panels;
    team_run(t->panels * divide_up(t->weight->in, COMBINE_TASK_IN), combine, run);
    team_run(end - run->first_block, run_block, run);
}

/* ---- some at a time ---- */

static struct block group_block(const struct run *run, int32_t idx)
{
    const struct tiled_conv *const t = run->conv;
    struct block block = block_of(run, idx);
    block.windows = run->scratch + t->windows_at + (size_t)idx * block_bytes(t);
    return block;
}

/* Task: some tiles of a block of the group. */
static void make_some_windows(void *context, int64_t task_idx, int lane)
{
    const struct run *const run = context;
    const int64_t tasks = divide_up(run->conv->block_tiles, WINDOW_TASK_TILES);
    const struct block block = group_block(run, (int32_t)(task_idx / tasks));
    const int32_t first = (int32_t)(task_idx % tasks) * WINDOW_TASK_TILES;
    (void)lane;
    make_windows(run, &block, first, at_most(block.tiles, first + WINDOW_TASK_TILES));
}

/* Task: a block of tiles and a panel of outputs. */
static void multiply_some(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    const struct block block = group_block(run, (int32_t)(task_idx % run->block_count));
    if (!multiply(run, &block, (int32_t)(task_idx / run->block_count), lane))
        atomic_store(&run->failed, true);
}

static void run_group(struct run *run)
{
    const struct tiled_conv *const t = run->conv;
    team_run(run->block_count * divide_up(t->block_tiles, WINDOW_TASK_TILES),
             make_some_windows, run);
    for (int32_t panel = 0; panel < t->panels; panel += t->chunk_panels) {
        run->first_panel = panel;
        run->panel_count = at_most(t->panels - panel, t->chunk_panels);
        team_run(run->panel_count * divide_up(t->weight->in, COMBINE_TASK_IN), combine,
                 run);
        team_run((int64_t)run->block_count * run->panel_count, multiply_some, run);
    }
}

/* ---- the operator ---- */

/* An output line is made of input lines y - 1 to y + 1; enlarged, of the two that its own and its
 * nearer neighbour come from. */
static struct lines needs(const struct op *op, int k, struct lines lines)
{
    const struct tiled_conv *const t = op->state;
    if (k != TILED_X) return lines;
    struct lines seen = {lines.first - 1, lines.end + 1};
    int32_t height = t->shape.h;
    if (t->which == TILED_ENLARGING) {
        seen = (struct lines){(lines.first + 1) / 2 - 1, lines.end / 2 + 1};
        height /= 2;
    }
    if (seen.first < 0) seen.first = 0;
    if (seen.end > height) seen.end = height;
    return seen;
}

static bool run_rows(const struct plan *plan, const struct op *op, struct rows rows)
{
    const struct tiled_conv *const t = op->state;
    struct run run = {
        .plan = plan,
        .op = op,
        .conv = t,
        .lines = {0, t->shape.h},
        .scratch = plan_scratch(plan, op),
    };
    int64_t end = t->blocks; /* one cut of all images, or of each line of tiles */
    if (op->by_lines) {
        run.lines.first = (int32_t)(rows.first / t->shape.w);
        run.lines.end = (int32_t)((rows.first + rows.count) / t->shape.w);
        run.first_block = run.lines.first / 2 * t->blocks;
        end = (run.lines.end + 1) / 2 * t->blocks;
    }
    run.seen = needs(op, TILED_X, run.lines);
    if (t->group_blocks == 0) {
        run_at_once(&run, end);
        return !atomic_load(&run.failed);
    }
    for (; run.first_block < end; run.first_block += run.block_count) {
        const int64_t left = end - run.first_block;
        run.block_count = left < t->group_blocks ? (int32_t)left : t->group_blocks;
        run_group(&run);
    }
    return !atomic_load(&run.failed);
}

#define TILED_CLASS(name)                                                     \
    {                                                                         \
        .kind = (name), .prepare = prepare, .run = run_rows, .by_rows = true, \
        .line_step = 2, .needs = needs                                        \
    }
static const struct op_class classes[] = {
    [TILED_WINOGRAD] = TILED_CLASS("conv 3x3 Winograd"),
    [TILED_ENLARGING] = TILED_CLASS("conv 3x3 enlarging"),
};

int64_t tiled_conv_tiles(struct shape shape)
{
    return shape.n * divide_up(shape.h, 2) * divide_up(shape.w, 2);
}

bool tiled_conv_add(struct plan *plan, struct value x, struct value result,
                    const struct conv_options *options, enum tiled_recipe recipe)
{
    struct tiled_conv *const t = plan_record(plan, sizeof *t);
    if (!t) return true;
    const struct shape shape = plan_shape(plan, result);
    const struct weight *const weight = options->weight;
    *t = (struct tiled_conv){
        .which = recipe,
        .recipe = recipes[recipe],
        .weight = weight,
        .bias = options->bias,
        .shape = shape,
        .tile_lines = (int32_t)divide_up(shape.h, 2),
        .tile_columns = (int32_t)divide_up(shape.w, 2),
    };
    const int32_t panel = choose_panel(weight, tiled_conv_tiles(shape));
    struct dr_error err = {0};
    const enum dr_code code = layout_choose(&t->operand, weight->dtype,
                                            t->recipe.parts * weight->in, panel, &err);
    if (code != DR_OK) {
        plan_fail(plan, code, "%s", err.message);
        return true;
    }
    t->panels = weight->out / panel;
    if (!can_combine(t)) return false;
    t->operand_step = step_between_points(t->operand.bytes);
    const size_t fitting = COMBINED_BYTES / combined_bytes(weight, panel) / 2 * 2;
    t->chunk_panels = at_most(fitting > 2 ? (int32_t)fitting : 2, t->panels);
    plan_uses(plan, weight);
    plan_uses(plan, options->bias);
    (void)plan_add_op(
        plan, &(struct op){
                  .class = &classes[recipe],
                  .inputs = {[TILED_X] = x, [TILED_RESIDUAL] = options->residual},
                  .result = result,
                  .state = t,
                  .inplace = options->residual.id ? TILED_RESIDUAL : NOT_INPLACE,
    });
    return true;
}
