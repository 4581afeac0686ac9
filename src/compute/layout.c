#include "compute/layout.h"

#include <stdio.h>
#include <string.h>

#include "compute/library.h"

/* The row count that the library is asked with. Its answer has been the same for 1 to 8192. */
#define TYPICAL_ROWS 128

static dnnl_status_t ask_library(struct weight_layout *layout, dnnl_format_tag_t tag)
{
    const dnnl_data_type_t type = library_type(layout->type);
    dnnl_memory_desc_t rows, operand, result;
    const dnnl_dims_t row_dims = {TYPICAL_ROWS, layout->in};
    const dnnl_dims_t operand_dims = {layout->in, layout->out};
    const dnnl_dims_t result_dims = {TYPICAL_ROWS, layout->out};
    dnnl_matmul_desc_t product;
    dnnl_status_t status =
        dnnl_memory_desc_init_by_tag(&rows, 2, row_dims, type, dnnl_ab);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&operand, 2, operand_dims, type, tag);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&result, 2, result_dims, type, dnnl_ab);
    if (status == dnnl_success)
        status = dnnl_matmul_desc_init(&product, &rows, &operand, NULL, &result);
    dnnl_primitive_desc_t made = NULL;
    if (status == dnnl_success)
        status =
            dnnl_primitive_desc_create(&made, &product, NULL, library_engine(), NULL);
    if (status != dnnl_success) return status;
    layout->desc = *dnnl_primitive_desc_query_md(made, dnnl_query_weights_md, 0);
    layout->bytes = dnnl_memory_desc_get_size(&layout->desc);
    return dnnl_primitive_desc_destroy(made);
}

/* Reads the blocks of dimension dim (0: in, 1: out) from the innermost outwards. False where
 * they are larger than this module reads. */
static bool read_blocks(const dnnl_memory_desc_t *desc, int dim, int32_t *block,
                        uint16_t place[static LAYOUT_BLOCK])
{
    const dnnl_blocking_desc_t *const blocking = &desc->format_desc.blocking;
    dnnl_dim_t size = 1, step = 1;
    place[0] = 0;
    for (int i = blocking->inner_nblks; i-- > 0;) {
        const dnnl_dim_t inner = blocking->inner_blks[i];
        if (blocking->inner_idxs[i] == dim) {
            if (size * inner > LAYOUT_BLOCK || step * inner > UINT16_MAX) return false;
            for (dnnl_dim_t k = size; k < size * inner; ++k)
                place[k] = (uint16_t)(place[k % size] + k / size * step);
            size *= inner;
        }
        step *= inner;
    }
    *block = (int32_t)size;
    return true;
}

static bool read_layout(struct weight_layout *layout)
{
    const dnnl_memory_desc_t *const desc = &layout->desc;
    if (desc->format_kind != dnnl_blocked || desc->extra.flags != 0 ||
        desc->offset0 != 0)
        return false;
    if (!read_blocks(desc, 0, &layout->in_block, layout->in_place) ||
        !read_blocks(desc, 1, &layout->out_block, layout->out_place))
        return false;
    layout->in_stride = (size_t)desc->format_desc.blocking.strides[0];
    layout->out_stride = (size_t)desc->format_desc.blocking.strides[1];
    layout->padded =
        desc->padded_dims[0] != layout->in || desc->padded_dims[1] != layout->out;
    return true;
}

/* What the library of a larger processor would have answered. */
static dnnl_status_t lay_in_panels(struct weight_layout *layout)
{
    static const dnnl_format_tag_t tags[] = {dnnl_BA16a16b, dnnl_BA16a32b,
                                             dnnl_BA16a48b, dnnl_BA16a64b};
    const int32_t widths = (int32_t)(sizeof tags / sizeof *tags);
    const int32_t lines = layout->out / 16 + (layout->out % 16 != 0);
    const dnnl_dims_t dims = {layout->in, layout->out};
    const dnnl_status_t status =
        dnnl_memory_desc_init_by_tag(&layout->desc, 2, dims, library_type(layout->type),
                                     tags[(lines < widths ? lines : widths) - 1]);
    layout->bytes = dnnl_memory_desc_get_size(&layout->desc);
    layout->by_panels = true;
    return status;
}

static bool is_plain(const struct weight_layout *layout)
{
    return layout->desc.format_kind == dnnl_blocked &&
           layout->desc.format_desc.blocking.inner_nblks == 0;
}

static dnnl_status_t lay_plain(struct weight_layout *layout)
{
    return ask_library(layout, dnnl_ab);
}

static dnnl_status_t lay_as_the_library_likes(struct weight_layout *layout)
{
    const dnnl_status_t status = ask_library(layout, dnnl_format_tag_any);
    if (status != dnnl_success) return status;
    if (is_plain(layout) && layout->type == DTYPE_F32) return lay_in_panels(layout);
    return read_layout(layout) ? dnnl_success : lay_plain(layout);
}

static enum dr_code make_layout(struct weight_layout *layout, enum dtype type,
                                int32_t in, int32_t out,
                                dnnl_status_t (*lay)(struct weight_layout *),
                                struct dr_error *err)
{
    char what[96];
    (void)snprintf(what, sizeof what,
                   "packed weight of %d inputs and %d outputs in "
                   "%s",
                   in, out, dtype_name(type));
    *layout = (struct weight_layout){.type = type, .in = in, .out = out};
    const enum dr_code code = library_room(what, err);
    if (code != DR_OK) return code;
    const int before = library_begin_single();
    dnnl_status_t status = lay(layout);
    if (status == dnnl_success && !read_layout(layout)) status = dnnl_unimplemented;
    library_end_single(before);
    return library_check(status, what, err);
}

enum dr_code layout_choose(struct weight_layout *layout, enum dtype type, int32_t in,
                           int32_t out, struct dr_error *err)
{
    return make_layout(layout, type, in, out, lay_as_the_library_likes, err);
}

enum dr_code layout_panels(struct weight_layout *layout, int32_t in, int32_t out,
                           struct dr_error *err)
{
    return make_layout(layout, DTYPE_F32, in, out, lay_in_panels, err);
}

enum dr_code layout_plain(struct weight_layout *layout, enum dtype type, int32_t in,
                          int32_t out, struct dr_error *err)
{
    return make_layout(layout, type, in, out, lay_plain, err);
}

bool layout_lines(const struct weight_layout *layout, struct layout_lines *lines)
{
    if (layout->in_block == 1 && layout->out_block == 1) {
        *lines = (struct layout_lines){.in_step = layout->in_stride,
                                       .panel_out = (size_t)layout->out,
                                       .panel_step = 0};
        return layout->out_stride == 1;
    }
    const bool paired = layout->in_block > 1 && layout->in_place[1] == 1;
    const int32_t side = paired ? 2 : 1;
    if (layout->out_block % 16 != 0 || layout->in_block % side != 0) return false;
    for (int32_t i = 0; i < layout->out_block; ++i)
        if (layout->out_place[i] != side * i) return false;
    const size_t step =
        layout->in_block > side ? layout->in_place[side] : layout->in_stride;
    for (int32_t i = 0; i < layout->in_block; ++i)
        if (layout->in_place[i] != (size_t)(i / side) * step + (size_t)(i % side))
            return false;
    *lines = (struct layout_lines){.paired = paired,
                                   .in_step = step,
                                   .panel_out = (size_t)layout->out_block,
                                   .panel_step = layout->out_stride};
    return layout->in_stride == (size_t)(layout->in_block / side) * step;
}

bool layout_has_panels(const struct weight_layout *layout)
{
    const size_t panel =
        (size_t)layout->desc.padded_dims[0] * (size_t)layout->out_block;
    return layout->in_block > 1 && layout->out_block > 1 &&
           layout->in_stride == (size_t)layout->in_block * (size_t)layout->out_block &&
           layout->out_stride == panel;
}

/* Part of one output's inputs, `count` from `in` on. The place of an input is its block's and its
 * own inside the block. */
#define PACK_LINE(name, type)                                                       \
    static void name(const struct weight_layout *layout, int32_t in, int32_t count, \
                     const type *from, size_t from_step, type *to)                  \
    {                                                                               \
        const int32_t end = in + count;                                             \
        while (in < end) {                                                          \
            const int32_t block = in / layout->in_block;                            \
            const int32_t start = block * layout->in_block;                         \
            const int32_t stop =                                                    \
                start + layout->in_block < end ? start + layout->in_block : end;    \
            type *const place = to + (size_t)block * layout->in_stride;             \
            for (; in < stop; ++in, from += from_step)                              \
                place[layout->in_place[in - start]] = *from;                        \
        }                                                                           \
    }
PACK_LINE(pack_line8, uint8_t)
PACK_LINE(pack_line16, uint16_t)
PACK_LINE(pack_line32, uint32_t)
#undef PACK_LINE

/* Rows of outputs, [in][out]: what the general loops do, without a division for each element. */
static void pack_row32(const struct weight_layout *layout, int32_t in, int32_t count,
                       const uint32_t *from, size_t from_step, uint32_t *to)
{
    to += (size_t)in * layout->in_stride;
    for (int32_t i = 0; i < count; ++i)
        to[(size_t)i * layout->in_stride] = from[(size_t)i * from_step];
}

/* Outputs that follow each other lie in one cache line of the target, inputs of the source: so
 * it goes by tiles, small enough for both to stay near, or each element would touch a line that
 * was gone again. */
enum {
    TILE_OUT = 16,
    TILE_IN = 64
};

static void pack_tile(const struct weight_layout *layout,
                      const struct layout_part *tile, size_t element, void *target)
{
    for (int32_t o = 0; o < tile->out_count; ++o) {
        const size_t from = (size_t)o * tile->out_step;
        const size_t to = layout_out(layout, tile->out_first + o);
        if (element == 1)
            pack_line8(layout, tile->in_first, tile->in_count,
                       (const uint8_t *)tile->source + from, tile->in_step,
                       (uint8_t *)target + to);
        else if (element == 2)
            pack_line16(layout, tile->in_first, tile->in_count,
                        (const uint16_t *)tile->source + from, tile->in_step,
                        (uint16_t *)target + to);
        else if (layout->in_block > 1)
            pack_line32(layout, tile->in_first, tile->in_count,
                        (const uint32_t *)tile->source + from, tile->in_step,
                        (uint32_t *)target + to);
        else
            pack_row32(layout, tile->in_first, tile->in_count,
                       (const uint32_t *)tile->source + from, tile->in_step,
                       (uint32_t *)target + to);
    }
}

static int32_t at_most(int32_t count, int32_t most)
{
    return count < most ? count : most;
}

void layout_pack(const struct weight_layout *layout, const struct layout_part *part,
                 void *target)
{
    const size_t element =
        part->element_bytes ? part->element_bytes : dtype_bytes(layout->type);
    for (int32_t o = 0; o < part->out_count; o += TILE_OUT)
        for (int32_t i = 0; i < part->in_count; i += TILE_IN) {
            struct layout_part tile = *part;
            tile.source =
                (const unsigned char *)part->source +
                ((size_t)i * part->in_step + (size_t)o * part->out_step) * element;
            tile.in_first += i;
            tile.out_first += o;
            tile.in_count = at_most(part->in_count - i, TILE_IN);
            tile.out_count = at_most(part->out_count - o, TILE_OUT);
            pack_tile(layout, &tile, element, target);
        }
}

/* One block of inputs of a panel. */
#define PACK_BLOCK(name, type)                                                      \
    static void name(const struct weight_layout *layout,                            \
                     const struct layout_part *part, const type *restrict from,     \
                     int32_t in_count, type *restrict to)                           \
    {                                                                               \
        const size_t in_step = part->in_step, out_step = part->out_step;            \
        const size_t side = layout->out_block > 1 ? layout->out_place[1] : 1;       \
        for (int32_t in = 0; in < in_count; ++in, from += in_step) {                \
            type *const place = to + layout->in_place[in];                          \
            const type *number = from;                                              \
            for (int32_t out = 0; out < part->out_count; ++out, number += out_step) \
                place[(size_t)out * side] = *number;                                \
        }                                                                           \
    }
PACK_BLOCK(pack_block8, uint8_t)
PACK_BLOCK(pack_block16, uint16_t)
PACK_BLOCK(pack_block32, uint32_t)
#undef PACK_BLOCK

void layout_pack_run(const struct weight_layout *layout, const struct layout_part *part,
                     void *target)
{
    const size_t element = part->element_bytes;
    const size_t block_bytes = layout->in_stride * element;
    const unsigned char *from = part->source;
    unsigned char *to = target;
    for (int32_t in = 0; in < part->in_count; in += layout->in_block) {
        const int32_t count = at_most(part->in_count - in, layout->in_block);
        if (count < layout->in_block || part->out_count < layout->out_block)
            memset(to, 0, block_bytes);
        if (element == 1)
            pack_block8(layout, part, from, count, to);
        else if (element == 2)
            pack_block16(layout, part, (const uint16_t *)(const void *)from, count,
                         (uint16_t *)(void *)to);
        else
            pack_block32(layout, part, (const uint32_t *)(const void *)from, count,
                         (uint32_t *)(void *)to);
        from += (size_t)layout->in_block * part->in_step * element;
        to += block_bytes;
    }
}

bool layout_slice(const struct weight_layout *layout, int32_t first, int32_t count,
                  struct weight_layout *slice, size_t *offset)
{
    const size_t panel =
        (size_t)layout->desc.padded_dims[0] * (size_t)layout->out_block;
    if (first == 0 && count == layout->out) {
        *slice = *layout;
        *offset = 0;
        return true;
    }
    if (layout->out_block == 1 || layout->out_stride != panel) return false;
    if (first % layout->out_block != 0 || count % layout->out_block != 0) return false;
    *slice = *layout;
    slice->out = count;
    slice->desc.dims[1] = count;
    slice->desc.padded_dims[1] = count;
    slice->bytes =
        panel / (size_t)layout->out_block * (size_t)count * dtype_bytes(layout->type);
    *offset = (size_t)(first / layout->out_block) * layout->out_stride *
              dtype_bytes(layout->type);
    return true;
}
