/* A convolution kernel is stored as the right-hand matrix of a GEMM too: its inputs are the numbers
 * under the kernel's window, [kh][kw][in], one row of them for each output pixel (conv.c).
 *
 * The layouts of the library's own convolution are not used, because it requires another one for
 * almost every image size (blocks of 64, 48, 32 or 16 outputs), and with another layout it uses
 * its reference loops, a thousand times slower. A weight has
 * one layout as long as it exists.
 */
#include "compute/weight.h"

#include <stdbool.h>
#include <string.h>

#include "base/size.h"
#include "compute/grid.h"
#include "compute/layout.h"

static bool is_product(enum weight_kind kind)
{
    return kind == WEIGHT_CONV || kind == WEIGHT_LINEAR;
}

bool weight_can_store(enum dtype dtype, enum dtype stored)
{
    if (stored == DTYPE_F8_E4M3 || stored == DTYPE_F8_E5M2 || stored == dtype)
        return true;
    return dtype == DTYPE_F32 && (stored == DTYPE_F16 || stored == DTYPE_BF16);
}

static enum dr_code check_shape(const struct weight_shape *shape, size_t *elements,
                                struct dr_error *err)
{
    const bool typed = shape->dtype == DTYPE_F32 || shape->dtype == DTYPE_BF16;
    if (!typed || (shape->kind == WEIGHT_VECTOR && shape->dtype != DTYPE_F32))
        return error_set(err, DR_UNSUPPORTED,
                         "a weight of type %s: networks run in F32 or BF16",
                         dtype_name(shape->dtype));
    if (shape->out < 1 || shape->in < 1 || shape->kernel_height < 1 ||
        shape->kernel_width < 1)
        return error_set(err, DR_BAD_INPUT,
                         "a weight of %d x %d x %d x %d: sizes must be at least 1",
                         shape->out, shape->in, shape->kernel_height,
                         shape->kernel_width);
    size_t window = 0;
    if (!size_mul((size_t)shape->in, (size_t)shape->kernel_height, &window) ||
        !size_mul(window, (size_t)shape->kernel_width, &window) || window > INT32_MAX ||
        !size_mul(window, (size_t)shape->out, elements) || *elements > SIZE_MAX / 16)
        return error_set(err, DR_UNSUPPORTED,
                         "a weight of %d x %d x %d x %d is too large", shape->out,
                         shape->in, shape->kernel_height, shape->kernel_width);
    return DR_OK;
}

enum dr_code weight_init(struct weight *weight, const struct weight_shape *shape,
                         struct pool *pool, struct dr_error *err)
{
    struct weight made = {
        .kind = shape->kind,
        .dtype = shape->dtype,
        .stored = shape->dtype,
        .out = shape->out,
        .in = shape->in,
        .kernel_height = shape->kernel_height > 0 ? shape->kernel_height : 1,
        .kernel_width = shape->kernel_width > 0 ? shape->kernel_width : 1,
    };
    struct weight_shape full = *shape;
    full.kernel_height = made.kernel_height;
    full.kernel_width = made.kernel_width;
    if (shape->kind == WEIGHT_VECTOR && shape->in == 0) made.in = full.in = 1;
    size_t elements = 0;
    enum dr_code code = check_shape(&full, &elements, err);
    if (code != DR_OK) return code;
    made.bytes = elements * dtype_bytes(made.stored);
    if (is_product(made.kind)) {
        struct weight_layout *const layout = pool_alloc(pool, sizeof *layout);
        if (!layout) return error_set(err, DR_NOMEM, "no memory for a weight's layout");
        code = layout_choose(layout, made.dtype,
                             made.in * made.kernel_height * made.kernel_width, made.out,
                             err);
        if (code != DR_OK) return code;
        made.bytes = layout->bytes;
        made.layout = layout;
    }
    *weight = made;
    return DR_OK;
}

/* Elements that have a place in memory, padding included. */
static size_t place_count(const struct weight *weight)
{
    return weight->layout ? weight->layout->bytes / dtype_bytes(weight->layout->type)
                          : (size_t)weight->out * (size_t)weight->in;
}

bool weight_store_as(struct weight *weight, enum dtype stored)
{
    if (dtype_is_block(stored)) {
        if (!grid_fits(weight, stored)) return false;
        weight->bytes = grid_bytes(weight, stored);
        weight->stored = stored;
        return true;
    }
    if (weight->kind == WEIGHT_VECTOR || !weight_can_store(weight->dtype, stored))
        return false;
    if (weight->layout && !layout_has_panels(weight->layout)) return false;
    weight->bytes = place_count(weight) * dtype_bytes(stored);
    weight->stored = stored;
    return true;
}

size_t weight_plain_bytes(const struct weight *weight)
{
    if (dtype_is_block(weight->stored)) return grid_plain(weight).bytes;
    return (size_t)weight->out * (size_t)weight->in * (size_t)weight->kernel_height *
           (size_t)weight->kernel_width * dtype_bytes(weight->stored);
}

int32_t weight_part_count(const struct weight *weight)
{
    return is_product(weight->kind)
               ? (weight->out + WEIGHT_PART_OUTPUTS - 1) / WEIGHT_PART_OUTPUTS
               : 1;
}

void weight_store_begin(const struct weight *weight, void *target)
{
    if (dtype_is_block(weight->stored))
        grid_store_begin(weight, target);
    else if (is_product(weight->kind) && weight->layout->padded)
        memset(target, 0, weight->bytes);
}

void weight_store_part(const struct weight *weight, const void *plain, void *target,
                       int32_t part_idx)
{
    if (!is_product(weight->kind)) {
        memcpy(target, plain, weight->bytes);
        return;
    }
    if (dtype_is_block(weight->stored)) {
        grid_store_part(weight, plain, target, part_idx);
        return;
    }
    const int32_t window = weight->kernel_height * weight->kernel_width;
    const int32_t first = part_idx * WEIGHT_PART_OUTPUTS;
    const int32_t left = weight->out - first;
    const size_t line = (size_t)weight->in * (size_t)window;
    const size_t element = dtype_bytes(weight->stored);
    for (int32_t tap = 0; tap < window; ++tap) {
        const struct layout_part part = {
            .source = (const unsigned char *)plain +
                      ((size_t)first * line + (size_t)tap) * element,
            .in_step = (size_t)window,
            .out_step = line,
            .element_bytes = element,
            .in_first = tap * weight->in,
            .out_first = first,
            .in_count = weight->in,
            .out_count = left < WEIGHT_PART_OUTPUTS ? left : WEIGHT_PART_OUTPUTS,
        };
        layout_pack(weight->layout, &part, target);
    }
}

/* Inputs of a run: all taps of so many stay in the cache while they are spread over their runs. */
#define MOST_RUN_INPUTS 2048

static int32_t run_inputs(const struct weight *weight)
{
    const int32_t window = weight->kernel_height * weight->kernel_width;
    const int32_t most = MOST_RUN_INPUTS / window / LAYOUT_BLOCK * LAYOUT_BLOCK;
    return most > LAYOUT_BLOCK ? most : LAYOUT_BLOCK;
}

int32_t weight_run_count(const struct weight *weight)
{
    const struct weight_layout *const layout = weight->layout;
    const int32_t window = weight->kernel_height * weight->kernel_width;
    struct layout_lines lines;
    if (dtype_is_block(weight->stored)) return 0;
    if (!layout || !layout_has_panels(layout) || !layout_lines(layout, &lines))
        return 0;
    if (weight->out > layout->out_block && layout->out_block != WEIGHT_PART_OUTPUTS)
        return 0;
    if (LAYOUT_BLOCK % layout->in_block != 0 ||
        (window > 1 && weight->in % layout->in_block != 0))
        return 0;
    return (int32_t)divide_up(weight->in, run_inputs(weight)) * window;
}

size_t weight_run_bytes(const struct weight *weight)
{
    if (weight_run_count(weight) == 0) return 0;
    const int32_t most = run_inputs(weight);
    const int32_t inputs = weight->in < most ? weight->in : most;
    return (size_t)divide_up(inputs, weight->layout->in_block) *
           weight->layout->in_stride * dtype_bytes(weight->stored);
}

size_t weight_store_run(const struct weight *weight, const void *plain,
                        int32_t part_idx, int32_t run, void *target, size_t *place)
{
    const struct weight_layout *const layout = weight->layout;
    const int32_t window = weight->kernel_height * weight->kernel_width;
    const int32_t tap = run % window, in = run / window * run_inputs(weight);
    const int32_t first = part_idx * WEIGHT_PART_OUTPUTS;
    const int32_t outs_left = weight->out - first, ins_left = weight->in - in;
    const size_t line = (size_t)weight->in * (size_t)window;
    const size_t element = dtype_bytes(weight->stored);
    const struct layout_part part = {
        .source = (const unsigned char *)plain +
                  ((size_t)first * line + (size_t)in * (size_t)window + (size_t)tap) *
                      element,
        .in_step = (size_t)window,
        .out_step = line,
        .element_bytes = element,
        .in_count = ins_left < run_inputs(weight) ? ins_left : run_inputs(weight),
        .out_count = outs_left < WEIGHT_PART_OUTPUTS ? outs_left : WEIGHT_PART_OUTPUTS,
    };
    layout_pack_run(layout, &part, target);
    *place = (layout_in(layout, tap * weight->in + in) + layout_out(layout, first)) *
             element;
    return (size_t)divide_up(part.in_count, layout->in_block) * layout->in_stride *
           element;
}

static void add_number(struct digest *digest, uint64_t number)
{
    digest_add(digest, &number, sizeof number);
}

void weight_add_to_digest(const struct weight *weight, struct digest *digest)
{
    const struct weight_layout *const layout = weight->layout;
    const uint64_t numbers[] = {
        (uint64_t)weight->kind,
        (uint64_t)weight->dtype,
        (uint64_t)weight->stored,
        (uint64_t)weight->out,
        (uint64_t)weight->in,
        (uint64_t)weight->kernel_height,
        (uint64_t)weight->kernel_width,
        weight->bytes,
        weight->offset,
        layout != NULL,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i)
        add_number(digest, numbers[i]);
    if (!layout) return;
    add_number(digest, (uint64_t)layout->in_block);
    add_number(digest, (uint64_t)layout->out_block);
    add_number(digest, layout->in_stride);
    add_number(digest, layout->out_stride);
    digest_add(digest, layout->in_place,
               (size_t)layout->in_block * sizeof *layout->in_place);
    digest_add(digest, layout->out_place,
               (size_t)layout->out_block * sizeof *layout->out_place);
}
