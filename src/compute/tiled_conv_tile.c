/* What happens to a tile, in whatever order: its window is read, its outputs are written. And the taps.
 *
 * Places are counted in the map: outside of it, and outside the lines that are seen, a window has zeros. Taps are read
 * from the layout of the direct convolution, in runs of numbers that mean the same inputs and outputs in both.
 */
#include "compute/tiled_conv_private.h"

#include <string.h>

#include "compute/panel.h"

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
static unsigned char *pixel_of(const struct tiled_run *run, struct value value,
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

void tiled_make_windows(const struct tiled_run *run, const struct tiled_block *block,
                        int32_t first, int32_t end)
{
    const struct tiled_conv *const t = run->conv;
    const struct recipe recipe = t->recipe;
    const size_t element = dtype_bytes(t->weight->dtype);
    const size_t row_bytes = (size_t)recipe.parts * (size_t)t->chunk_in * element;
    struct kernel_winograd_input arguments = {
        .type = t->weight->dtype,
        .tiles = recipe.tiles,
        .step = t->source_step / element,
        .channels = (size_t)t->weight->in,
        .chunk = (size_t)t->chunk_in,
        .chunk_step = (size_t)t->block_tiles * (size_t)t->chunk_in,
        .ahead = (size_t)recipe.tile_inputs * (size_t)t->weight->in * element,
    };
    for (int32_t i = first; i < end; ++i) {
        const struct place tile = tile_place(t, block->first + i);
        for (int32_t k = 0; k < recipe.side * recipe.side; ++k)
            arguments.pixels[k] =
                pixel_of(run, run->op->inputs[TILED_X], run->seen,
                         (struct place){
                             tile.image,
                             tile.y * recipe.tile_inputs - 1 + k / recipe.side,
                             tile.x * recipe.tile_inputs - 1 + k % recipe.side,
                         });
        arguments.target = block->windows + (size_t)i * row_bytes;
        if (recipe.tiles == TILES_ENLARGING)
            copy_windows(t, arguments.pixels, arguments.target);
        else
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

/* A weight in blocks: some lines of each tap are made, and then combined. */
static void combine_made(const struct tiled_run *run, const struct tiled_taps *taps,
                         unsigned char *const targets[])
{
    enum {
        MADE = 256 /* numbers of a tap: whole lines of every layout */
    };
    const struct weight *const weight = run->conv->weight;
    const size_t element = dtype_bytes(weight->dtype);
    const struct panel_source source = {.weight = weight,
                                        .data = plan_weight(run->plan, weight),
                                        .kernels = run->plan->kernels};
    float made[TAPS][MADE]; /* holds either type */
    for (size_t done = 0; done < taps->count; done += MADE) {
        const size_t some = taps->count - done < MADE ? taps->count - done : MADE;
        struct kernel_taps arguments = {.type = weight->dtype,
                                        .source_type = weight->dtype,
                                        .count = some,
                                        .tiles = run->conv->recipe.tiles,
                                        .row = -1};
        for (int32_t tap = 0; tap < TAPS; ++tap) {
            panel_make_run(&source,
                           tap * weight->in + taps->in + (int32_t)(done / LAYOUT_BLOCK),
                           taps->output, some, made[tap]);
            arguments.taps[tap] = made[tap];
        }
        for (int32_t piece = 0; piece < run->conv->recipe.pieces; ++piece)
            arguments.targets[piece] = targets[piece] + done * element;
        run->plan->kernels->combine_taps(&arguments);
    }
}

void tiled_make_taps(const struct tiled_run *run, int32_t in, int32_t output,
                     size_t count, unsigned char *target)
{
    const struct weight *const weight = run->conv->weight;
    const struct panel_source source = {.weight = weight,
                                        .data = plan_weight(run->plan, weight),
                                        .kernels = run->plan->kernels};
    for (int32_t tap = 0; tap < TAPS; ++tap)
        panel_make_run(&source, tap * weight->in + in, output, count,
                       target + (size_t)tap * count * dtype_bytes(weight->dtype));
}

void tiled_combine(const struct tiled_run *run, const struct tiled_taps *taps,
                   unsigned char *const targets[])
{
    const struct recipe recipe = run->conv->recipe;
    const struct weight *const weight = run->conv->weight;
    if (dtype_is_block(weight->stored) && !taps->made) {
        combine_made(run, taps, targets);
        return;
    }
    const unsigned char *const data = plan_weight(run->plan, weight);
    struct kernel_taps arguments = {.type = weight->dtype,
                                    .source_type =
                                        taps->made ? weight->dtype : weight->stored,
                                    .count = taps->count,
                                    .tiles = recipe.tiles,
                                    .row = taps->row};
    const size_t made_bytes = taps->count * dtype_bytes(weight->dtype);
    for (int32_t tap = 0; tap < TAPS; ++tap)
        arguments.taps[tap] =
            taps->made
                ? taps->made + (size_t)tap * made_bytes
                : run_in(weight, data, tap * weight->in + taps->in, taps->output);
    for (int32_t piece = 0; piece < (taps->row < 0 ? recipe.pieces : recipe.row);
         ++piece)
        arguments.targets[piece] = targets[piece];
    run->plan->kernels->combine_taps(&arguments);
}

void tiled_write_outputs(const struct tiled_run *run, const struct tiled_block *block,
                         int32_t output, const unsigned char *stage)
{
    const struct tiled_conv *const t = run->conv;
    const struct plan *const plan = run->plan;
    const struct value result = run->op->result;
    const struct value residual = run->op->inputs[TILED_RESIDUAL];
    const int32_t side = t->recipe.outputs;
    struct kernel_tile_output arguments = {
        .step = t->result_step / sizeof(float),
        .channels = (size_t)at_most(t->panel_out, t->weight->out - output),
        .bias = t->bias ? (const float *)plan_weight(plan, t->bias) + output : NULL,
        .target_type = plan->values[result.id].dtype,
        .residual_type = plan->values[residual.id ? residual.id : result.id].dtype,
        .tiles = t->recipe.tiles,
    };
    const size_t target_at = (size_t)output * dtype_bytes(arguments.target_type);
    const size_t residual_at = (size_t)output * dtype_bytes(arguments.residual_type);
    for (int32_t i = 0; i < block->tiles; ++i) {
        const struct place tile = tile_place(t, block->first + i);
        for (int32_t k = 0; k < side * side; ++k) {
            const struct place at = {tile.image, side * tile.y + k / side,
                                     side * tile.x + k % side};
            unsigned char *const to = pixel_of(run, result, run->lines, at);
            arguments.pixels[k] = to ? to + target_at : NULL;
            arguments.residual[k] =
                to && residual.id
                    ? pixel_of(run, residual, run->lines, at) + residual_at
                    : NULL;
        }
        arguments.source =
            (const float *)(const void *)stage + (size_t)i * (size_t)t->panel_out;
        plan->kernels->tile_output(&arguments);
    }
}
