/* Blocks of tiles, multiplied by product.h.
 *
 * If all combined weights fit the buffer, a task is a block of tiles, and one worker makes its windows. Else
 * windows are made for a group of blocks, and the weights are combined some panels at a time.
 *
 * The library may sum a GEMM of another shape in another order: so blocks and panels depend only on the shape. The
 * groups change only memory.
 */
#include "compute/tiled_conv_private.h"

#include <string.h>

#include "compute/compute.h"
#include "compute/team.h"

/* As for the rows of a projection: with fewer tiles the weight is read too often, more do not fit the
 * caches. */
#define MOST_TILES   128
#define FEWEST_TILES 32
/* Outputs of one GEMM: many, because that is fast; fewer if there are few tiles, so that all threads
 * have work. */
#define MOST_OUTPUTS 320
#define FEW_OUTPUTS  128
/* At most this many bytes of combined weights, so that they stay in a shared cache until they are used. */
#define COMBINED_BYTES (10u << 20)
/* Bytes of the windows of a group of blocks, for weights that are combined panel by panel: many, since
 * the weights are combined again for each group. */
#define GROUP_BYTES       (16u << 20)
#define WINDOW_TASK_TILES 16
#define COMBINE_TASK_IN   64

/* ---- choosing ----------------------------------------------------------------------- */

static size_t combined_bytes(const struct tiled_conv *t, int32_t outputs)
{
    return (size_t)t->recipe.pieces * (size_t)t->weight->in * (size_t)outputs *
           dtype_bytes(t->weight->dtype);
}

/* Panels of whole blocks of the library's layouts that divide the outputs; else one. */
static int32_t choose_panel(const struct tiled_conv *t, int64_t tiles)
{
    const struct weight *const weight = t->weight;
    const int32_t most = tiles > MOST_TILES ? MOST_OUTPUTS : FEW_OUTPUTS;
    if (weight->out <= LAYOUT_BLOCK) return weight->out;
    for (int32_t panel = at_most(weight->out, most) / LAYOUT_BLOCK * LAYOUT_BLOCK;
         panel > 0; panel -= LAYOUT_BLOCK)
        if (weight->out % panel == 0 &&
            (panel == LAYOUT_BLOCK || combined_bytes(t, panel) <= COMBINED_BYTES))
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
    return (size_t)tiled_numbers(&t->recipe) * t->source_step;
}

static size_t panel_bytes(const struct tiled_conv *t)
{
    return (size_t)t->recipe.points * t->operand_step;
}

/* [combined weights][windows of a group][a lane: its block's windows, its products] */
static void lay_out(struct tiled_conv *t, struct op *op, int64_t all_blocks)
{
    const int64_t threads = team_lanes(all_blocks, block_bytes(t));
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
    const int64_t tasks =
        stays ? all_blocks : (int64_t)t->group_blocks * t->chunk_panels;
    t->lanes = team_lanes(tasks, t->lane_bytes);
    op->scratch_bytes = t->lanes_at + t->lane_bytes * (size_t)t->lanes;
}

enum dr_code tiled_block_prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct tiled_conv *const t = op->state;
    t->tiles =
        op->by_lines ? t->tile_columns : tiled_conv_tiles(t->shape, t->recipe.outputs);
    choose_blocks(t);
    const enum dr_code code = get_products(plan, t, err);
    if (code != DR_OK) return code;
    const size_t tiles = (size_t)t->block_tiles;
    t->source_step = step_between_points(tiles * (size_t)t->operand.in *
                                         dtype_bytes(t->weight->dtype));
    t->result_step =
        step_between_points(tiles * (size_t)t->operand.out * sizeof(float));
    lay_out(t, op, t->blocks * (op->by_lines ? t->tile_lines : 1));
    return DR_OK;
}

bool tiled_block_choose(struct tiled_conv *t, struct dr_error *err)
{
    const struct weight *const weight = t->weight;
    t->panel_out = choose_panel(t, tiled_conv_tiles(t->shape, t->recipe.outputs));
    t->panels = weight->out / t->panel_out;
    t->chunk_in = weight->in;
    if (layout_choose(&t->operand, weight->dtype, t->recipe.parts * weight->in,
                      t->panel_out, err) != DR_OK)
        return false;
    t->operand_step = step_between_points(t->operand.bytes);
    const size_t fitting = COMBINED_BYTES / combined_bytes(t, t->panel_out) / 2 * 2;
    t->chunk_panels = at_most(fitting > 2 ? (int32_t)fitting : 2, t->panels);
    return can_combine(t);
}

/* ---- running ------------------------------------------------------------------------ */

static struct tiled_block block_of(const struct tiled_run *run, int32_t idx)
{
    const struct tiled_conv *const t = run->conv;
    const int64_t of_all = run->first_block + idx;
    const int64_t line = of_all / t->blocks, in_line = of_all % t->blocks;
    return (struct tiled_block){
        .first = line * t->tiles + in_line * t->block_tiles,
        .tiles = t->products[in_line == t->blocks - 1]->shape.rows,
    };
}

static unsigned char *lane_of(const struct tiled_run *run, int lane)
{
    return run->scratch + run->conv->lanes_at + (size_t)lane * run->conv->lane_bytes;
}

static void combine_run(const struct tiled_run *run, int32_t panel, int32_t in,
                        int32_t out, size_t count)
{
    const struct tiled_conv *const t = run->conv;
    const int32_t parts = t->recipe.parts;
    unsigned char *targets[TILE_MOST_POINTS];
    for (int32_t piece = 0; piece < t->recipe.pieces; ++piece) {
        const size_t at = (size_t)panel * panel_bytes(t) +
                          (size_t)(piece / parts) * t->operand_step +
                          (layout_in(&t->operand, piece % parts * t->weight->in + in) +
                           layout_out(&t->operand, out)) *
                              dtype_bytes(t->weight->dtype);
        targets[piece] = run->scratch + at;
    }
    const struct tiled_taps taps = {
        .in = in,
        .output = (run->first_panel + panel) * t->panel_out + out,
        .count = count,
        .row = -1,
    };
    tiled_combine(run, &taps, targets);
}

/* Task: some inputs of a panel. */
static void combine(void *context, int64_t task_idx, int lane)
{
    const struct tiled_run *const run = context;
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

static bool multiply(const struct tiled_run *run, const struct tiled_block *block,
                     int32_t panel, int lane)
{
    const struct tiled_conv *const t = run->conv;
    const struct product *const product =
        t->products[block->tiles != t->products[0]->shape.rows];
    unsigned char *const stage = lane_of(run, lane) + t->stage_at;
    for (size_t p = 0; p < (size_t)t->recipe.points; ++p) {
        const struct product_call call = {
            .source = block->windows +
                      (size_t)tiled_number_of(&t->recipe, (int32_t)p) * t->source_step,
            .operand =
                run->scratch + (size_t)panel * panel_bytes(t) + p * t->operand_step,
            .result = stage + p * t->result_step,
            .scratch = stage + (size_t)t->recipe.points * t->result_step,
        };
        if (!product_run(product, lane, &call)) return false;
    }
    tiled_write_outputs(run, block, (run->first_panel + panel) * t->panel_out, stage);
    return true;
}

/* ---- all combined weights at once ---- */

/* Task: a block of tiles. */
static void run_block(void *context, int64_t task_idx, int lane)
{
    struct tiled_run *const run = context;
    struct tiled_block block = block_of(run, (int32_t)task_idx);
    block.windows = lane_of(run, lane);
    tiled_make_windows(run, &block, 0, block.tiles);
    for (int32_t panel = 0; panel < run->panel_count; ++panel)
        if (!multiply(run, &block, panel, lane)) atomic_store(&run->failed, true);
}

static void run_at_once(struct tiled_run *run, int64_t end)
{
    const struct tiled_conv *const t = run->conv;
    run->panel_count = t->panels;
    team_run(t->panels * divide_up(t->weight->in, COMBINE_TASK_IN), combine, run);
    team_run_on(run->conv->lanes, end - run->first_block, run_block, run);
}

/* ---- some at a time ---- */

static struct tiled_block group_block(const struct tiled_run *run, int32_t idx)
{
    const struct tiled_conv *const t = run->conv;
    struct tiled_block block = block_of(run, idx);
    block.windows = run->scratch + t->windows_at + (size_t)idx * block_bytes(t);
    return block;
}

/* Task: some tiles of a block of the group. */
static void make_some_windows(void *context, int64_t task_idx, int lane)
{
    const struct tiled_run *const run = context;
    const int64_t tasks = divide_up(run->conv->block_tiles, WINDOW_TASK_TILES);
    const struct tiled_block block = group_block(run, (int32_t)(task_idx / tasks));
    const int32_t first = (int32_t)(task_idx % tasks) * WINDOW_TASK_TILES;
    (void)lane;
    tiled_make_windows(run, &block, first,
                       at_most(block.tiles, first + WINDOW_TASK_TILES));
}

/* Task: a block of tiles and a panel of outputs. */
static void multiply_some(void *context, int64_t task_idx, int lane)
{
    struct tiled_run *const run = context;
    const struct tiled_block block =
        group_block(run, (int32_t)(task_idx % run->block_count));
    if (!multiply(run, &block, (int32_t)(task_idx / run->block_count), lane))
        atomic_store(&run->failed, true);
}

static void run_group(struct tiled_run *run)
{
    const struct tiled_conv *const t = run->conv;
    team_run(run->block_count * divide_up(t->block_tiles, WINDOW_TASK_TILES),
             make_some_windows, run);
    for (int32_t panel = 0; panel < t->panels; panel += t->chunk_panels) {
        run->first_panel = panel;
        run->panel_count = at_most(t->panels - panel, t->chunk_panels);
        team_run(run->panel_count * divide_up(t->weight->in, COMBINE_TASK_IN), combine,
                 run);
        team_run_on(t->lanes, (int64_t)run->block_count * run->panel_count,
                    multiply_some, run);
    }
}

bool tiled_block_run(struct tiled_run *run)
{
    const struct tiled_conv *const t = run->conv;
    int64_t end = t->blocks; /* one cut of all images, or of each line of tiles */
    if (run->op->by_lines) {
        run->first_block = run->lines.first / t->recipe.outputs * t->blocks;
        end = divide_up(run->lines.end, t->recipe.outputs) * t->blocks;
    }
    if (t->group_blocks == 0) {
        run_at_once(run, end);
        return !atomic_load(&run->failed);
    }
    for (; run->first_block < end; run->first_block += run->block_count) {
        const int64_t left = end - run->first_block;
        run->block_count = left < t->group_blocks ? (int32_t)left : t->group_blocks;
        run_group(run);
    }
    return !atomic_load(&run->failed);
}
