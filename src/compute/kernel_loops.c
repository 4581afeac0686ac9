/* One source, compiled for each kind of processor with another KERNELS_TABLE (meson.build).
 *
 * Loops step by 16 numbers with the compiler's vector types, which become one AVX-512, two
 * AVX2 or four SSE registers. A rest of less than 16 goes through a padded copy, so that the
 * same arithmetic serves every length and nothing outside the arrays is touched.
 *
 * Compiled with -ffp-contract=fast: a*b+c is one rounding where the processor can. Nothing
 * here needs the order of operations changed, so -ffast-math stays off and NaN stays NaN:
 * `x < low ? low : x` keeps a NaN x, and 2^n is multiplied rather than added to the exponent.
 */
#include "compute/kernels.h"

#include <math.h>
#include <string.h>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#define LANES  16
#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

/* The table's name is the macro's value; the declaration satisfies -Wmissing-... */
extern const struct kernels KERNELS_TABLE;

INLINE floats all(float value)
{
    return value - (floats){0};
}

INLINE floats select(ints which, floats yes, floats no)
{
    return (floats)(((ints)yes & which) | ((ints)no & ~which));
}

INLINE floats floor_at(floats x, float low)
{
    return select(x < all(low), all(low), x);
}

INLINE floats clamp(floats x, float low, float high)
{
    const floats above = floor_at(x, low);
    return select(above > all(high), all(high), above);
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

/* The first count (< 16) numbers; the other lanes are 0. */
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
        float part[LANES];
        store(part, DTYPE_F32, 0, x);
        memcpy((float *)target + at, part, count * sizeof *part);
    } else {
        uint16_t part[LANES];
        store(part, DTYPE_BF16, 0, x);
        memcpy((uint16_t *)target + at, part, count * sizeof *part);
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

/* ---- functions ----------------------------------------------------------------------- */

#define ROUNDER      12582912.0f /* 1.5 * 2^23: adding it rounds to an integer */
#define ROUNDER_BITS 0x4B400000

/* 2^n for the integer in the low bits of n + ROUNDER, n in [-126, 127]. */
INLINE floats power_of_two(floats rounded)
{
    return (floats)(((ints)rounded - (ROUNDER_BITS - 127)) << 23);
}

/* e^x = 2^n e^r, |r| <= ln 2 / 2; the polynomial is the minimax one of degree 6. */
INLINE floats exponential(floats x)
{
    const floats in_range = clamp(x, -87.3f, 88.3f);
    const floats rounded = in_range * 1.44269504f + ROUNDER;
    const floats n = rounded - ROUNDER;
    const floats r = in_range - n * 0.693145752f - n * 1.42860677e-6f;
    floats p = r * 0.00138368471f + 0.00837481495f;
    p = p * r + 0.0416682255f;
    p = p * r + 0.166664202f;
    p = p * r + 0.499999921f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * power_of_two(rounded);
}

/* 2^x for x <= 0. Relative error 1e-4 (degree 3) is a twentieth of bfloat16's; degree 6
 * gives 2e-9, float32's own rounding. */
INLINE floats exponential2(floats x, enum dtype type)
{
    const floats in_range = floor_at(x, -126.0f);
    const floats rounded = in_range + ROUNDER;
    const floats f = in_range - (rounded - ROUNDER);
    floats p;
    if (type == DTYPE_BF16) {
        p = f * 0.055171669f + 0.242611122f;
        p = p * f + 0.693260985f;
        p = p * f + 0.999928074f;
    } else {
        p = f * 0.00015345812f + 0.00133999312f;
        p = p * f + 0.00961848896f;
        p = p * f + 0.0555032878f;
        p = p * f + 0.240226469f;
        p = p * f + 0.693147206f;
        p = p * f + 1.0f;
    }
    return p * power_of_two(rounded);
}

INLINE floats swish(floats x, float slope)
{
    return x / (1.0f + exponential(x * -slope));
}

/* x Phi(x); half is the smaller tail of the normal distribution at |x|. */
INLINE floats gelu(floats x)
{
    const floats size = (floats)((words)x & 0x7FFFFFFF);
    const floats t = 1.0f / (size * (0.3275911f * 0.707106781f) + 1.0f);
    floats p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const floats half = p * t * exponential(x * x * -0.5f) * 0.5f;
    return x * select(x < all(0), half, 1.0f - half);
}

INLINE floats activate(floats x, enum activation activation)
{
    switch (activation) {
    case ACTIVATION_NONE: break;
    case ACTIVATION_SILU: return swish(x, 1.0f);
    case ACTIVATION_GELU: return gelu(x);
    case ACTIVATION_QUICK_GELU: return swish(x, 1.702f);
    }
    return x;
}

/* ---- element by element ------------------------------------------------------------- */

INLINE void finish_some(const struct kernel_finish *a, size_t at, size_t count)
{
    floats x = load_some(a->source, a->source_type, at, count);
    x = activate(x, a->activation);
    if (a->multiply) x *= load_some(a->multiply, a->multiply_type, at, count);
    if (a->residual) x += load_some(a->residual, a->residual_type, at, count);
    store_some(a->target, a->target_type, at, x, count);
}

static void finish(const struct kernel_finish *arguments, size_t count)
{
    const struct kernel_finish a = *arguments;
    size_t at = 0;
    for (; at + LANES <= count; at += LANES)
        finish_some(&a, at, LANES);
    if (at < count) finish_some(&a, at, count - at);
}

INLINE void gate_some(const struct kernel_gate *a, size_t at, size_t count)
{
    const floats value = load_some(a->value, a->source_type, at, count);
    const floats x = load_some(a->gate, a->source_type, at, count);
    store_some(a->target, a->target_type, at, value * gelu(x), count);
}

static void gate(const struct kernel_gate *arguments, size_t count)
{
    const struct kernel_gate a = *arguments;
    size_t at = 0;
    for (; at + LANES <= count; at += LANES)
        gate_some(&a, at, LANES);
    if (at < count) gate_some(&a, at, count - at);
}

static void scale(void *target, enum dtype type, const float *source, float factor,
                  size_t count)
{
    size_t at = 0;
    for (; at + LANES <= count; at += LANES)
        store(target, type, at, load(source, DTYPE_F32, at) * factor);
    if (at < count)
        store_part(target, type, at, load_part(source, DTYPE_F32, at, count - at) * factor,
                   count - at);
}

INLINE void affine_row(const struct kernel_affine *a, size_t pixel, bool silu)
{
    const size_t from = pixel * a->source_stride, to = pixel * a->target_stride;
    for (size_t i = 0; i < a->channels; i += LANES) {
        const size_t rest = a->channels - i;
        floats x = load_some(a->source, a->source_type, from + i, rest);
        x = x * load_some(a->scale, DTYPE_F32, i, rest) +
            load_some(a->offset, DTYPE_F32, i, rest);
        if (silu) x = swish(x, 1.0f);
        store_some(a->target, a->target_type, to + i, x, rest);
    }
}

static void affine(const struct kernel_affine *arguments)
{
    const struct kernel_affine a = *arguments;
    for (size_t pixel = 0; pixel < a.pixels; ++pixel) {
        if (a.silu)
            affine_row(&a, pixel, true);
        else
            affine_row(&a, pixel, false);
    }
}

/* ---- norms -------------------------------------------------------------------------- */

/* Two passes over a block of channels, so that no large mean hides a small spread. The first
 * reads from memory, the second from the cache. What the second finds left of the mean is the
 * first one's rounding error, and is taken out of both results. */
INLINE void stats_of(const void *pixels, enum dtype type, size_t pixel_count, size_t c,
                     size_t first, size_t vectors, size_t rest, float *mean, float *squares)
{
    const float share = 1.0f / (float)pixel_count;
    floats sum[4] = {{0}}, left[4] = {{0}}, spread[4] = {{0}};
    for (size_t p = 0; p < pixel_count; ++p)
        for (size_t v = 0; v < vectors; ++v)
            sum[v] += load_some(pixels, type, p * c + first + v * LANES, rest);
    for (size_t v = 0; v < vectors; ++v)
        sum[v] *= share;
    for (size_t p = 0; p < pixel_count; ++p)
        for (size_t v = 0; v < vectors; ++v) {
            const floats x = load_some(pixels, type, p * c + first + v * LANES, rest);
            const floats away = x - sum[v];
            left[v] += away;
            spread[v] += away * away;
        }
    for (size_t v = 0; v < vectors; ++v) {
        spread[v] -= left[v] * left[v] * share;
        store_some(mean, DTYPE_F32, first + v * LANES, sum[v] + left[v] * share, rest);
        store_some(squares, DTYPE_F32, first + v * LANES, spread[v], rest);
    }
}

static void channel_stats(const void *pixels, enum dtype type, size_t pixel_count, size_t c,
                          float *mean, float *squares)
{
    size_t first = 0;
    for (; first + 4 * LANES <= c; first += 4 * LANES)
        stats_of(pixels, type, pixel_count, c, first, 4, LANES, mean, squares);
    for (; first + LANES <= c; first += LANES)
        stats_of(pixels, type, pixel_count, c, first, 1, LANES, mean, squares);
    if (first < c)
        stats_of(pixels, type, pixel_count, c, first, 1, c - first, mean, squares);
}

INLINE float row_sum(const void *row, enum dtype type, size_t at, size_t c)
{
    floats sum = {0};
    for (size_t i = 0; i < c; i += LANES)
        sum += load_some(row, type, at + i, c - i);
    return sum_lanes(sum);
}

INLINE float row_spread(const void *row, enum dtype type, size_t at, size_t c, float mean)
{
    floats sum = {0};
    size_t i = 0;
    for (; i + LANES <= c; i += LANES) {
        const floats away = load(row, type, at + i) - mean;
        sum += away * away;
    }
    float total = sum_lanes(sum);
    if (i < c) {
        float part[LANES];
        store(part, DTYPE_F32, 0, load_part(row, type, at + i, c - i) - mean);
        for (size_t k = 0; k < c - i; ++k)
            total += part[k] * part[k];
    }
    return total;
}

static void layer_norm(const struct kernel_layer_norm *arguments)
{
    const struct kernel_layer_norm a = *arguments;
    for (size_t row = 0; row < a.rows; ++row) {
        const size_t at = row * a.c;
        const float mean = row_sum(a.source, a.source_type, at, a.c) / (float)a.c;
        const float spread = row_spread(a.source, a.source_type, at, a.c, mean);
        const float by = 1.0f / sqrtf(spread / (float)a.c + a.epsilon);
        for (size_t i = 0; i < a.c; i += LANES) {
            const size_t rest = a.c - i;
            const floats x = load_some(a.source, a.source_type, at + i, rest);
            const floats y = (x - mean) * by * load_some(a.scale, DTYPE_F32, i, rest) +
                             load_some(a.bias, DTYPE_F32, i, rest);
            store_some(a.target, a.target_type, at + i, y, rest);
        }
    }
}

/* ---- attention ---------------------------------------------------------------------- */

INLINE float peak_of(const float *scores, size_t count, float before)
{
    floats most[4] = {all(before), all(before), all(before), all(before)};
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (size_t v = 0; v < 4; ++v) {
            const floats x = load(scores, DTYPE_F32, i + v * LANES);
            most[v] = select(x > most[v], x, most[v]);
        }
    for (; i + LANES <= count; i += LANES) {
        const floats x = load(scores, DTYPE_F32, i);
        most[0] = select(x > most[0], x, most[0]);
    }
    for (size_t v = 1; v < 4; ++v)
        most[0] = select(most[v] > most[0], most[v], most[0]);
    float part[LANES], peak = before;
    store(part, DTYPE_F32, 0, most[0]);
    for (size_t k = 0; k < LANES; ++k)
        peak = part[k] > peak ? part[k] : peak;
    for (; i < count; ++i)
        peak = scores[i] > peak ? scores[i] : peak;
    return peak;
}

/* Probabilities of one row; returns their sum. */
INLINE float probabilities_of(const float *scores, void *target, enum dtype type, size_t at,
                              size_t count, float factor, float peak)
{
    const floats shift = all(peak * factor);
    floats sum[2] = {{0}};
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES)
        for (size_t v = 0; v < 2; ++v) {
            const floats x = load(scores, DTYPE_F32, i + v * LANES) * factor - shift;
            const floats p = exponential2(x, type);
            sum[v] += p;
            store(target, type, at + i + v * LANES, p);
        }
    float total = sum_lanes(sum[0] + sum[1]);
    for (; i < count; i += LANES) {
        const size_t rest = count - i < LANES ? count - i : LANES;
        const floats x = load_some(scores, DTYPE_F32, i, rest) * factor - shift;
        float part[LANES];
        store(part, DTYPE_F32, 0, exponential2(x, type));
        for (size_t k = 0; k < rest; ++k)
            total += part[k];
        store_some(target, type, at + i, load(part, DTYPE_F32, 0), rest);
    }
    return total;
}

INLINE void softmax_row(const struct kernel_softmax *a, size_t row, enum dtype type)
{
    const float *const scores = a->scores + row * a->keys;
    const size_t at = row * a->keys, element = type == DTYPE_F32 ? 4 : 2;
    const size_t valid = a->valid[row] > 0 ? (size_t)a->valid[row] : 0;
    if (valid > 0) {
        const float before = a->peak[row];
        const float peak = peak_of(scores, valid, before);
        if (peak > before) {
            float shrink[LANES];
            store(shrink, DTYPE_F32, 0, exponential(all(
                (before - peak) * a->factor * 0.693147181f)));
            a->peak[row] = peak;
            a->total[row] *= shrink[0];
            for (size_t i = 0; i < a->dim; ++i)
                a->sums[row * a->dim + i] *= shrink[0];
        }
        a->total[row] += probabilities_of(scores, a->probabilities, type, at, valid,
                                          a->factor, peak);
    }
    memset((unsigned char *)a->probabilities + (at + valid) * element, 0,
           (a->keys - valid) * element);
}

static void softmax(const struct kernel_softmax *arguments)
{
    const struct kernel_softmax a = *arguments;
    for (size_t row = 0; row < a.rows; ++row) {
        if (a.type == DTYPE_BF16)
            softmax_row(&a, row, DTYPE_BF16);
        else
            softmax_row(&a, row, DTYPE_F32);
    }
}

#define TEXT_OF(name)  #name
#define NAME_OF(name)  TEXT_OF(name)

const struct kernels KERNELS_TABLE = {
    .name = NAME_OF(KERNELS_TABLE),
    .finish = finish,
    .gate = gate,
    .affine = affine,
    .channel_stats = channel_stats,
    .layer_norm = layer_norm,
    .softmax = softmax,
    .scale = scale,
};
