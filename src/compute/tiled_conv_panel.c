/* By panels: a task is a panel of outputs and a block of tiles.
 *
 *     windows of a group of tiles, by all workers              [block][point][chunk of inputs][tile][input]
 *     for each panel and block, by one worker:
 *         for each chunk of inputs and row of points (in bfloat16 all points):
 *             combine the taps                                 [point][input][output]
 *             add the products                                 [point][tile][output]
 *         write the outputs
 *
 * So combined taps are never further away than the worker's own cache, and a weight is read once for each block of
 * tiles, which is the whole layer where there are few. The sums of a tile are made in the order of its inputs, chunk by
 * chunk, whatever else is in the block: groups and blocks may depend on the threads, and change only memory and time.
 */
#include "compute/tiled_conv_private.h"

#include "compute/compute.h"
#include "compute/team.h"

/* Inputs of a chunk: one point's combined taps (64 outputs of them) fit the first cache, a block's sums the second. */
#define CHUNK_BYTES 256
/* Windows of a group: many, since the weights are combined again for each group; few, since they are memory. */
#define GROUP_BYTES (12u << 20)
/* The same where lines are wide: there the map itself is large, and its peak must not grow. */
#define LINES_GROUP_BYTES (1280u << 10)
/* Combining taps costs as much as multiplying two tiles with them, in bfloat16 six. With more tiles than that, more
 * tasks are better. */
#define MOST_TILES        96
#define MOST_TILES_BF16   128
#define FEWEST_TILES      24
#define TASKS_PER_THREAD  4
#define WINDOW_TASK_TILES 8

/* Lines of outputs, all blocks one after the other: what the library chooses, and layout_panels. Of bfloat16 a line has
 * two inputs, side by side. */
static bool has_lines_of_outputs(const struct weight_layout *layout)
{
    const int32_t each = layout->type == DTYPE_BF16 ? 2 : 1;
    for (int32_t i = 0; i < layout->in_block; ++i)
        if (layout->in_place[i] != i / each * each * layout->out_block + i % each)
            return false;
    for (int32_t i = 0; i < layout->out_block; ++i)
        if (layout->out_place[i] != i * each) return false;
    return layout->out_block % 16 == 0 && layout->in_block % each == 0 &&
           layout->in_stride == (size_t)(layout->in_block * layout->out_block);
}

static size_t element_bytes(const struct tiled_conv *t)
{
    return dtype_bytes(t->weight->dtype);
}

/* As kernel_multiply counts. */
static size_t words(const struct tiled_conv *t, size_t numbers)
{
    return numbers * element_bytes(t) / sizeof(uint32_t);
}

bool tiled_panel_choose(struct tiled_conv *t)
{
    const struct weight_layout *const layout = t->weight->layout;
    const int32_t in = t->weight->in;
    if (!panel_has_layout(t->weight) || !has_lines_of_outputs(layout) ||
        in % layout->in_block != 0)
        return false;
    t->panel_out = layout->out_block;
    /* Combining row by row takes bfloat16 twice as long as all points together, which take half of the room. */
    t->combined_points =
        t->weight->dtype == DTYPE_F32 ? t->recipe.row : t->recipe.points;
    t->panels = (int32_t)divide_up(t->weight->out, t->panel_out);
    const int64_t chunks =
        divide_up((int64_t)in * (int64_t)element_bytes(t), CHUNK_BYTES);
    const int32_t step = layout->in_block > 16 ? layout->in_block : 16;
    t->chunk_in = (int32_t)divide_up(divide_up(in, chunks), step) * step;
    return true;
}

static int32_t chunk_count(const struct tiled_conv *t)
{
    return (int32_t)divide_up(t->weight->in, t->chunk_in);
}

static size_t block_bytes(const struct tiled_conv *t)
{
    return (size_t)tiled_numbers(&t->recipe) * t->source_step;
}

/* Groups of about equal size, and blocks that give all threads work. */
static void choose_blocks(struct tiled_conv *t, int64_t tiles, size_t most_bytes,
                          int64_t threads)
{
    const size_t tile_bytes = (size_t)tiled_numbers(&t->recipe) *
                              (size_t)chunk_count(t) * (size_t)t->chunk_in *
                              element_bytes(t);
    const int64_t fitting = (int64_t)(most_bytes / tile_bytes);
    const int64_t groups =
        divide_up(tiles, fitting > FEWEST_TILES ? fitting : FEWEST_TILES);
    t->group_tiles = (int32_t)divide_up(tiles, groups);
    int64_t blocks =
        divide_up(t->group_tiles,
                  t->weight->dtype == DTYPE_F32 ? MOST_TILES : MOST_TILES_BF16);
    const int64_t wanted = divide_up(TASKS_PER_THREAD * threads, t->panels);
    const int64_t most = t->group_tiles / FEWEST_TILES;
    if (blocks < wanted) blocks = wanted < most ? wanted : most;
    if (blocks < 1) blocks = 1;
    t->block_tiles = (int32_t)divide_up(t->group_tiles, blocks);
}

/* [windows of a group][a lane: combined taps, products] */
void tiled_panel_prepare(struct op *op)
{
    struct tiled_conv *const t = op->state;
    const size_t threads = (size_t)compute_thread_count();
    choose_blocks(t, tiled_conv_tiles(t->shape, t->recipe.outputs),
                  op->by_lines ? LINES_GROUP_BYTES : GROUP_BYTES, (int64_t)threads);
    const size_t tiles = (size_t)t->block_tiles, points = (size_t)t->recipe.points;
    const size_t chunk = (size_t)t->chunk_in, out = (size_t)t->panel_out;
    const size_t blocks = (size_t)divide_up(t->group_tiles, t->block_tiles);
    const size_t element = element_bytes(t);
    t->source_step =
        step_between_points((size_t)chunk_count(t) * tiles * chunk * element);
    t->operand_step = step_between_points(chunk * out * element);
    t->result_step = step_between_points(tiles * out * sizeof(float));
    t->windows_at = 0;
    t->lanes_at = blocks * block_bytes(t);
    t->stage_at = (size_t)t->combined_points * t->operand_step;
    t->made_at = t->stage_at + points * t->result_step;
    t->lane_bytes = t->made_at;
    if (dtype_is_block(t->weight->stored))
        t->lane_bytes += TAPS * chunk * out * element;
    t->lanes = team_lanes((int64_t)blocks * t->panels, t->lane_bytes);
    op->scratch_bytes = t->lanes_at + (size_t)t->lanes * t->lane_bytes;
}

/* ---- running ------------------------------------------------------------------------ */

static struct tiled_block block_of(const struct tiled_run *run, int32_t idx)
{
    const struct tiled_conv *const t = run->conv;
    const int32_t first = idx * t->block_tiles;
    return (struct tiled_block){
        .first = run->first_tile + first,
        .tiles = at_most(run->tile_count - first, t->block_tiles),
        .windows = run->scratch + t->windows_at + (size_t)idx * block_bytes(t),
    };
}

/* Task: some tiles of a block. */
static void make_windows(void *context, int64_t task_idx, int lane)
{
    const struct tiled_run *const run = context;
    const int64_t tasks = divide_up(run->conv->block_tiles, WINDOW_TASK_TILES);
    const struct tiled_block block = block_of(run, (int32_t)(task_idx / tasks));
    const int32_t first = (int32_t)(task_idx % tasks) * WINDOW_TASK_TILES;
    (void)lane;
    tiled_make_windows(run, &block, first,
                       at_most(block.tiles, first + WINDOW_TASK_TILES));
}

/* A worker's task: a panel of outputs and a block of tiles. */
struct work {
    struct tiled_block block;
    int32_t output;
    unsigned char *operand, *stage, *made; /* made: NULL where taps need not be */
};

/* Combine the taps of some points, a row of them or all, and add their products of a chunk of inputs. */
static void multiply_points(const struct tiled_run *run, const struct work *work,
                            int32_t chunk, int32_t part)
{
    const struct tiled_conv *const t = run->conv;
    const int32_t in = chunk * t->chunk_in;
    const int32_t count = at_most(t->weight->in - in, t->chunk_in);
    const size_t points = (size_t)t->combined_points, first = (size_t)part * points;
    const struct tiled_taps taps = {
        .in = in,
        .output = work->output,
        .count = (size_t)count * (size_t)t->panel_out,
        .row = t->combined_points == t->recipe.points ? -1 : part,
        .made = work->made,
    };
    unsigned char *targets[TILE_MOST_POINTS];
    for (size_t k = 0; k < points; ++k)
        targets[k] = work->operand + k * t->operand_step;
    tiled_combine(run, &taps, targets);
    struct kernel_multiply arguments = {
        .type = t->weight->dtype,
        .rows = (size_t)work->block.tiles,
        .inputs = words(t, (size_t)count),
        .outputs = (size_t)t->panel_out,
        .source_stride = words(t, (size_t)t->chunk_in),
        .operand_stride = (size_t)t->panel_out,
        .result_stride = (size_t)t->panel_out,
    };
    const unsigned char *const source =
        work->block.windows +
        (size_t)chunk * (size_t)t->block_tiles * (size_t)t->chunk_in * element_bytes(t);
    for (size_t k = 0; k < points; ++k) {
        const int32_t number = tiled_number_of(&t->recipe, (int32_t)(first + k));
        arguments.source = source + (size_t)number * t->source_step;
        arguments.operand = targets[k];
        arguments.result =
            (float *)(void *)(work->stage + (first + k) * t->result_step);
        arguments.add = chunk > 0 ? arguments.result : NULL;
        run->plan->kernels->multiply(&arguments);
    }
}

static void multiply(void *context, int64_t task_idx, int lane)
{
    const struct tiled_run *const run = context;
    const struct tiled_conv *const t = run->conv;
    unsigned char *const memory =
        run->scratch + t->lanes_at + (size_t)lane * t->lane_bytes;
    const struct work work = {
        .block = block_of(run, (int32_t)(task_idx % run->block_count)),
        .output = (int32_t)(task_idx / run->block_count) * t->panel_out,
        .operand = memory,
        .stage = memory + t->stage_at,
        .made = dtype_is_block(t->weight->stored) ? memory + t->made_at : NULL,
    };
    for (int32_t chunk = 0; chunk < chunk_count(t); ++chunk) {
        const int32_t in = chunk * t->chunk_in;
        const int32_t count = at_most(t->weight->in - in, t->chunk_in);
        if (work.made)
            tiled_make_taps(run, in, work.output, (size_t)count * (size_t)t->panel_out,
                            work.made);
        for (int32_t part = 0; part * t->combined_points < t->recipe.points; ++part)
            multiply_points(run, &work, chunk, part);
    }
    tiled_write_outputs(run, &work.block, work.output, work.stage);
}

void tiled_panel_run(struct tiled_run *run)
{
    const struct tiled_conv *const t = run->conv;
    const int32_t side = t->recipe.outputs;
    int64_t end = tiled_conv_tiles(t->shape, side);
    if (run->op->by_lines) { /* of one image */
        run->first_tile = (int64_t)(run->lines.first / side) * t->tile_columns;
        end = divide_up(run->lines.end, side) * t->tile_columns;
    }
    for (; run->first_tile < end; run->first_tile += run->tile_count) {
        const int64_t left = end - run->first_tile;
        run->tile_count = left < t->group_tiles ? (int32_t)left : t->group_tiles;
        run->block_count = (int32_t)divide_up(run->tile_count, t->block_tiles);
        team_run(run->block_count * divide_up(t->block_tiles, WINDOW_TASK_TILES),
                 make_windows, run);
        team_run_on(t->lanes, (int64_t)run->block_count * t->panels, multiply, run);
    }
}
