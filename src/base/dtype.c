/* The array loops hold no branch, only selections, so that the compiler makes vectors of
 * them; each exists twice, for the baseline processor and for AVX2, and the processor's
 * kind is asked once a call. Values are loaded with memcpy: tensors in files lie at any
 * offset.
 */
#include "base/dtype.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t bytes;
    bool is_float;
} types[] = {
    [DTYPE_F32] = {"F32",     4, true },
      [DTYPE_BF16] = {"BF16",    2, true },
    [DTYPE_F16] = {"F16",     2, true },
      [DTYPE_F64] = {"F64",     8, true },
    [DTYPE_F8_E4M3] = {"F8_E4M3", 1, true },
      [DTYPE_F8_E5M2] = {"F8_E5M2", 1, true },
    [DTYPE_I64] = {"I64",     8, false},
      [DTYPE_I32] = {"I32",     4, false},
    [DTYPE_I16] = {"I16",     2, false},
      [DTYPE_I8] = {"I8",      1, false},
    [DTYPE_U64] = {"U64",     8, false},
      [DTYPE_U32] = {"U32",     4, false},
    [DTYPE_U16] = {"U16",     2, false},
      [DTYPE_U8] = {"U8",      1, false},
    [DTYPE_BOOL] = {"BOOL",    1, false},
};

size_t dtype_bytes(enum dtype type)
{
    return types[type].bytes;
}

const char *dtype_name(enum dtype type)
{
    return types[type].name;
}

int dtype_is_float(enum dtype type)
{
    return types[type].is_float;
}

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* All ones where the condition holds. */
INLINE uint32_t mask(int condition)
{
    return (uint32_t) - (int32_t)(condition != 0);
}

INLINE uint32_t select_bits(uint32_t which, uint32_t yes, uint32_t no)
{
    return (yes & which) | (no & ~which);
}

/* Widening is exact. A small float without infinity handling is its exponent moved by the
 * difference of the biases; below the normal range it is an integer times a power of two. */
INLINE float f32_from_f16(uint16_t half)
{
    const uint32_t magnitude = half & 0x7FFFu, sign = (half & 0x8000u) << 16;
    const uint32_t normal = (magnitude << 13) + ((127u - 15u) << 23);
    const uint32_t special = (magnitude << 13) | 0x7F800000u; /* infinity, NaN */
    const uint32_t small = bits_of((float)(int32_t)magnitude * 0x1p-24f);
    const uint32_t finite = select_bits(mask(magnitude < 0x0400u), small, normal);
    return float_of(select_bits(mask(magnitude >= 0x7C00u), special, finite) | sign);
}

INLINE float f32_from_bf16(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

INLINE float f32_from_e5m2(uint8_t bits)
{
    return f32_from_f16((uint16_t)(bits << 8));
}

INLINE float f32_from_e4m3(uint8_t bits)
{
    const uint32_t magnitude = bits & 0x7Fu, sign = (bits & 0x80u) << 24;
    const uint32_t normal = (magnitude << 20) + ((127u - 7u) << 23);
    const uint32_t small = bits_of((float)(int32_t)magnitude * 0x1p-9f);
    const uint32_t finite = select_bits(mask(magnitude < 0x08u), small, normal);
    return float_of(select_bits(mask(magnitude == 0x7Fu), 0x7FC00000u, finite) | sign);
}

/* Half of the last kept place, less one where that place is even already; NaN has one
 * form, PyTorch's. */
INLINE uint16_t bf16_from_f32(float value)
{
    const uint32_t bits = bits_of(value);
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)select_bits(mask((bits & 0x7FFFFFFFu) > 0x7F800000u), 0x7FC0u,
                                 rounded);
}

INLINE float f32_from_f32(float value)
{
    return value;
}

INLINE float f32_from_f64(double value)
{
    return (float)value;
}

/* X(type, C type of its values, how a value becomes a float) */
#define FLOAT_TYPES(X)                 \
    X(F32, float, f32_from_f32)        \
    X(BF16, uint16_t, f32_from_bf16)   \
    X(F16, uint16_t, f32_from_f16)     \
    X(F64, double, f32_from_f64)       \
    X(F8_E4M3, uint8_t, f32_from_e4m3) \
    X(F8_E5M2, uint8_t, f32_from_e5m2)

#define LOOP(prefix, type, value_type, target_type, expression)      \
    prefix##_##type(const unsigned char *restrict source,            \
                    target_type *restrict target, size_t count)      \
    {                                                                \
        for (size_t i = 0; i < count; ++i) {                         \
            value_type value;                                        \
            memcpy(&value, source + i * sizeof value, sizeof value); \
            target[i] = expression;                                  \
        }                                                            \
    }

#define PLAIN_LOOPS(type, value_type, widen)                                       \
    static void LOOP(f32_plain, type, value_type, float, widen(value)) static void \
    LOOP(bf16_plain, type, value_type, uint16_t, bf16_from_f32(widen(value)))
FLOAT_TYPES(PLAIN_LOOPS)

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))
#define AVX2_LOOPS(type, value_type, widen)                                \
    AVX2 static void LOOP(f32_avx2, type, value_type, float, widen(value)) \
        AVX2 static void                                                   \
        LOOP(bf16_avx2, type, value_type, uint16_t, bf16_from_f32(widen(value)))
FLOAT_TYPES(AVX2_LOOPS)

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
/* No second set of loops on other processors: the compiler's baseline has vectors. */
#define f32_avx2_F32      f32_plain_F32
#define f32_avx2_BF16     f32_plain_BF16
#define f32_avx2_F16      f32_plain_F16
#define f32_avx2_F64      f32_plain_F64
#define f32_avx2_F8_E4M3  f32_plain_F8_E4M3
#define f32_avx2_F8_E5M2  f32_plain_F8_E5M2
#define bf16_avx2_F32     bf16_plain_F32
#define bf16_avx2_BF16    bf16_plain_BF16
#define bf16_avx2_F16     bf16_plain_F16
#define bf16_avx2_F64     bf16_plain_F64
#define bf16_avx2_F8_E4M3 bf16_plain_F8_E4M3
#define bf16_avx2_F8_E5M2 bf16_plain_F8_E5M2

static bool has_avx2(void)
{
    return false;
}
#endif

typedef void f32_loop(const unsigned char *restrict, float *restrict, size_t);
typedef void bf16_loop(const unsigned char *restrict, uint16_t *restrict, size_t);

/* [type][has AVX2]; integer types stay NULL. */
static f32_loop *const f32_loops[DTYPE_BOOL + 1][2] = {
#define X(type, value_type, widen) [DTYPE_##type] = {f32_plain_##type, f32_avx2_##type},
    FLOAT_TYPES(X)
#undef X
};

static bf16_loop *const bf16_loops[DTYPE_BOOL + 1][2] = {
#define X(type, value_type, widen) \
    [DTYPE_##type] = {bf16_plain_##type, bf16_avx2_##type},
    FLOAT_TYPES(X)
#undef X
};

void dtype_to_f32(const void *source, enum dtype type, float *target, size_t count)
{
    assert(dtype_is_float(type));
    if (type == DTYPE_F32) {
        if (count > 0) memcpy(target, source, count * sizeof *target);
        return;
    }
    f32_loops[type][has_avx2()](source, target, count);
}

void dtype_to_bf16(const void *source, enum dtype type, uint16_t *target, size_t count)
{
    assert(dtype_is_float(type));
    if (type == DTYPE_BF16) {
        if (count > 0) memcpy(target, source, count * sizeof *target);
        return;
    }
    bf16_loops[type][has_avx2()](source, target, count);
}
