/* grid — a weight that a file has in blocks, as it lies in memory: small integers in the places of the operand, and
 * tables of their scales.
 *
 * An element of a block type is a q + b, with q an integer of 2 to 8 bits and a, b of its group of 16 or 32 elements
 * (block_codec.h). A panel needs its numbers in another order than the file: all outputs of an input, then those of
 * the next. In that order the outputs of one input are each of another block, but all of the same group within
 * their output; so the scales of a line of outputs are a line of a table:
 *
 *     [q: as the operand lies, 2 to 8 bits each][units of a][units of b][factors of a][factors of b][phases]
 *
 * with each table a panel after the other, its groups, 64 outputs; and making a line is 64 multiplications of vectors.
 * A scale is a unit, float16, times a factor, a whole number. Of the K types several groups, those of a block of the
 * file, share a unit; the others have a unit for each group and no factors. Blocks of the K types may cross outputs:
 * an output's phase is the number of groups that its first unit lacks, so that group g has unit
 * (phase + g) / shared. Bytes that a stored number takes, in memory (a linear of 1280 inputs) and in the file:
 *
 *     type  bits  group  scales                                       memory  file
 *     Q8_0    8     32   a unit                                       1.0625  1.0625
 *     Q5_0    5     32   a unit                                       0.6875  0.6875
 *     Q5_1    5     32   two units                                    0.7500  0.7500
 *     Q4_0    4     32   a unit                                       0.5625  0.5625
 *     Q4_1    4     32   two units                                    0.6250  0.6250
 *     Q6_K    6     16   a factor; a unit for 16 groups               0.8227  0.8203
 *     Q5_K    5     32   two factors; two units for 8 groups          0.7070  0.6875
 *     Q4_K    4     32   the same                                     0.5820  0.5625
 *     Q3_K    3     16   a factor; a unit for 16 groups               0.4477  0.4297
 *     Q2_K    2     16   two factors in a byte; two units for 16      0.3320  0.3281
 *
 * Factors take a byte and have 6 bits in the file, and an output of a K type has room for a unit more.
 *
 * A number of q + offset is divided into parts of 4, 2 or 1 bits (6 = 4 + 2, 5 = 4 + 1, 3 = 2 + 1, the low bits first). A
 * line of n numbers has its parts one after the other; in a part of w bits byte i has those of numbers i, i + m,
 * i + 2 m, ..., from the low bits on, with m = n w / 8.
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
    uint8_t shared;      /* groups of an output with one unit; 1: no factors */
    uint8_t factor_bits; /* 8, or 4: those of a and b are one byte */
    bool has_least;      /* there is b */
};

/* Of a block type. */
const struct grid *grid_of(enum dtype stored);

/* Can a weight of this layout be a grid? Its panels must have 64 outputs in lines, and each output whole groups. */
bool grid_fits(const struct weight *weight, enum dtype stored);
/* Bytes of a weight that is one. */
size_t grid_bytes(const struct weight *weight, enum dtype stored);

/* The plain form: [q of out*in*kh*kw elements, a byte each][a: out x groups, struct block_scale][b: the same, where
 * there is one], row-major. Each part begins at a multiple of 64 bytes. Of the K types the groups of an output that
 * are of one block have one unit. */
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

/* ---- the loops, compiled for each kind of processor (grid_loops.c) ---- */

/* target[line][i] = a[i] * q[line][i] + b[i], of n numbers (a multiple of 64, at most 128), `lines` times. */
struct grid_lines {
    void *target;
    enum dtype type; /* DTYPE_F32 or DTYPE_BF16 */
    const void *q;
    const float *a, *b; /* b may be NULL */
    size_t n, lines;
    int32_t bits, offset;
};

/* The scales of 64 outputs of a group into every `step`th number of target: units[i], or next[i] where phases[i] is
 * enough, times factors[i]. */
struct grid_scales {
    float *target;
    size_t step; /* 1 or 2 */
    const float *units, *next;
    const uint8_t *phases;
    uint8_t enough;
    /* int8; where is_tight, the four bits of a byte from `shift` on. NULL: units alone, and no next and phases. */
    const uint8_t *factors;
    bool is_tight;
    int32_t shift;
};

#endif
