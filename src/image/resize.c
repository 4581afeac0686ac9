/* Two passes, first along rows, then along columns, as Pillow does (src/libImaging/Resample.c,
 * floating-point mode): for each output position a window of input positions with weights
 * that sum to 1. The weights and each sum are doubles, summed from left to right, so that the
 * result is Pillow's to within a float's last place (nine of ten values are equal).
 *
 *     scratch   | weights of all columns | windows of all columns | weights of one row | rows |
 *
 * where "rows" is the picture after the first pass, [source_height, target_width, 3].
 */
#include "image/resize.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double LOBES = 3.0; /* a of Lanczos */

struct axis {
    int32_t source, target;
    double scale;     /* source positions for one target position */
    double stretch;   /* of the filter: the scale when shrinking, else 1 */
    int32_t tap_most; /* weights a window can have */
};

struct window {
    int32_t first, count;
};

static struct axis axis_of(int32_t source, int32_t target)
{
    const double scale = (double)source / target;
    const double stretch = scale < 1.0 ? 1.0 : scale;
    return (struct axis){
        .source = source,
        .target = target,
        .scale = scale,
        .stretch = stretch,
        .tap_most = (int32_t)ceil(LOBES * stretch) * 2 + 1,
    };
}

static double sinc(double x)
{
    if (x == 0.0) return 1.0;
    x *= PI;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0.0;
}

/* The window of one target position, and its weights. */
static struct window window_of(const struct axis *axis, int32_t position,
                               double *weights)
{
    const double support = LOBES * axis->stretch;
    const double center = (position + 0.5) * axis->scale;
    const double inverse = 1.0 / axis->stretch;
    int32_t first = (int32_t)(center - support + 0.5);
    int32_t end = (int32_t)(center + support + 0.5);
    if (first < 0) first = 0;
    if (end > axis->source) end = axis->source;
    double sum = 0.0;
    for (int32_t i = first; i < end; ++i) {
        const double weight = lanczos((i - center + 0.5) * inverse);
        weights[i - first] = weight;
        sum += weight;
    }
    if (sum != 0.0)
        for (int32_t i = 0; i < end - first; ++i)
            weights[i] /= sum;
    return (struct window){first, end - first};
}

/* The parts of the scratch; with base NULL only their sizes count. */
struct scratch {
    double *column_weights;
    struct window *columns;
    double *row_weights;
    float *rows;
    size_t bytes;
};

static void *carve(char *base, size_t *used, size_t bytes)
{
    void *const part = base ? base + *used : NULL;
    *used += (bytes + 15) & ~(size_t)15;
    return part;
}

static struct scratch scratch_of(const struct resize_shape *shape, void *base)
{
    const struct axis across = axis_of(shape->source_width, shape->target_width);
    const struct axis down = axis_of(shape->source_height, shape->target_height);
    const size_t columns = (size_t)across.target;
    struct scratch scratch = {.bytes = 0};
    size_t used = 0;
    scratch.column_weights =
        carve(base, &used, columns * (size_t)across.tap_most * sizeof(double));
    scratch.columns = carve(base, &used, columns * sizeof(struct window));
    scratch.row_weights = carve(base, &used, (size_t)down.tap_most * sizeof(double));
    scratch.rows =
        carve(base, &used, (size_t)down.source * columns * 3 * sizeof(float));
    scratch.bytes = used;
    return scratch;
}

size_t resize_scratch_bytes(const struct resize_shape *shape)
{
    return scratch_of(shape, NULL).bytes;
}

/* One row: target[x] = sum of weights times source pixels. */
static void resize_row(const struct axis *axis, const struct scratch *scratch,
                       const float *source, float *target)
{
    for (int32_t x = 0; x < axis->target; ++x) {
        const struct window window = scratch->columns[x];
        const double *const weights =
            scratch->column_weights + (size_t)x * (size_t)axis->tap_most;
        const float *pixel = source + 3 * (size_t)window.first;
        double red = 0.0, green = 0.0, blue = 0.0;
        for (int32_t i = 0; i < window.count; ++i, pixel += 3) {
            red += (double)pixel[0] * weights[i];
            green += (double)pixel[1] * weights[i];
            blue += (double)pixel[2] * weights[i];
        }
        target[3 * x] = (float)red;
        target[3 * x + 1] = (float)green;
        target[3 * x + 2] = (float)blue;
    }
}

static void resize_across(const struct axis *axis, const struct scratch *scratch,
                          const float *source, int32_t rows, float *target)
{
    for (int32_t x = 0; x < axis->target; ++x)
        scratch->columns[x] =
            window_of(axis, x,
                      scratch->column_weights + (size_t)x * (size_t)axis->tap_most);
    for (int32_t y = 0; y < rows; ++y)
        resize_row(axis, scratch, source + 3 * (size_t)y * (size_t)axis->source,
                   target + 3 * (size_t)y * (size_t)axis->target);
}

static size_t piece_after(size_t done, size_t all)
{
    return all - done < RESIZE_MOST_SAMPLES ? all - done : RESIZE_MOST_SAMPLES;
}

/* values is the number of floats in a row. */
static void resize_down(const struct axis *axis, double *weights, const float *source,
                        size_t values, const struct resize_target *target)
{
    float piece[RESIZE_MOST_SAMPLES];
    for (int32_t y = 0; y < axis->target; ++y) {
        const struct window window = window_of(axis, y, weights);
        const float *const rows = source + (size_t)window.first * values;
        for (size_t first = 0, count; first < values; first += count) {
            count = piece_after(first, values);
            for (size_t x = 0; x < count; ++x) {
                double sum = 0.0;
                for (int32_t i = 0; i < window.count; ++i)
                    sum += (double)rows[(size_t)i * values + first + x] * weights[i];
                piece[x] = (float)sum;
            }
            target->put(target->cookie, (size_t)y * values + first, count, piece);
        }
    }
}

static void put_as_it_is(const float *source, size_t values,
                         const struct resize_target *target)
{
    float piece[RESIZE_MOST_SAMPLES];
    for (size_t first = 0, count; first < values; first += count) {
        count = piece_after(first, values);
        memcpy(piece, source + first, count * sizeof *piece);
        target->put(target->cookie, first, count, piece);
    }
}

void resize_run(const struct resize_shape *shape, const float *source,
                const struct resize_target *target, void *scratch_memory)
{
    assert(shape->source_width > 0 && shape->source_height > 0);
    assert(shape->target_width > 0 && shape->target_height > 0);
    assert((uintptr_t)scratch_memory % 16 == 0);
    const struct axis across = axis_of(shape->source_width, shape->target_width);
    const struct axis down = axis_of(shape->source_height, shape->target_height);
    const struct scratch scratch = scratch_of(shape, scratch_memory);
    const bool same_width = across.source == across.target;
    const size_t values = 3 * (size_t)across.target;
    if (!same_width)
        resize_across(&across, &scratch, source, down.source, scratch.rows);
    const float *const rows = same_width ? source : scratch.rows;
    if (down.source == down.target)
        put_as_it_is(rows, values * (size_t)down.source, target);
    else
        resize_down(&down, scratch.row_weights, rows, values, target);
}
