/* A convolution is a projection (projection.h) whose rows are gathered: one row for each output pixel, with the
 * inputs under the kernel's window, and zeros outside the image (im2col). The rows of one block are gathered into
 * the cache (1-4 % of the time), multiplied there and discarded: the complete im2col matrix is never
 * in memory. Stride, uneven padding and nearest-neighbour upsampling only change where
 * the numbers are gathered from, so the upsampled image is never in memory either.
 *
 * For two kinds of 3x3 convolutions there is an algorithm with fewer multiplications: tiled_conv.h. choose()
 * selects the algorithm for each shape, and nothing else does. The weight has the same layout for
 * all of them: see weight.c.
 */
#include <string.h>

#include "compute/merge.h"
#include "compute/projection.h"
#include "compute/tiled_conv.h"

/* Winograd's way: a prototype was measured with AVX512-BF16 from 128 channels on both sides, where it is 1.6 to
 * 1.95 times as fast as the direct convolution; no network that is served has fewer and would be
 * chosen. Counted, transforms and products take about equally long at 32, and together as long as the
 * direct convolution: down to there small networks run as the large ones do. Below (4 -> 320,
 * 128 -> 3) the transforms of the wide side are nearly all of the work. */
#define LEAST_WINOGRAD_CHANNELS 32
/* bfloat16 in blocks: with fewer tiles of 2x2, combining the taps takes a third of the time, and the direct convolution
 * is as fast. */
#define LEAST_WINOGRAD_TILES 64

/* By panels: combining the taps of one takes as long as multiplying so many tiles with them. */
#define COMBINING_TILES      3
#define COMBINING_TILES_BF16 6

struct conv {
    struct projection projection;
    /* geometry of the gathering */
    const unsigned char *map; /* set for each run, with the line that it begins with */
    int32_t first_line;
    size_t pixel_bytes;
    int32_t height, width;           /* of the map */
    int32_t seen_height, seen_width; /* of the map as enlarged */
    int32_t result_height, result_width;
    int32_t kernel_height, kernel_width, stride, pad_top, pad_left;
};

/* One row of the window: kernel_width pixels of line y from column x on, y inside. */
static void gather_line(const struct conv *conv, const unsigned char *image, int32_t y,
                        int32_t x, unsigned char *target)
{
    const size_t bytes = conv->pixel_bytes;
    const int32_t count = conv->kernel_width;
    const bool enlarged =
        conv->seen_width != conv->width || conv->seen_height != conv->height;
    const int32_t line = (int32_t)((int64_t)y * conv->height / conv->seen_height);
    const unsigned char *const from =
        image + (size_t)(line - conv->first_line) * (size_t)conv->width * bytes;
    if (!enlarged && x >= 0 && x + count <= conv->width) {
        memcpy(target, from + (size_t)x * bytes, (size_t)count * bytes);
        return;
    }
    for (int32_t k = 0; k < count; ++k, target += bytes) {
        const int32_t seen = x + k;
        if (seen < 0 || seen >= conv->seen_width) {
            memset(target, 0, bytes);
            continue;
        }
        const int32_t column =
            (int32_t)((int64_t)seen * conv->width / conv->seen_width);
        memcpy(target, from + (size_t)column * bytes, bytes);
    }
}

static void gather(const void *context, int64_t first, int32_t count, void *target)
{
    const struct conv *const conv = context;
    const int64_t area = (int64_t)conv->result_height * conv->result_width;
    const size_t image_bytes =
        (size_t)conv->height * (size_t)conv->width * conv->pixel_bytes;
    const size_t line_bytes = (size_t)conv->kernel_width * conv->pixel_bytes;
    unsigned char *to = target;
    for (int64_t row = first; row < first + count; ++row) {
        const unsigned char *const image =
            conv->map + (size_t)(row / area) * image_bytes;
        const int32_t pixel = (int32_t)(row % area);
        const int32_t y = pixel / conv->result_width * conv->stride - conv->pad_top;
        const int32_t x = pixel % conv->result_width * conv->stride - conv->pad_left;
        for (int32_t k = 0; k < conv->kernel_height; ++k, to += line_bytes) {
            if (y + k < 0 || y + k >= conv->seen_height)
                memset(to, 0, line_bytes);
            else
                gather_line(conv, image, y + k, x, to);
        }
    }
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct conv *const conv = op->state;
    return projection_prepare(plan, op, &conv->projection, err);
}

static bool run(const struct plan *plan, const struct op *op, struct rows rows)
{
    struct conv *const conv = op->state;
    const struct value x = op->inputs[PROJECTION_X];
    conv->map = plan_address(plan, x);
    conv->first_line = plan_first_line(plan, x);
    return projection_run(plan, op, &conv->projection, rows);
}

/* Those under the kernel's window that are not padding. */
static struct lines needs(const struct op *op, int k, struct lines lines)
{
    const struct conv *const conv = op->state;
    if (k != PROJECTION_X) return lines;
    int32_t first = lines.first * conv->stride - conv->pad_top;
    int32_t last =
        (lines.end - 1) * conv->stride - conv->pad_top + conv->kernel_height - 1;
    if (first < 0) first = 0;
    if (last > conv->seen_height - 1) last = conv->seen_height - 1;
    if (last < first) return (struct lines){0, 0};
    return (struct lines){(int32_t)((int64_t)first * conv->height / conv->seen_height),
                          (int32_t)((int64_t)last * conv->height / conv->seen_height) +
                              1};
}

#define CONV_CLASS(name)                                                 \
    {                                                                    \
        .kind = (name), .prepare = prepare, .run = run, .by_rows = true, \
        .needs = needs                                                   \
    }
static const struct op_class conv_class = CONV_CLASS("conv");
static const struct op_class conv3_class = CONV_CLASS("conv 3x3");
static const struct op_class upsample_class = CONV_CLASS("conv 3x3 enlarging");

static bool is_padded_3x3(const struct conv *conv, const struct conv_options *options)
{
    return conv->kernel_height == 3 && conv->kernel_width == 3 && conv->stride == 1 &&
           options->pad_top == 1 && options->pad_left == 1 &&
           options->pad_bottom == 1 && options->pad_right == 1;
}

/* Multiplications, and combining the taps: the least of three, for one image, so that it has the same bytes in a batch. */
static enum tiled_recipe choose_float32(struct shape shape)
{
    shape.n = 1;
    const int64_t direct = 9 * shape_rows(shape);
    const int64_t two = 16 * (tiled_conv_tiles(shape, 2) + COMBINING_TILES);
    const int64_t four = 36 * (tiled_conv_tiles(shape, 4) + COMBINING_TILES);
    if (direct <= two && direct <= four) return TILED_NONE;
    return two < four ? TILED_WINOGRAD : TILED_WINOGRAD_4;
}

static enum tiled_recipe choose_bf16(const struct plan *plan, struct shape shape)
{
    if (tiled_conv_tiles(shape, 2) >= LEAST_WINOGRAD_TILES) return TILED_WINOGRAD;
    if (!tiled_conv_has_panels(plan, shape, 2, DTYPE_BF16)) return TILED_NONE;
    shape.n = 1;
    const int64_t two = 16 * (tiled_conv_tiles(shape, 2) + COMBINING_TILES_BF16);
    return two < 9 * shape_rows(shape) ? TILED_WINOGRAD : TILED_NONE;
}

/* Of a map upsampled to twice its size: the least of two. The second interpolates, which is not exact. */
static enum tiled_recipe choose_enlarging(const struct plan *plan, struct shape shape,
                                          const struct weight *weight)
{
    shape.n = 1;
    const int64_t two = 16 * (tiled_conv_tiles(shape, 2) + COMBINING_TILES);
    const int64_t four = 25 * (tiled_conv_tiles(shape, 4) + COMBINING_TILES);
    const bool can = !plan->exact_convolutions &&
                     weight->in >= LEAST_WINOGRAD_CHANNELS &&
                     weight->out >= LEAST_WINOGRAD_CHANNELS;
    return can && four <= two ? TILED_ENLARGING_4 : TILED_ENLARGING;
}

/* The one place where a shape chooses its implementation; nothing else does, so that a picture has
 * the same bytes whatever the threads, the budget and the bands are. (An enlargement to less than
 * twice the size sees padding where the sums of taps would see the map.) */
static enum tiled_recipe choose(const struct plan *plan, const struct conv *conv,
                                struct shape shape, const struct conv_options *options)
{
    const struct weight *const weight = options->weight;
    const bool twice =
        conv->seen_height == 2 * conv->height && conv->seen_width == 2 * conv->width;
    if (!is_padded_3x3(conv, options)) return TILED_NONE;
    if (options->upsample)
        return twice ? choose_enlarging(plan, shape, weight) : TILED_NONE;
    if (plan->exact_convolutions || weight->in < LEAST_WINOGRAD_CHANNELS ||
        weight->out < LEAST_WINOGRAD_CHANNELS)
        return TILED_NONE;
    return weight->dtype == DTYPE_F32 ? choose_float32(shape)
                                      : choose_bf16(plan, shape);
}

static const struct op_class *direct_class(const struct conv *conv,
                                           const struct conv_options *options)
{
    if (options->upsample) return &upsample_class;
    return conv->kernel_height == 3 && conv->kernel_width == 3 ? &conv3_class
                                                               : &conv_class;
}

static bool check_input(struct plan *plan, struct value x,
                        const struct conv_options *options)
{
    if (!plan_has(plan, x, "a convolution")) return false;
    const struct weight *const weight = options->weight;
    if (!weight || (weight->kind != WEIGHT_CONV && weight->kind != WEIGHT_LINEAR)) {
        plan_fail(plan, DR_BAD_INPUT, "a convolution without a kernel");
        return false;
    }
    const struct plan_value *const v = &plan->values[x.id];
    if (v->shape.c != weight->in) {
        plan_fail(plan, DR_BAD_INPUT,
                  "a convolution of %d inputs and %d outputs got %d channels",
                  weight->in, weight->out, v->shape.c);
        return false;
    }
    if (v->dtype != weight->dtype) {
        plan_fail(plan, DR_BAD_INPUT,
                  "a convolution with a kernel in %s got an input in %s",
                  dtype_name(weight->dtype), dtype_name(v->dtype));
        return false;
    }
    if (options->stride < 0 || options->stride > 2 || options->pad_top < 0 ||
        options->pad_left < 0 || options->pad_bottom < 0 || options->pad_right < 0) {
        plan_fail(plan, DR_BAD_INPUT,
                  "a convolution of stride %d and padding %d %d %d %d", options->stride,
                  options->pad_top, options->pad_left, options->pad_bottom,
                  options->pad_right);
        return false;
    }
    return true;
}

static void read_geometry(struct conv *conv, struct shape x,
                          const struct conv_options *options)
{
    const struct weight *const weight = options->weight;
    conv->stride = options->stride > 0 ? options->stride : 1;
    conv->kernel_height = weight->kernel_height;
    conv->kernel_width = weight->kernel_width;
    conv->pad_top = options->pad_top;
    conv->pad_left = options->pad_left;
    conv->pixel_bytes = (size_t)x.c * dtype_bytes(weight->dtype);
    conv->height = conv->seen_height = x.h;
    conv->width = conv->seen_width = x.w;
    if (options->upsample) {
        conv->seen_height =
            options->upsample_height > 0 ? options->upsample_height : 2 * x.h;
        conv->seen_width =
            options->upsample_width > 0 ? options->upsample_width : 2 * x.w;
    }
    const int64_t high = (int64_t)conv->seen_height + options->pad_top +
                         options->pad_bottom - weight->kernel_height;
    const int64_t wide = (int64_t)conv->seen_width + options->pad_left +
                         options->pad_right - weight->kernel_width;
    conv->result_height = high < 0 ? 0 : (int32_t)(high / conv->stride + 1);
    conv->result_width = wide < 0 ? 0 : (int32_t)(wide / conv->stride + 1);
}

static bool is_plain(const struct conv *conv, const struct conv_options *options)
{
    return conv->kernel_height == 1 && conv->kernel_width == 1 && conv->stride == 1 &&
           !options->upsample && conv->pad_top == 0 && conv->pad_left == 0 &&
           options->pad_bottom == 0 && options->pad_right == 0;
}

struct value plan_conv(struct plan *plan, struct value x,
                       const struct conv_options *given)
{
    struct conv_options merged = *given;
    merged.weight = merge_take(plan, given->weight);
    merged.bias = merge_take(plan, given->bias);
    const struct conv_options *const options = &merged;
    if (!check_input(plan, x, options)) return VALUE_NONE;
    const struct weight *const weight = options->weight;
    if (options->bias &&
        !plan_has_vector(plan, options->bias, weight->out, "a convolution's bias"))
        return VALUE_NONE;
    struct conv *const conv = plan_record(plan, sizeof *conv);
    if (!conv) return VALUE_NONE;
    read_geometry(conv, plan_shape(plan, x), options);
    const struct shape shape = {plan_shape(plan, x).n, conv->result_height,
                                conv->result_width, weight->out};
    const struct shape residual = plan_shape(plan, options->residual);
    if (options->residual.id && !shape_equal(residual, shape))
        plan_fail(plan, DR_BAD_INPUT,
                  "a convolution's result is %d x %d x %d x %d and its residual "
                  "%d x %d x %d x %d",
                  shape.n, shape.h, shape.w, shape.c, residual.n, residual.h,
                  residual.w, residual.c);
    const struct value result =
        plan_value_new(plan, shape, options->dtype_set ? options->dtype : plan->dtype);
    if (plan_failed(plan)) return VALUE_NONE;
    const enum tiled_recipe recipe = choose(plan, conv, shape, options);
    if (recipe != TILED_NONE && tiled_conv_add(plan, x, result, options, recipe))
        return plan_failed(plan) ? VALUE_NONE : result;
    conv->projection = (struct projection){
        .weight = weight,
        .bias = options->bias,
        .gather = is_plain(conv, options) ? NULL : gather,
        .gather_context = conv,
    };
    plan_uses(plan, weight);
    plan_uses(plan, options->bias);
    return plan_add_op(
        plan,
        &(struct op){
            .class = direct_class(conv, options),
            .inputs = {[PROJECTION_X] = x, [PROJECTION_RESIDUAL] = options->residual},
            .result = result,
            .state = conv,
            .inplace = options->residual.id ? PROJECTION_RESIDUAL : NOT_INPLACE,
    });
}
