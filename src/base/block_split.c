/* Blocks taken apart: small integers, and the scale and the minimum of each group of them. What is subtracted in
 * block_loops.c has a unit of the other sign here, so a q + b gives the same bytes, also of zeros. */
#include <assert.h>
#include <string.h>

#include "base/block_codec.h"

/* The groups of one block: from is its bytes. */
struct split {
    int8_t *q;
    struct block_scale *a, *b; /* b is written only by types that have it */
};

static struct block_scale scale_of(const unsigned char *unit, int times)
{
    struct block_scale scale = {.times = (int16_t)times};
    memcpy(&scale.unit, unit, sizeof scale.unit);
    return scale;
}

static struct block_scale minus(struct block_scale scale)
{
    scale.unit ^= 0x8000;
    return scale;
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
    out.a[0] = scale_of(block, 1);
    memcpy(out.q, block + 2, 32);
}

static void split_q4_0(const unsigned char *block, struct split out)
{
    out.a[0] = scale_of(block, 1);
    put_nibbles(block + 2, 8, out.q);
}

static void split_q4_1(const unsigned char *block, struct split out)
{
    out.a[0] = scale_of(block, 1);
    out.b[0] = scale_of(block + 2, 1);
    put_nibbles(block + 4, 0, out.q);
}

static void split_q5_0(const unsigned char *block, struct split out)
{
    out.a[0] = scale_of(block, 1);
    put_fives(block + 2, block + 6, 16, out.q);
}

static void split_q5_1(const unsigned char *block, struct split out)
{
    out.a[0] = scale_of(block, 1);
    out.b[0] = scale_of(block + 2, 1);
    put_fives(block + 4, block + 8, 0, out.q);
}

static void split_q2_K(const unsigned char *block, struct split out)
{
    for (int group = 0; group < 16; ++group) {
        const unsigned char *const from = block + 16 + group / 8 * 32 + group % 2 * 16;
        const int shift = group % 8 / 2 * 2;
        out.a[group] = scale_of(block + 80, block[group] & 15);
        out.b[group] = minus(scale_of(block + 82, block[group] >> 4));
        for (int i = 0; i < 16; ++i)
            out.q[group * 16 + i] = (int8_t)(from[i] >> shift & 3);
    }
}

static void split_q3_K(const unsigned char *block, struct split out)
{
    const unsigned char *const scales = block + 96;
    for (int group = 0; group < 16; ++group) {
        const unsigned char *const from = block + 32 + group / 8 * 32 + group % 2 * 16;
        const unsigned char *const bits = block + group % 2 * 16;
        const int shift = group % 8 / 2 * 2, bit = group / 2;
        const int s = (scales[group % 8] >> group / 8 * 4 & 15) |
                      (scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
        out.a[group] = scale_of(block + 108, s - 32);
        for (int i = 0; i < 16; ++i)
            out.q[group * 16 + i] =
                (int8_t)((from[i] >> shift & 3) + (bits[i] >> bit & 1) * 4 - 4);
    }
}

static void put_scales(const unsigned char *block, struct split out)
{
    const unsigned char *const packed = block + 4;
    for (int group = 0; group < 8; ++group) {
        const int k = group % 4;
        const int s =
            group < 4 ? packed[k] & 63 : (packed[8 + k] & 15) | packed[k] >> 6 << 4;
        const int m = group < 4 ? packed[4 + k] & 63
                                : packed[8 + k] >> 4 | packed[4 + k] >> 6 << 4;
        out.a[group] = scale_of(block, s);
        out.b[group] = minus(scale_of(block + 2, m));
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
    for (int group = 0; group < 16; ++group) {
        const int half = group / 8, run = group % 8 / 2, odd = group % 2 * 16;
        const unsigned char *const from = block + half * 64 + run % 2 * 32 + odd;
        const unsigned char *const bits = block + 128 + half * 32 + odd;
        out.a[group] = scale_of(block + 208, (int8_t)block[192 + group]);
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

size_t block_codec_shared(enum dtype type)
{
    return dtype_block_elements(type) / block_codec_group(type);
}

bool block_scale_is_finite(const struct block_scale *scales, size_t count)
{
    unsigned found = 0;
    for (size_t i = 0; i < count; ++i)
        found |= (scales[i].unit & 0x7C00U) == 0x7C00U;
    return !found;
}

void block_codec_split(const void *source, enum dtype type, int8_t *q,
                       struct block_scale *a, struct block_scale *b, size_t count)
{
    const size_t elements = dtype_block_elements(type);
    const size_t groups = elements / block_codec_group(type);
    const unsigned char *from = source;
    assert(dtype_is_block(type) && count % elements == 0);
    for (size_t i = 0; i < count / elements; ++i, from += dtype_block_bytes(type))
        splits[type](from,
                     (struct split){q + i * elements, a + i * groups, b + i * groups});
}
