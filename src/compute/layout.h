/* layout — how the right-hand matrix of a GEMM (the packed weight, called operand) lies in memory.
 *
 * Every GEMM in compute/ is rows x operand: [rows, in] times [in, out]. On AVX-512 machines the layout
 * that the library chooses for the operand (format "any") is blocked:
 *
 *     [out / 64] [in / 32] [16] [64] [2]      bfloat16: pairs of inputs lie together
 *     [out / 64] [in / 16] [16] [64]          float32
 *
 * On other machines it chooses plain rows of outputs. It then reads a few outputs of many rows at a time,
 * so that with wide rows each read touches another page or cache set, and the rate is halved or worse
 * (measured: decisions/0006). There float32 is stored in the blocked layout anyway, and a GEMM multiplies
 * one panel of outputs at a time (`by_panels`): for the library a panel is a plain, narrow matrix.
 *
 * A layout depends only on type, in and out. (The library is asked with one number of rows; GEMMs
 * with other numbers of rows are then made with the same layout, and it is checked that they are not slow.)
 * The offset of an element is a sum of two parts: place(in) + place(out). Packing needs nothing else.
 */
#ifndef COMPUTE_LAYOUT_H
#define COMPUTE_LAYOUT_H

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"

#define LAYOUT_BLOCK 64 /* the largest block of one dimension that is read here */

struct weight_layout {
    dnnl_memory_desc_t desc; /* dims [in, out] */
    enum dtype type;
    int32_t in, out;
    size_t bytes;
    bool padded; /* padding: some elements belong to no input or output and are zero */
    bool
        by_panels; /* the library takes one block of outputs at a time, as plain rows */
    int32_t in_block, out_block;
    size_t in_stride, out_stride; /* elements from block to block */
    uint16_t in_place[LAYOUT_BLOCK], out_place[LAYOUT_BLOCK]; /* inside a block */
};

enum dr_code layout_choose(struct weight_layout *layout, enum dtype type, int32_t in,
                           int32_t out, struct dr_error *err) DR_MUST_CHECK;

/* float32 in panels, one of which the library takes at a time: what layout_choose falls to where the
 * library has no layout of its own. */
enum dr_code layout_panels(struct weight_layout *layout, int32_t in, int32_t out,
                           struct dr_error *err) DR_MUST_CHECK;

/* Plain rows of outputs, [in][out]: any library takes this. */
enum dr_code layout_plain(struct weight_layout *layout, enum dtype type, int32_t in,
                          int32_t out, struct dr_error *err) DR_MUST_CHECK;

/* A layout in which the outputs of one input lie in a line, or those of two inputs side by
 * side in one (`paired`), as kernel_softmax writes them. False where it is none. */
struct layout_lines {
    bool paired;
    size_t in_step;    /* elements from one line to the next */
    size_t panel_out;  /* outputs of a line */
    size_t panel_step; /* elements to the lines of the next outputs */
};
bool layout_lines(const struct weight_layout *layout, struct layout_lines *lines);

/* Where an element lies, counted in elements. */
static inline size_t layout_in(const struct weight_layout *layout, int32_t in)
{
    return (size_t)(in / layout->in_block) * layout->in_stride +
           layout->in_place[in % layout->in_block];
}
static inline size_t layout_out(const struct weight_layout *layout, int32_t out)
{
    return (size_t)(out / layout->out_block) * layout->out_stride +
           layout->out_place[out % layout->out_block];
}

/* Does a block of outputs lie in one dense piece, its blocks of inputs one after the other? Then it is a
 * panel (panel.h), and any number of whole blocks of inputs a piece of it. */
bool layout_has_panels(const struct weight_layout *layout);

/* A part of a plain matrix to be put into its places: element (in, out) of the part comes
 * from source[in * in_step + out * out_step] and goes to (in_first + in, out_first + out). */
struct layout_part {
    const void *source;
    size_t in_step, out_step; /* elements */
    size_t element_bytes;     /* 0: of the layout's type; 1, 2 or 4 */
    int32_t in_first, out_first, in_count, out_count;
};
void layout_pack(const struct weight_layout *layout, const struct layout_part *part,
                 void *target);

/* The same into one dense run of a layout with panels: in_first begins a block of inputs, out_first a block of
 * outputs, and the part has no more outputs than one block. target receives whole blocks of inputs, in_count
 * rounded up, zeros where they have neither an input nor an output. */
void layout_pack_run(const struct weight_layout *layout, const struct layout_part *part,
                     void *target);

/* The layout of outputs [first, first + count) alone, where that is one dense piece; its
 * byte offset in *offset. False where the layout does not allow it. */
bool layout_slice(const struct weight_layout *layout, int32_t first, int32_t count,
                  struct weight_layout *slice, size_t *offset);

#endif
