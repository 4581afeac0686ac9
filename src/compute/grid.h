/* grid — a weight that a file has in blocks, as it lies in memory: small integers in the places of the operand, and
 * tables of their scales.
 *
 * An element of a block type is a q + b, with q an integer of 4 or 8 bits and a, b of its group of 16 or 32 elements
 * (block_codec.h). A panel needs its numbers in another order than the file: all outputs of an input, then those of
 * the next. In that order the outputs of one input are each of another block, but all of the same group within
 * their output; so the scales of a line of outputs are a line of a table:
 *
 *     [q: as the operand lies, 4 or 8 bits each][a: a panel, its groups, 64 outputs][b: the same]
 *
 * and making a line is 64 multiplications of vectors, with no bits to be picked. What a stored number takes:
 *
 *     Q8_0, Q5_0  8 bits, a in float16 a group of 32           1.0625 bytes
 *     Q5_1        the same, and b                              1.125
 *     Q4_0, Q4_1  4 bits, a; a and b in float16, 32            0.5625, 0.625
 *     Q4_K        4 bits, a and b in float32 a group of 32     0.75
 *     Q3_K, Q2_K  4 bits, a; a and b in float32, 16            0.75, 1
 *     Q6_K, Q5_K  8 bits, a, 16; a and b, 32, in float32       1.25
 *
 * (a of the K types is a product of two numbers of the file, which float16 does not hold.) A nibble is q + offset.
 * Of a line of n numbers, byte i has number i in its low half and number i + n / 2 in its high half.
 *
 * The numbers are bit for bit those that the file's blocks decode to, rounded to bfloat16 where that is the
 * arithmetic's type. Threads: any. Nothing allocates.
 */
#ifndef COMPUTE_GRID_H
#define COMPUTE_GRID_H

#include "compute/kernels.h"
#include "compute/layout.h"
#include "compute/weight.h"

struct grid {
    uint8_t bits, group, offset;
    bool is_wide;   /* a and b are float32 */
    bool has_least; /* there is b */
};

/* Of a block type. */
const struct grid *grid_of(enum dtype stored);

/* Can a weight of this layout be a grid? Its panels must have 64 outputs in lines, and each output whole groups. */
bool grid_fits(const struct weight *weight, enum dtype stored);
/* Bytes of a weight that is one. */
size_t grid_bytes(const struct weight *weight, enum dtype stored);

/* The plain form: [q of out*in*kh*kw elements, a byte each][a: out x groups, float32][b: the same, where there is
 * one], row-major. Each part begins at a multiple of 64 bytes. */
struct grid_plain {
    size_t a, b, bytes; /* offsets of the tables; of the whole */
    size_t groups;      /* of an output */
};
struct grid_plain grid_plain(const struct weight *weight);
/* As weight_store_begin and weight_store_part. Places without an output have q = 0 and scales of 0. */
void grid_store_begin(const struct weight *weight, void *target);
void grid_store_part(const struct weight *weight, const void *plain, void *target,
                     int32_t part);

/* Lines of the operand from the one with input `in` on, in the panel that begins with `output`: `count` of them, in the
 * operand's type. A line has the outputs of one input, or of two side by side (layout_lines). in is a multiple of that.
 * Inputs that the weight does not have give zeros. */
void grid_make_lines(const struct weight *weight, const void *data,
                     const struct kernels *kernels, int32_t output, int32_t in,
                     int32_t count, void *target);

/* ---- the loop, compiled for each kind of processor (grid_loops.c) ---- */

/* target[line][i] = a[i] * q[line][i] + b[i], of n numbers (a multiple of 64, at most 128), `lines` times. */
struct grid_lines {
    void *target;
    enum dtype type; /* DTYPE_F32 or DTYPE_BF16 */
    const void *q;
    const float *a, *b; /* b may be NULL */
    size_t n, lines;
    int32_t bits, offset;
};

#endif
