/* Compiled once for each kind of processor (meson.build), as compute's kernels are: BLOCK_LOOPS is
 * the name of the table. Inner loops have a fixed length and no branch, so that the compiler makes
 * vectors of them. a*b+c stays two roundings, as in the reference: its flags have no
 * -ffp-contract=fast.
 */
#include "base/block_loops.h"

#include "base/small_float.h"

INLINE float half_at(const unsigned char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return f32_from_f16(bits);
}

INLINE uint32_t word_at(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

INLINE float real(int value)
{
    return (float)value;
}

/* ---- blocks of 32 ---- */

INLINE void q8_0(const unsigned char *restrict block, float *restrict target)
{
    const float d = half_at(block);
    for (int i = 0; i < 32; ++i)
        target[i] = d * real((int8_t)block[2 + i]);
}

/* Element i has the low half of byte i, element i + 16 the high half. */
INLINE void q4_0(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const low = block + 2;
    const float d = half_at(block);
    for (int i = 0; i < 16; ++i)
        target[i] = d * real((low[i] & 15) - 8);
    for (int i = 0; i < 16; ++i)
        target[16 + i] = d * real((low[i] >> 4) - 8);
}

INLINE void q4_1(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const low = block + 4;
    const float d = half_at(block), m = half_at(block + 2);
    for (int i = 0; i < 16; ++i)
        target[i] = d * real(low[i] & 15) + m;
    for (int i = 0; i < 16; ++i)
        target[16 + i] = d * real(low[i] >> 4) + m;
}

/* The fifth bit of element i is bit i of a little-endian word. */
INLINE int fifth(uint32_t bits, int i)
{
    return (int)((bits >> i & 1u) << 4);
}

INLINE void q5_0(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const low = block + 6;
    const uint32_t bits = word_at(block + 2);
    const float d = half_at(block);
    for (int i = 0; i < 16; ++i)
        target[i] = d * real(((low[i] & 15) | fifth(bits, i)) - 16);
    for (int i = 0; i < 16; ++i)
        target[16 + i] = d * real(((low[i] >> 4) | fifth(bits, 16 + i)) - 16);
}

INLINE void q5_1(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const low = block + 8;
    const uint32_t bits = word_at(block + 4);
    const float d = half_at(block), m = half_at(block + 2);
    for (int i = 0; i < 16; ++i)
        target[i] = d * real((low[i] & 15) | fifth(bits, i)) + m;
    for (int i = 0; i < 16; ++i)
        target[16 + i] = d * real((low[i] >> 4) | fifth(bits, 16 + i)) + m;
}

/* ---- blocks of 256 ---- */

/* Run k of 32 elements in each half of a block (0 to 3) has bits [2k, 2k + 2) of the half's 32
 * bytes; each 16 elements share a scale. */
INLINE void q2_K(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const scales = block, *const low = block + 16;
    const float d = half_at(block + 80), e = half_at(block + 82);
    for (int group = 0; group < 16; ++group) {
        const unsigned char *const from = low + group / 8 * 32 + group % 2 * 16;
        const int shift = group % 8 / 2 * 2;
        const float scale = d * real(scales[group] & 15),
                    least = e * real(scales[group] >> 4);
        for (int i = 0; i < 16; ++i)
            target[group * 16 + i] = scale * real(from[i] >> shift & 3) - least;
    }
}

/* The 16 scales of 6 bits: the low 4 bits of scale s in a half of byte s % 8, the high 2 bits in
 * byte 8 + s % 4. A third bit that is not set takes 4 off. */
INLINE void q3_K(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const third = block, *const low = block + 32,
                               *const scales = block + 96;
    const float d = half_at(block + 108);
    for (int group = 0; group < 16; ++group) {
        const unsigned char *const from = low + group / 8 * 32 + group % 2 * 16;
        const unsigned char *const bits = third + group % 2 * 16;
        const int shift = group % 8 / 2 * 2, bit = group / 2;
        const int s = (scales[group % 8] >> group / 8 * 4 & 15) |
                      (scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
        const float scale = d * real(s - 32);
        for (int i = 0; i < 16; ++i)
            target[group * 16 + i] =
                scale * real((from[i] >> shift & 3) + (bits[i] >> bit & 1) * 4 - 4);
    }
}

/* Scale and minimum, 6 bits each, of one of 8 groups of 32: of the first four in the low bits of
 * bytes 0 to 7; of the others 4 bits in bytes 8 to 11 and 2 in the high bits of bytes 0 to 7. */
INLINE void scale_and_least(const unsigned char *packed, int group, int *scale,
                            int *least)
{
    const int k = group % 4;
    *scale = group < 4 ? packed[k] & 63 : (packed[8 + k] & 15) | packed[k] >> 6 << 4;
    *least =
        group < 4 ? packed[4 + k] & 63 : packed[8 + k] >> 4 | packed[4 + k] >> 6 << 4;
}

INLINE void q4_K(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const low = block + 16;
    const float d = half_at(block), e = half_at(block + 2);
    for (int group = 0; group < 8; ++group) {
        const unsigned char *const from = low + group / 2 * 32;
        const int shift = group % 2 * 4;
        int s, m;
        scale_and_least(block + 4, group, &s, &m);
        const float scale = d * real(s), least = e * real(m);
        for (int i = 0; i < 32; ++i)
            target[group * 32 + i] = scale * real(from[i] >> shift & 15) - least;
    }
}

INLINE void q5_K(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const bits = block + 16, *const low = block + 48;
    const float d = half_at(block), e = half_at(block + 2);
    for (int group = 0; group < 8; ++group) {
        const unsigned char *const from = low + group / 2 * 32;
        const int shift = group % 2 * 4;
        int s, m;
        scale_and_least(block + 4, group, &s, &m);
        const float scale = d * real(s), least = e * real(m);
        for (int i = 0; i < 32; ++i)
            target[group * 32 + i] =
                scale * real((from[i] >> shift & 15) | (bits[i] >> group & 1) << 4) -
                least;
    }
}

/* In each half, run k of 32 elements has the low (k < 2) or high 4 bits of bytes 32 (k % 2) on of
 * 64, and bits [2k, 2k + 2) of 32 bytes more. */
INLINE void q6_K(const unsigned char *restrict block, float *restrict target)
{
    const unsigned char *const low = block, *const high = block + 128;
    const float d = half_at(block + 208);
    for (int group = 0; group < 16; ++group) {
        const int half = group / 8, run = group % 8 / 2, odd = group % 2 * 16;
        const unsigned char *const from = low + half * 64 + run % 2 * 32 + odd;
        const unsigned char *const bits = high + half * 32 + odd;
        const int shift = run / 2 * 4, bit = run * 2;
        const float scale = d * real((int8_t)block[192 + group]);
        for (int i = 0; i < 16; ++i)
            target[group * 16 + i] =
                scale *
                real(((from[i] >> shift & 15) | (bits[i] >> bit & 3) << 4) - 32);
    }
}

/* ---- the table ---- */

/* X(name of the type and its function, bytes, elements) */
#define BLOCK_TYPES(X)      \
    X(Q8_0, q8_0, 34, 32)   \
    X(Q5_0, q5_0, 22, 32)   \
    X(Q5_1, q5_1, 24, 32)   \
    X(Q4_0, q4_0, 18, 32)   \
    X(Q4_1, q4_1, 20, 32)   \
    X(Q6_K, q6_K, 210, 256) \
    X(Q5_K, q5_K, 176, 256) \
    X(Q4_K, q4_K, 144, 256) \
    X(Q3_K, q3_K, 110, 256) \
    X(Q2_K, q2_K, 84, 256)

#define X(type, decode, bytes, elements)                              \
    static void decode##_blocks(const unsigned char *restrict source, \
                                float *restrict target, size_t count) \
    {                                                                 \
        for (size_t i = 0; i < count; ++i)                            \
            decode(source + i * (bytes), target + i * (elements));    \
    }
BLOCK_TYPES(X)
#undef X

block_loop *const BLOCK_LOOPS[DTYPE_COUNT] = {
#define X(type, decode, bytes, elements) [DTYPE_##type] = decode##_blocks,
    BLOCK_TYPES(X)
#undef X
};
