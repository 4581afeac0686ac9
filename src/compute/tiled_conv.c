#include "compute/tiled_conv_private.h"

#include <assert.h>

#include "compute/library.h"

static const struct recipe recipes[] = {
    [TILED_WINOGRAD] = {.tiles = TILES_WINOGRAD_2,
                        .row = 4,
                        .points = 16,
                        .parts = 1,
                        .pieces = 16,
                        .outputs = 2,
                        .tile_inputs = 2,
                        .side = 4,
                        .spread = 4,
                        .from = {0, 1, 2, 3}      },
    [TILED_WINOGRAD_4] = {.tiles = TILES_WINOGRAD_4,
                        .row = 6,
                        .points = 36,
                        .parts = 1,
                        .pieces = 36,
                        .outputs = 4,
                        .tile_inputs = 4,
                        .side = 6,
                        .spread = 6,
                        .from = {0, 1, 2, 3, 4, 5}},
    [TILED_ENLARGING] = {.tiles = TILES_ENLARGING,
                        .row = 2,
                        .points = 4,
                        .parts = 4,
                        .pieces = 16,
                        .outputs = 2,
                        .tile_inputs = 1,
                        .side = 3,
                        .spread = 2,
                        .from = {0, 1}            },
    [TILED_ENLARGING_4] = {.tiles = TILES_ENLARGING_4,
                        .row = 5,
                        .points = 25,
                        .parts = 1,
                        .pieces = 25,
                        .outputs = 4,
                        .tile_inputs = 2,
                        .side = 4,
                        .spread = 4,
                        .from = {0, 1, 2, 2, 3}   },
};

/* bfloat16: with more tiles of an image, blocks are faster than panels. */
#define MOST_PANEL_TILES 64

bool tiled_conv_has_panels(const struct plan *plan, struct shape shape, int32_t side,
                           enum dtype type)
{
    shape.n = 1;
    return type == DTYPE_F32 ||
           (library_is_slower_in_bf16(plan->kernels->multiplies_bf16) &&
            tiled_conv_tiles(shape, side) <= MOST_PANEL_TILES);
}

static bool is_by_panels(const struct plan *plan, const struct tiled_conv *t)
{
    return t->recipe.tiles != TILES_ENLARGING &&
           tiled_conv_has_panels(plan, t->shape, t->recipe.outputs, t->weight->dtype);
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    const struct tiled_conv *const t = op->state;
    /* Of the direct convolution that it stands for: rates compare. */
    op->flop =
        2.0 * (double)shape_rows(t->shape) * t->weight->in * TAPS * t->weight->out;
    op->weight_bytes = t->weight->bytes + (t->bias ? t->bias->bytes : 0);
    if (!is_by_panels(plan, t)) return tiled_block_prepare(plan, op, err);
    tiled_panel_prepare(op);
    return DR_OK;
}

/* An output line is made of input lines y - 1 to y + 1; enlarged, of the two that its own and its
 * nearer neighbour come from. The sums of 4x4 outputs have all lines of their window, though what they add of some of
 * them is zero but for rounding: so these must be there, or the bytes would depend on the lines that are made. */
static struct lines needs(const struct op *op, int k, struct lines lines)
{
    const struct tiled_conv *const t = op->state;
    if (k != TILED_X) return lines;
    struct lines seen = {lines.first - 1, lines.end + 1};
    int32_t height = t->shape.h;
    if (t->recipe.tiles == TILES_ENLARGING) {
        seen = (struct lines){(lines.first + 1) / 2 - 1, lines.end / 2 + 1};
        height /= 2;
    }
    if (t->recipe.tiles == TILES_WINOGRAD_4)
        seen = (struct lines){lines.first / 4 * 4 - 1, (lines.end + 3) / 4 * 4 + 1};
    if (t->recipe.tiles == TILES_ENLARGING_4) {
        seen = (struct lines){lines.first / 4 * 2 - 1, (lines.end + 3) / 4 * 2 + 1};
        height /= 2;
    }
    if (seen.first < 0) seen.first = 0;
    if (seen.end > height) seen.end = height;
    return seen;
}

static bool run_rows(const struct plan *plan, const struct op *op, struct rows rows)
{
    const struct tiled_conv *const t = op->state;
    struct tiled_run run = {
        .plan = plan,
        .op = op,
        .conv = t,
        .lines = {0, t->shape.h},
        .scratch = plan_scratch(plan, op),
    };
    if (op->by_lines) {
        run.lines.first = (int32_t)(rows.first / t->shape.w);
        run.lines.end = (int32_t)((rows.first + rows.count) / t->shape.w);
    }
    run.seen = needs(op, TILED_X, run.lines);
    if (!is_by_panels(plan, t)) return tiled_block_run(&run);
    tiled_panel_run(&run);
    return true;
}

#define TILED_CLASS(name, step)                                               \
    {                                                                         \
        .kind = (name), .prepare = prepare, .run = run_rows, .by_rows = true, \
        .line_step = (step), .needs = needs                                   \
    }
static const struct op_class classes[] = {
    [TILED_WINOGRAD] = TILED_CLASS("conv 3x3 Winograd", 2),
    [TILED_WINOGRAD_4] = TILED_CLASS("conv 3x3 Winograd 4x4", 4),
    [TILED_ENLARGING] = TILED_CLASS("conv 3x3 enlarging", 2),
    [TILED_ENLARGING_4] = TILED_CLASS("conv 3x3 enlarging 4x4", 4),
};

int64_t tiled_conv_tiles(struct shape shape, int32_t side)
{
    return shape.n * divide_up(shape.h, side) * divide_up(shape.w, side);
}

bool tiled_conv_add(struct plan *plan, struct value x, struct value result,
                    const struct conv_options *options, enum tiled_recipe recipe)
{
    struct tiled_conv *const t = plan_record(plan, sizeof *t);
    if (!t) return true;
    const struct shape shape = plan_shape(plan, result);
    const struct recipe numbers = recipes[recipe];
    *t = (struct tiled_conv){
        .recipe = numbers,
        .weight = options->weight,
        .bias = options->bias,
        .shape = shape,
        .tile_lines = (int32_t)divide_up(shape.h, numbers.outputs),
        .tile_columns = (int32_t)divide_up(shape.w, numbers.outputs),
    };
    struct dr_error err = {.code = DR_OK};
    const bool can =
        is_by_panels(plan, t) ? tiled_panel_choose(t) : tiled_block_choose(t, &err);
    if (err.code != DR_OK) {
        plan_fail(plan, err.code, "%s", err.message);
        return true;
    }
    if (!can) return false;
    plan_uses(plan, options->weight);
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
