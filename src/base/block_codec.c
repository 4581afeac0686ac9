#include "base/block_codec.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/block_loops.h"
#include "base/small_float.h"

enum {
    ELEMENTS = 32 /* of a block that can be written */
};

static block_loop *const *choose_loops(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return block_loops_avx512;
    if (__builtin_cpu_supports("avx2")) return block_loops_avx2;
#endif
    return block_loops_baseline;
}

void block_codec_decode(const void *source, enum dtype type, float *target,
                        size_t count)
{
    const size_t elements = dtype_block_elements(type);
    assert(dtype_is_block(type) && count % elements == 0);
    choose_loops()[type](source, target, count / elements);
}

/* ---- encoding ---- */

/* One over a scale; 0 for a scale that is zero, or so small that this is infinite. */
static float inverse(float scale)
{
    const float value = 1.0f / scale;
    return isfinite(value) ? value : 0.0f;
}

static bool put_scale(float scale, unsigned char *target)
{
    const uint16_t bits = f16_from_f32(scale);
    memcpy(target, &bits, sizeof bits);
    return (bits & 0x7C00u) != 0x7C00u;
}

static bool encode_q8_0(const float *source, unsigned char *target)
{
    float most = 0;
    for (int i = 0; i < ELEMENTS; ++i)
        most = fabsf(source[i]) > most ? fabsf(source[i]) : most;
    const float scale = most / 127.0f, factor = inverse(scale);
    for (int i = 0; i < ELEMENTS; ++i)
        target[2 + i] = (unsigned char)(int8_t)roundf(source[i] * factor);
    return put_scale(scale, target);
}

static int nibble(float value)
{
    const int q = (int)(value + 8.5f);
    return q < 0 ? 0 : q > 15 ? 15 : q;
}

/* The largest value gets -8: the side that has one step more. */
static bool encode_q4_0(const float *source, unsigned char *target)
{
    float most = 0;
    for (int i = 0; i < ELEMENTS; ++i)
        if (fabsf(source[i]) > fabsf(most)) most = source[i];
    const float scale = most / -8.0f, factor = inverse(scale);
    for (int i = 0; i < ELEMENTS / 2; ++i)
        target[2 + i] = (unsigned char)(nibble(source[i] * factor) |
                                        nibble(source[ELEMENTS / 2 + i] * factor) << 4);
    return put_scale(scale, target);
}

bool block_codec_encode(const float *source, enum dtype type, void *target,
                        size_t count)
{
    unsigned char *at = target;
    bool fits = true;
    assert((type == DTYPE_Q8_0 || type == DTYPE_Q4_0) && count % ELEMENTS == 0);
    for (size_t i = 0; i < count; i += ELEMENTS, at += dtype_block_bytes(type))
        fits &= type == DTYPE_Q8_0 ? encode_q8_0(source + i, at)
                                   : encode_q4_0(source + i, at);
    return fits;
}
