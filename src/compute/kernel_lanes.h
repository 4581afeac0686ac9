/* kernel_lanes — a register of numbers at a time: loading, storing, exp and its relatives.
 *
 * LANES is 16, 8 or 4 float32 numbers, by the flags that the file which includes this is
 * compiled with: powers of two up to 16, so that a multiple of 16 numbers leaves no remainder. (A
 * compiler accepts vectors wider than the processor's too, but keeps them in memory.) A remainder of
 * less than LANES numbers is copied to a padded vector, so that the same arithmetic serves
 * every length and nothing outside an array is accessed.
 *
 * Intrinsics are used where the compiler does not find the single instruction; each has
 * the plain form beside it. All functions propagate NaN: larger(low, x) is x if x is NaN.
 */
#ifndef COMPUTE_KERNEL_LANES_H
#define COMPUTE_KERNEL_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/dtype.h"
#include "compute/plan.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* How a vector would be passed without AVX does not matter: every function here is inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef uint8_t octets __attribute__((vector_size(LANES)));

INLINE floats all(float value)
{
    return value - (floats){0};
}

INLINE floats select(ints which, floats yes, floats no)
{
    return (floats)(((ints)yes & which) | ((ints)no & ~which));
}

/* The larger of two; b where one of them is NaN. */
INLINE floats larger(floats a, floats b)
{
#if defined(__AVX512F__)
    return (floats)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (floats)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE__)
    return (floats)_mm_max_ps((__m128)a, (__m128)b);
#else
    return select(a > b, a, b);
#endif
}

INLINE floats smaller(floats a, floats b)
{
#if defined(__AVX512F__)
    return (floats)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (floats)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE__)
    return (floats)_mm_min_ps((__m128)a, (__m128)b);
#else
    return select(a < b, a, b);
#endif
}

INLINE floats clamp(floats x, float low, float high)
{
    return smaller(all(high), larger(all(low), x));
}

/* ---- loading and storing ------------------------------------------------------------- */

INLINE floats widen(halves bits)
{
    return (floats)(__builtin_convertvector(bits, words) << 16);
}

INLINE halves narrow(floats x)
{
#ifdef __AVX512BF16__
    return (halves)_mm512_cvtneps_pbh((__m512)x);
#else
    const words bits = (words)x;
    const words rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    const words quiet = (bits >> 16) | 0x40;
    const words is_nan = (words)(x != x);
    return __builtin_convertvector((quiet & is_nan) | (rounded & ~is_nan), halves);
#endif
}

INLINE floats load(const void *source, enum dtype type, size_t at)
{
    if (type == DTYPE_F32) {
        floats x;
        memcpy(&x, (const float *)source + at, sizeof x);
        return x;
    }
    halves bits;
    memcpy(&bits, (const uint16_t *)source + at, sizeof bits);
    return widen(bits);
}

INLINE void store(void *target, enum dtype type, size_t at, floats x)
{
    if (type == DTYPE_F32) {
        memcpy((float *)target + at, &x, sizeof x);
    } else {
        const halves bits = narrow(x);
        memcpy((uint16_t *)target + at, &bits, sizeof bits);
    }
}

/* The first count (< LANES) numbers; the other lanes are 0. */
INLINE floats load_part(const void *source, enum dtype type, size_t at, size_t count)
{
    if (type == DTYPE_F32) {
        float part[LANES] = {0};
        memcpy(part, (const float *)source + at, count * sizeof *part);
        return load(part, DTYPE_F32, 0);
    }
    uint16_t part[LANES] = {0};
    memcpy(part, (const uint16_t *)source + at, count * sizeof *part);
    return load(part, DTYPE_BF16, 0);
}

INLINE void store_part(void *target, enum dtype type, size_t at, floats x, size_t count)
{
    if (type == DTYPE_F32) {
        for (size_t k = 0; k < count; ++k)
            ((float *)target)[at + k] = x[k];
    } else {
        const halves bits = narrow(x);
        for (size_t k = 0; k < count; ++k)
            ((uint16_t *)target)[at + k] = bits[k];
    }
}

INLINE floats load_some(const void *source, enum dtype type, size_t at, size_t count)
{
    return count >= LANES ? load(source, type, at) : load_part(source, type, at, count);
}

INLINE void store_some(void *target, enum dtype type, size_t at, floats x, size_t count)
{
    if (count >= LANES)
        store(target, type, at, x);
    else
        store_part(target, type, at, x, count);
}

/* float16, exactly. */
INLINE floats widen_f16(halves bits)
{
#if defined(__AVX512F__)
    return (floats)_mm512_cvtph_ps((__m256i)bits);
#elif defined(__F16C__)
    return (floats)_mm256_cvtph_ps((__m128i)bits);
#else
    /* Above the normal range the exponent's distance is added twice: infinity and NaN. Below it a number
     * is an integer times 2^-24. */
    const words wide = __builtin_convertvector(bits, words);
    const words magnitude = (wide & 0x7FFF) << 13;
    const words distance = (words){0} + ((127u - 15u) << 23);
    const words special = (words)(magnitude >= (0x7C00u << 13)) & distance;
    const floats normal = (floats)(magnitude + distance + special);
    const floats small =
        __builtin_convertvector((ints)(wide & 0x7FFF), floats) * 0x1p-24f;
    const ints is_small = magnitude < (0x0400u << 13);
    return (floats)((words)select(is_small, small, normal) | (wide & 0x8000) << 16);
#endif
}

/* A float8 is a float16 with fewer places; E4M3's exponent is 8 less, and its largest magnitude NaN. */
INLINE floats widen_f8(octets bits, enum dtype type)
{
    const halves wide = __builtin_convertvector(bits, halves);
    if (type == DTYPE_F8_E5M2) return widen_f16(wide << 8);
    const floats x = widen_f16((wide & 0x80) << 8 | (wide & 0x7F) << 7) * 256.0f;
    const words magnitude = __builtin_convertvector(wide & 0x7F, words);
    const words quiet = (words)(magnitude == 0x7F) & 0x7FC00000u;
    return (floats)((words)x | quiet);
}

/* Of a weight in any type that is stored (panel.h), LANES numbers. */
INLINE floats load_stored(const void *source, enum dtype type, size_t at)
{
    if (type == DTYPE_F16) {
        halves bits;
        memcpy(&bits, (const uint16_t *)source + at, sizeof bits);
        return widen_f16(bits);
    }
    if (type == DTYPE_F8_E4M3 || type == DTYPE_F8_E5M2) {
        octets bits;
        memcpy(&bits, (const uint8_t *)source + at, sizeof bits);
        return widen_f8(bits, type);
    }
    return load(source, type, at);
}

INLINE floats load_stored_some(const void *source, enum dtype type, size_t at,
                               size_t count)
{
    unsigned char part[4 * LANES] = {0};
    const size_t element = type == DTYPE_F32                         ? 4
                           : type == DTYPE_F16 || type == DTYPE_BF16 ? 2
                                                                     : 1;
    if (count >= LANES) return load_stored(source, type, at);
    memcpy(part, (const unsigned char *)source + at * element, count * element);
    return load_stored(part, type, 0);
}

/* ---- multiplying --------------------------------------------------------------------- */

/* A word of 32 bits is one number of float32, or two of bfloat16 that one instruction multiplies. sum + word times b. */
INLINE floats add_word(floats sum, uint32_t word, floats b, enum dtype type)
{
#ifdef __AVX512BF16__
    if (type == DTYPE_BF16)
        return (floats)_mm512_dpbf16_ps((__m512)sum,
                                        (__m512bh)_mm512_set1_epi32((int)word),
                                        (__m512bh)b);
#endif
    (void)type;
    float number;
    memcpy(&number, &word, sizeof number);
    return sum + all(number) * b;
}

/* Twice LANES numbers of bfloat16: those in even places, and those in odd ones. Takes less than two loads; store_pair puts
 * them side by side again. */
INLINE void load_pair(const void *source, size_t at, floats *even, floats *odd)
{
    words both;
    memcpy(&both, (const uint16_t *)source + at, sizeof both);
    *even = (floats)(both << 16);
    *odd = (floats)(both & 0xFFFF0000);
}

/* Sum of the lanes, in halves: a fixed order. */
INLINE float sum_lanes(floats x)
{
    float part[LANES];
    memcpy(part, &x, sizeof part);
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; ++i)
            part[i] += part[i + width];
    return part[0];
}

/* 0, 1, 2 ... */
INLINE floats lane_numbers(void)
{
    static const float numbers[] = {0, 1, 2,  3,  4,  5,  6,  7,
                                    8, 9, 10, 11, 12, 13, 14, 15};
    return load(numbers, DTYPE_F32, 0);
}

INLINE bool any_lane(ints mask)
{
    uint64_t parts[sizeof mask / sizeof(uint64_t)], any = 0;
    memcpy(parts, &mask, sizeof mask);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i)
        any |= parts[i];
    return any != 0;
}

/* ---- functions ----------------------------------------------------------------------- */

#ifdef __AVX512F__

/* The integer n nearest x, and what raise() takes for it. */
INLINE floats nearest(floats x, floats *power)
{
    *power = (floats)_mm512_roundscale_ps((__m512)x, _MM_FROUND_NO_EXC);
    return *power;
}

/* x 2^n */
INLINE floats raise(floats x, floats power)
{
    return (floats)_mm512_scalef_ps((__m512)x, (__m512)power);
}

/* 1 / x to 2^-27, for x in [1, 2^126]; to 2^-14 where the result will be bfloat16. */
INLINE floats reciprocal(floats x, enum dtype type)
{
    const floats guess = (floats)_mm512_rcp14_ps((__m512)x);
    return type == DTYPE_BF16 ? guess : guess + guess * (1.0f - x * guess);
}

#else

/* 1.5 * 2^23 + 127: adding it rounds to an integer, and leaves that, with the bias of an exponent, in
 * the lowest bits. */
#define ROUNDER 12583039.0f

/* The integer n nearest x, in [-126, 127], and what raise() takes for it. */
INLINE floats nearest(floats x, floats *power)
{
    *power = x + ROUNDER;
    return *power - ROUNDER;
}

/* x 2^n; a NaN x stays NaN whatever the power is. */
INLINE floats raise(floats x, floats power)
{
    return x * (floats)((ints)power << 23);
}

INLINE floats reciprocal(floats x, enum dtype type)
{
    (void)type;
    return 1.0f / x;
}

#endif

/* e^x = 2^n e^r, |r| <= ln 2 / 2; the polynomial is the minimax one of degree 6. */
INLINE floats exponential(floats x)
{
    const floats in_range = clamp(x, -87.3f, 86.9f);
    floats power;
    const floats n = nearest(in_range * 1.44269504f, &power);
    const floats r = in_range - n * 0.693145752f - n * 1.42860677e-6f;
    floats p = r * 0.00138368471f + 0.00837481495f;
    p = p * r + 0.0416682255f;
    p = p * r + 0.166664202f;
    p = p * r + 0.499999921f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return raise(p, power);
}

/* 2^x for x in [-126, 126]. Relative error 1e-4 (degree 3) where the result will be bfloat16,
 * a twentieth of its rounding; else 1.7e-7 (degree 5), and 2^0 is 1. */
INLINE floats exponential2(floats x, enum dtype type)
{
    floats power;
    const floats f = x - nearest(x, &power);
    floats p;
    if (type == DTYPE_BF16) {
        p = f * 0.055171669f + 0.242611122f;
        p = p * f + 0.693260985f;
        p = p * f + 0.999928074f;
    } else {
        p = f * 0.00132647272f + 0.00967151264f;
        p = p * f + 0.0555073374f;
        p = p * f + 0.240222421f;
        p = p * f + 0.693146978f;
        p = p * f + 1.0f;
    }
    return raise(p, power);
}

/* 2^x for x <= 0, however small. (Of -infinity, which no finite network has: NaN or 0.) */
INLINE floats fading(floats x, enum dtype type)
{
#ifdef __AVX512F__
    return exponential2(x, type); /* raise() goes to 0 by itself */
#else
    return exponential2(larger(all(-126.0f), x), type);
#endif
}

/* fading() with few multiplications: for a place where those are waited for, and other instructions are not. 2^x is
 * 2^n 2^(k/16) 2^f: the second from a table, the third of degree 1 as c (f + a), relative error 1.2e-4. In float32
 * 2^n 2^(k/8) 2^f, and c (f + r) ((f + b)^2 + d), relative error 3e-7, not below 2^-120. The tables contain c. */
INLINE floats fading_weight(floats x, enum dtype type)
{
#ifdef __AVX512F__
    static const float powers[16] = {0.693120062f, 0.723807096f, 0.755852818f,
                                     0.78931725f,  0.824263334f, 0.860756576f,
                                     0.898865521f, 0.938661695f, 0.980219841f,
                                     1.02361786f,  1.0689373f,   1.11626315f,
                                     1.16568434f,  1.21729362f,  1.27118778f,
                                     1.32746816f};
    if (type != DTYPE_BF16) return fading(x, type);
    const floats rounder = all(0x1.8p19f); /* leaves k in the lowest bits */
    const floats sixteenths = x + rounder, n = sixteenths - rounder;
    const floats part =
        (floats)_mm512_permutexvar_ps((__m512i)sixteenths, _mm512_loadu_ps(powers));
    return (x - n + 1.44292067f) * raise(part, n);
#elif defined(__AVX2__)
    /* As bits, less what k adds to them when n is shifted to the exponent. */
    static const int32_t powers[8] = {0x3d6352d1, 0x3d67e5e5, 0x3d672ad8, 0x3d6366ab,
                                      0x3d60bdf3, 0x3d5f4a56, 0x3d5f27d0, 0x3d6074e1};
    (void)type;
    const floats rounder = all(0x1.8p20f);
    const floats eighths = x + rounder, f = x - (eighths - rounder);
    ints part;
    memcpy(&part, powers, sizeof part);
    part = (ints)_mm256_permutevar8x32_epi32((__m256i)part, (__m256i)eighths);
    const ints bits = (ints)_mm256_max_epi32((__m256i)eighths,
                                             _mm256_set1_epi32(0x49C00000 - 120 * 8));
    const floats side = f + 1.01298203f;
    return (side * side + 6.79704499f) * (f + 2.3032041f) *
           (floats)(((words)bits << 20) + (words)part);
#else
    return fading(x, type);
#endif
}

/* e^x as exact as the type of what is made of it deserves. */
INLINE floats exponential_for(floats x, enum dtype type)
{
    if (type != DTYPE_BF16) return exponential(x);
    return exponential2(clamp(x * 1.44269504f, -126.0f, 125.0f), type);
}

/* x * sigmoid(slope x) */
INLINE floats swish(floats x, float slope, enum dtype type)
{
    return x * reciprocal(1.0f + exponential_for(x * -slope, type), type);
}

enum {
    GELU_VECTORS = 4
};

/* x Phi(x), of some vectors at a time: their chains of operations overlap. The tail of the normal distribution at |x| is
 * 2^p(|x|); p is the minimax polynomial of log2 of it, weighted by the tail, of degree 8 (5 where the result will be
 * bfloat16). Beyond the last number, where the tail is 2^-110, it stays as it is. */
INLINE void gelu_some(floats *x, size_t vectors, enum dtype type)
{
    static const float fine[] = {
        -1.0f,           -1.15110576f,     -0.459204912f,    -0.0525050275f,
        0.0070754718f,   -0.000145870319f, -0.000182547519f, 3.86207284e-05f,
        -2.77204731e-06f};
    static const float rough[] = {-1.00000083f,   -1.15108311f,   -0.459276676f,
                                  -0.0525380149f, 0.00738720037f, -0.000518858491f};
    const bool is_rough = type == DTYPE_BF16;
    const float *const by = is_rough ? rough : fine;
    const size_t degree = is_rough ? 5 : 8;
    floats size[GELU_VECTORS], p[GELU_VECTORS];
    for (size_t v = 0; v < vectors; ++v) {
        size[v] = (floats)((words)x[v] & 0x7FFFFFFF);
        size[v] = smaller(all(is_rough ? 10.84f : 9.692f), size[v]);
        p[v] = size[v] * by[degree] + by[degree - 1];
    }
    for (size_t k = degree - 1; k-- > 0;)
        for (size_t v = 0; v < vectors; ++v)
            p[v] = p[v] * size[v] + by[k];
    for (size_t v = 0; v < vectors; ++v)
        p[v] = exponential2(p[v], type);
    for (size_t v = 0; v < vectors; ++v)
        x[v] = larger(all(0), x[v]) - size[v] * p[v];
}

INLINE floats activate(floats x, enum activation activation, enum dtype type)
{
    switch (activation) {
    case ACTIVATION_NONE: break;
    case ACTIVATION_SILU: return swish(x, 1.0f, type);
    case ACTIVATION_GELU: gelu_some(&x, 1, type); break;
    case ACTIVATION_QUICK_GELU: return swish(x, 1.702f, type);
    }
    return x;
}

/* ---- transposing --------------------------------------------------------------------- */

/* One step of transposing LANES x LANES numbers: between the rows i and i + w, lanes of row i whose
 * number has bit w are exchanged with lanes of row i + w whose number has not. After w = LANES / 2,
 * ..., 2, 1 rows are columns. */
#define LOW_FROM(i, w)  (((i) & (w)) ? LANES + (i) - (w) : (i))
#define HIGH_FROM(i, w) (((i) & (w)) ? LANES + (i) : (i) + (w))
#define FOUR(f, i, w)   f(i, w), f((i) + 1, w), f((i) + 2, w), f((i) + 3, w)
#if LANES == 16
#define EACH_LANE(f, w) FOUR(f, 0, w), FOUR(f, 4, w), FOUR(f, 8, w), FOUR(f, 12, w)
#elif LANES == 8
#define EACH_LANE(f, w) FOUR(f, 0, w), FOUR(f, 4, w)
#else
#define EACH_LANE(f, w) FOUR(f, 0, w)
#endif
#define TURN_STEP(rows, w)                                                           \
    for (int i = 0; i < LANES; ++i) {                                                \
        if (i & (w)) continue;                                                       \
        const floats low = rows[i], high = rows[i + (w)];                            \
        rows[i] = __builtin_shufflevector(low, high, EACH_LANE(LOW_FROM, w));        \
        rows[i + (w)] = __builtin_shufflevector(low, high, EACH_LANE(HIGH_FROM, w)); \
    }

INLINE void turn_block(floats rows[static LANES])
{
#if LANES > 8
    TURN_STEP(rows, 8)
#endif
#if LANES > 4
    TURN_STEP(rows, 4)
#endif
    TURN_STEP(rows, 2)
    TURN_STEP(rows, 1)
}

/* Two vectors' numbers side by side, in bfloat16: those of `even` in even places. */
INLINE void store_pair(void *target, size_t at, floats even, floats odd)
{
#ifdef __AVX512BF16__
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
    const __m512i mixed = _mm512_permutexvar_epi16(_mm512_loadu_si512(order), both);
#else
    const words mixed = __builtin_convertvector(narrow(even), words) |
                        (__builtin_convertvector(narrow(odd), words) << 16);
#endif
    memcpy((uint16_t *)target + at, &mixed, sizeof mixed);
}

#endif
