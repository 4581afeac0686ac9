/* Blocks taken apart: small integers, and the scale and the minimum of each group of them. The
 * products that make scales are those of block_loops.c, so a q + b gives the same bytes. */
#include <assert.h>
#include <string.h>

#include "base/block_codec.h"
#include "base/small_float.h"

/* The groups of one block: from is its bytes. */
struct split {
    int8_t *q;
    float *a, *b; /* b is written only by types that have it */
};

static float half_at(const unsigned char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return f32_from_f16(bits);
}

static float real(int value)
{
    return (float)value;
}

static void put_nibbles(const unsigned char *low, int less, int8_t *q)
{
    for (int i = 0; i < 16; ++i) {
        q[i] = (int8_t)((low[i] & 15) - less);
        q[16 + i] = (int8_t)((low[i] >> 4) - less);
    }
}

/* Of Q5_0 and Q5_1: the fifth bits, little endian. */
static void put_fives(const unsigned char *bits, const unsigned char *low, int less,
                      int8_t *q)
{
    for (int i = 0; i < 32; ++i) {
        const int four = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
        q[i] = (int8_t)((four | (bits[i / 8] >> i % 8 & 1) << 4) - less);
    }
}

static void split_q8_0(const unsigned char *block, struct split out)
{
    out.a[0] = half_at(block);
    memcpy(out.q, block + 2, 32);
}

static void split_q4_0(const unsigned char *block, struct split out)
{
    out.a[0] = half_at(block);
    put_nibbles(block + 2, 8, out.q);
}

static void split_q4_1(const unsigned char *block, struct split out)
{
    out.a[0] = half_at(block);
    out.b[0] = half_at(block + 2);
    put_nibbles(block + 4, 0, out.q);
}

static void split_q5_0(const unsigned char *block, struct split out)
{
    out.a[0] = half_at(block);
    put_fives(block + 2, block + 6, 16, out.q);
}

static void split_q5_1(const unsigned char *block, struct split out)
{
    out.a[0] = half_at(block);
    out.b[0] = half_at(block + 2);
    put_fives(block + 4, block + 8, 0, out.q);
}

static void split_q2_K(const unsigned char *block, struct split out)
{
    const float d = half_at(block + 80), e = half_at(block + 82);
    for (int group = 0; group < 16; ++group) {
        const unsigned char *const from = block + 16 + group / 8 * 32 + group % 2 * 16;
        const int shift = group % 8 / 2 * 2;
        out.a[group] = d * real(block[group] & 15);
        out.b[group] = -(e * real(block[group] >> 4));
        for (int i = 0; i < 16; ++i)
            out.q[group * 16 + i] = (int8_t)(from[i] >> shift & 3);
    }
}

static void split_q3_K(const unsigned char *block, struct split out)
{
    const unsigned char *const scales = block + 96;
    const float d = half_at(block + 108);
    for (int group = 0; group < 16; ++group) {
        const unsigned char *const from = block + 32 + group / 8 * 32 + group % 2 * 16;
        const unsigned char *const bits = block + group % 2 * 16;
        const int shift = group % 8 / 2 * 2, bit = group / 2;
        const int s = (scales[group % 8] >> group / 8 * 4 & 15) |
                      (scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
        out.a[group] = d * real(s - 32);
        for (int i = 0; i < 16; ++i)
            out.q[group * 16 + i] =
                (int8_t)((from[i] >> shift & 3) + (bits[i] >> bit & 1) * 4 - 4);
    }
}

static void put_scales(const unsigned char *block, struct split out)
{
    const unsigned char *const packed = block + 4;
    const float d = half_at(block), e = half_at(block + 2);
    for (int group = 0; group < 8; ++group) {
        const int k = group % 4;
        const int s =
            group < 4 ? packed[k] & 63 : (packed[8 + k] & 15) | packed[k] >> 6 << 4;
        const int m = group < 4 ? packed[4 + k] & 63
                                : packed[8 + k] >> 4 | packed[4 + k] >> 6 << 4;
        out.a[group] = d * real(s);
        out.b[group] = -(e * real(m));
    }
}

static void split_q4_K(const unsigned char *block, struct split out)
{
    put_scales(block, out);
    for (int group = 0; group < 8; ++group)
        for (int i = 0; i < 32; ++i)
            out.q[group * 32 + i] =
                (int8_t)(block[16 + group / 2 * 32 + i] >> group % 2 * 4 & 15);
}

static void split_q5_K(const unsigned char *block, struct split out)
{
    put_scales(block, out);
    for (int group = 0; group < 8; ++group)
        for (int i = 0; i < 32; ++i)
            out.q[group * 32 + i] =
                (int8_t)((block[48 + group / 2 * 32 + i] >> group % 2 * 4 & 15) |
                         (block[16 + i] >> group & 1) << 4);
}

static void split_q6_K(const unsigned char *block, struct split out)
{
    const float d = half_at(block + 208);
    for (int group = 0; group < 16; ++group) {
        const int half = group / 8, run = group % 8 / 2, odd = group % 2 * 16;
        const unsigned char *const from = block + half * 64 + run % 2 * 32 + odd;
        const unsigned char *const bits = block + 128 + half * 32 + odd;
        out.a[group] = d * real((int8_t)block[192 + group]);
        for (int i = 0; i < 16; ++i)
            out.q[group * 16 + i] = (int8_t)(((from[i] >> run / 2 * 4 & 15) |
                                              (bits[i] >> run * 2 & 3) << 4) -
                                             32);
    }
}

typedef void split_block(const unsigned char *block, struct split out);

static split_block *const splits[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = split_q8_0, [DTYPE_Q5_0] = split_q5_0, [DTYPE_Q5_1] = split_q5_1,
    [DTYPE_Q4_0] = split_q4_0, [DTYPE_Q4_1] = split_q4_1, [DTYPE_Q6_K] = split_q6_K,
    [DTYPE_Q5_K] = split_q5_K, [DTYPE_Q4_K] = split_q4_K, [DTYPE_Q3_K] = split_q3_K,
    [DTYPE_Q2_K] = split_q2_K,
};

size_t block_codec_group(enum dtype type)
{
    return type == DTYPE_Q6_K || type == DTYPE_Q3_K || type == DTYPE_Q2_K ? 16 : 32;
}

void block_codec_split(const void *source, enum dtype type, int8_t *q, float *a,
                       float *b, size_t count)
{
    const size_t elements = dtype_block_elements(type);
    const size_t groups = elements / block_codec_group(type);
    const unsigned char *from = source;
    assert(dtype_is_block(type) && count % elements == 0);
    for (size_t i = 0; i < count / elements; ++i, from += dtype_block_bytes(type))
        splits[type](from,
                     (struct split){q + i * elements, a + i * groups, b + i * groups});
}
