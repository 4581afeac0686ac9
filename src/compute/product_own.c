/* By this layer's kernel, kernels.multiply, from weights in panels.
 *
 *     for some inputs, for each panel of outputs:
 *         make a piece of the panel, in strips as the kernel reads it     [strip][input][multiply_width]
 *         for each strip: all rows
 *
 * The library copies rows and panel into an order of its own at each call; here the rows are read where they lie, and a
 * panel is put into order while it is converted. A strip stays in the first or second cache while all rows pass, and the
 * next panel is fetched meanwhile. A sum is made in the order of the inputs, whatever rows and outputs are beside it.
 * In bfloat16 (vdpbf16ps) a panel lies as the kernel reads it, and all inputs are multiplied at once.
 */
#include "compute/product_private.h"

#include "base/size.h"
#include "compute/library.h"

/* A sum is stored and read again after so many inputs: a piece of a panel has 320 KB. */
#define MOST_OWN_IN 1280
/* For so few rows it does not pay to put a panel into order. */
#define FEW_ROWS 16

static bool has_dense_lines(const struct weight_layout *layout)
{
    struct layout_lines lines;
    if (!layout_has_panels(layout) || !layout_lines(layout, &lines)) return false;
    const size_t each = lines.paired ? 2 : 1;
    return lines.paired == (layout->type == DTYPE_BF16) &&
           lines.in_step == each * lines.panel_out && lines.panel_out % 16 == 0;
}

/* Whole words of inputs, and no box for outputs. */
static bool is_own_bf16(const struct kernels *kernels,
                        const struct weight_layout *layout)
{
    return layout->type == DTYPE_BF16 &&
           library_is_slower_in_bf16(kernels->multiplies_bf16) && layout->in % 2 == 0 &&
           layout->out % 16 == 0;
}

bool product_is_own(const struct product_set *set, const struct weight_layout *layout)
{
    if (!set->kernels || !has_dense_lines(layout)) return false;
    return layout->type == DTYPE_F32 ? set->kernels->multiply_width > 0
                                     : is_own_bf16(set->kernels, layout);
}

bool product_own_has_parts(const struct weight_layout *layout)
{
    return layout->type == DTYPE_F32 && layout->in > MOST_OWN_IN;
}

/* Is a line of a panel several strips? */
static bool has_strips(const struct product *product)
{
    const int32_t width = (int32_t)product->kernels->multiply_width;
    return product->panel_out > width && product->panel_out % width == 0;
}

void product_own_prepare(struct product *product, const struct kernels *kernels)
{
    product->kernels = kernels;
    const bool wide = product->type == DTYPE_F32;
    const int64_t parts = wide ? divide_up(product->in, MOST_OWN_IN) : 1;
    const int64_t block =
        wide ? 16 : LAYOUT_BLOCK; /* of inputs: pieces are whole ones */
    product->part_in =
        (int32_t)(divide_up(divide_up(product->in, parts), block) * block);
    const size_t line = (size_t)product->panel_out * dtype_bytes(product->type);
    if (product->shape.made || has_strips(product))
        product->piece_bytes = size_align((size_t)product->part_in * line, 64);
    if (product->out % 16 != 0)
        product->result_bytes = size_align((size_t)product->shape.rows * line, 64);
    product->scratch_bytes = product->piece_bytes + product->result_bytes;
}

/* A piece of a panel, as it is stored: lines of panel_out numbers, or blocks (grid.h), which only panel_make reads. */
struct piece {
    int32_t output, in, count;
    const void *data;
    enum dtype type;
};

/* Inputs [in, in + count) of the panel that begins with an output. */
static struct piece piece_of(const struct product *product,
                             const struct product_call *call, int32_t output,
                             int32_t in)
{
    struct piece piece = {.output = output, .in = in, .type = product->type};
    piece.count =
        product->in - in < product->part_in ? product->in - in : product->part_in;
    const unsigned char *data = call->operand;
    size_t first = (size_t)(output / product->panel_out) *
                       (product->panel_bytes / dtype_bytes(product->type)) +
                   (size_t)in * (size_t)product->panel_out;
    if (product->shape.made) {
        const struct weight *const weight = call->panels->weight;
        data = call->panels->data;
        first = layout_out(weight->layout, call->output + output) +
                layout_in(weight->layout, in);
        piece.type = weight->stored;
    }
    piece.data =
        dtype_is_block(piece.type) ? NULL : data + first * dtype_bytes(piece.type);
    return piece;
}

/* Where the kernel reads a piece. */
struct operand {
    const float *data;
    size_t stride;     /* from input to input */
    size_t strip_step; /* 0: all outputs are one strip */
};

static struct operand make_operand(const struct product *product,
                                   const struct product_call *call,
                                   const struct piece *piece)
{
    const size_t wide = (size_t)product->panel_out;
    const size_t strip = product->kernels->multiply_width;
    const bool strips = has_strips(product);
    if (strips && piece->data && product->shape.rows > FEW_ROWS) {
        const struct kernel_strips arguments = {.lines = piece->data,
                                                .strips = call->scratch,
                                                .type = piece->type,
                                                .count = (size_t)piece->count,
                                                .width = wide};
        product->kernels->cut_strips(&arguments);
        return (struct operand){call->scratch, strip, (size_t)piece->count * strip};
    }
    struct operand lines = {piece->data, wide, strips ? strip : 0};
    if (product->shape.made) {
        const struct panel_piece wanted = {call->output + piece->output, piece->in,
                                           piece->count};
        panel_make(call->panels, &wanted, call->scratch);
        lines.data = call->scratch;
    }
    return lines;
}

/* Some outputs of a panel. */
static void multiply_panel(const struct product *product,
                           const struct kernel_multiply *whole,
                           const struct operand *operand, int32_t outputs)
{
    struct kernel_multiply a = *whole;
    const size_t each = dtype_bytes(a.result_type);
    const int32_t width = operand->strip_step
                              ? (int32_t)product->kernels->multiply_width
                              : product->panel_out;
    const float *data = operand->data;
    a.operand_stride = operand->stride;
    a.ahead_bytes /= (size_t)(product->panel_out / width);
    for (int32_t at = 0; at < outputs; at += width) {
        a.operand = data;
        a.outputs = (size_t)(outputs - at < width ? outputs - at : width);
        product->kernels->multiply(&a);
        data += operand->strip_step;
        a.result = (unsigned char *)a.result + (size_t)width * each;
        if (a.ahead) a.ahead = (const char *)a.ahead + a.ahead_bytes;
        if (a.add) a.add = (const unsigned char *)a.add + (size_t)width * each;
        if (a.bias) a.bias += width;
    }
}

/* Outputs that are no multiple of 16: in a box that has room for more of them. */
static void multiply_boxed(const struct product *product,
                           const struct kernel_multiply *whole,
                           const struct operand *operand, int32_t outputs, float *box)
{
    struct kernel_multiply a = *whole;
    const size_t wide = (size_t)product->panel_out, count = (size_t)outputs;
    a.result = box;
    a.add = NULL;
    a.bias = NULL;
    a.result_stride = wide;
    multiply_panel(product, &a, operand, (int32_t)divide_up(outputs, 16) * 16);
    for (size_t row = 0; row < a.rows; ++row)
        for (size_t i = 0; i < count; ++i) {
            const size_t at = row * whole->result_stride + i;
            float sum = box[row * wide + i];
            if (whole->bias) sum += whole->bias[i];
            if (whole->add) sum += ((const float *)whole->add)[at];
            ((float *)whole->result)[at] = sum;
        }
}

static void run_piece(const struct product *product, const struct product_call *call,
                      const struct piece *piece)
{
    const int32_t output = piece->output, left = product->out - output;
    const size_t element = dtype_bytes(product->type), each = sizeof(float) / element;
    const size_t to = (size_t)output * dtype_bytes(product->shape.result);
    unsigned char *const result = (unsigned char *)call->result + to;
    struct kernel_multiply a = {
        .source = (const unsigned char *)call->source + (size_t)piece->in * element,
        .type = product->type,
        .result = result,
        .result_type = product->shape.result,
        .rows = (size_t)product->shape.rows,
        .inputs = (size_t)piece->count / each,
        .source_stride = (size_t)product->in / each,
        .result_stride = (size_t)product->out,
        .bias = call->bias && piece->in == 0 ? call->bias + output : NULL,
    };
    if (piece->in > 0)
        a.add = result;
    else if (product->shape.add)
        a.add = call->add ? (const unsigned char *)call->add + to : result;
    if (left > product->panel_out) {
        const struct piece next =
            piece_of(product, call, output + product->panel_out, piece->in);
        const size_t numbers = (size_t)next.count * (size_t)product->panel_out;
        a.ahead = next.data;
        a.ahead_bytes = next.data ? numbers * dtype_bytes(next.type) : 0;
    }
    const struct operand operand = make_operand(product, call, piece);
    float *const box =
        (float *)(void *)((unsigned char *)call->scratch + product->piece_bytes);
    const int32_t outputs = left < product->panel_out ? left : product->panel_out;
    if (outputs % 16 == 0)
        multiply_panel(product, &a, &operand, outputs);
    else
        multiply_boxed(product, &a, &operand, outputs, box);
}

void product_own_run(const struct product *product, const struct product_call *call)
{
    for (int32_t in = 0; in < product->in; in += product->part_in)
        for (int32_t output = 0; output < product->out; output += product->panel_out) {
            const struct piece piece = piece_of(product, call, output, in);
            run_piece(product, call, &piece);
        }
}
