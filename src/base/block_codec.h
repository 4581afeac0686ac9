/* block_codec — numbers stored in blocks, each with scales of its own, as in GGUF files.
 *
 *   type   elements  bytes  value of an element          in a block, first to last
 *   Q8_0        32     34   d q, q in -128..127          d, 32 q
 *   Q5_0        32     22   d (q - 16), q in 0..31       d, 32 fifth bits, 32 q of 4 bits
 *   Q5_1        32     24   d q + m                      d, m, 32 fifth bits, 32 q of 4 bits
 *   Q4_0        32     18   d (q - 8), q in 0..15        d, 32 q of 4 bits
 *   Q4_1        32     20   d q + m                      d, m, 32 q of 4 bits
 *   Q6_K       256    210   d s (q - 32), q in 0..63     low 4 bits, high 2 bits, 16 s, d
 *   Q5_K       256    176   d s q - e m, q in 0..31      d, e, 8 (s, m) of 6 bits, fifth bits, low 4 bits
 *   Q4_K       256    144   d s q - e m, q in 0..15      d, e, 8 (s, m) of 6 bits, 256 q of 4 bits
 *   Q3_K       256    110   d (s - 32) (q - 4)           third bits, low 2 bits, 16 s of 6 bits, d
 *   Q2_K       256     84   d s q - e m, q in 0..3       16 (s, m) of 4 bits, 256 q of 2 bits, d, e
 *
 * d, e and m (of Q4_1, Q5_1) are float16. Products and sums are float32, each rounded, in the order
 * of the table; so the numbers are those of the reference, bit for bit, on every processor.
 * Source: ggml's published format (ggml-common.h); reference: the Python package gguf, quants.py.
 */
#ifndef BASE_BLOCK_CODEC_H
#define BASE_BLOCK_CODEC_H

#include "base/dtype.h"

/* Decode count elements, whole blocks of a block type. source needs no alignment and does not
 * overlap target. Infinite or NaN scales give such values. Any thread. */
void block_codec_decode(const void *source, enum dtype type, float *target,
                        size_t count);

/* Encode count elements, whole blocks, into Q8_0 or Q4_0 as the reference does: a block's scale is
 * its largest magnitude over 127 (Q8_0), or its largest value over -8 (Q4_0). Values are finite.
 * False where a scale is above float16's range (65504): the block's bytes are unspecified then. */
bool block_codec_encode(const float *source, enum dtype type, void *target,
                        size_t count) __attribute__((warn_unused_result));

/* A scale of a group: the product, in float32, of a float16 and a whole number of -128 to 127. */
struct block_scale {
    uint16_t unit; /* bits of the float16 */
    int16_t times;
};
/* Are all units finite? Then the scales are. */
bool block_scale_is_finite(const struct block_scale *scales, size_t count);

/* Take count elements, whole blocks, apart: each is a q + b, rounded twice, with a and b of its group
 * of block_codec_group elements. q is -128 to 127. b is written only for types that have
 * minima: Q5_1, Q4_1, Q5_K, Q4_K, Q2_K. Of the K types block_codec_shared groups have their unit in common, those of a
 * block; of the others times is 1. */
size_t block_codec_group(enum dtype type);
size_t block_codec_shared(enum dtype type);
void block_codec_split(const void *source, enum dtype type, int8_t *q,
                       struct block_scale *a, struct block_scale *b, size_t count);

#endif
