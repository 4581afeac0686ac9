/* The array loops hold no branch, only selections, so that the compiler makes vectors of
 * them; each exists twice, for the baseline processor and for AVX2, and the processor's
 * kind is asked once a call. Values are loaded with memcpy: tensors in files lie at any
 * offset.
 */
#include "base/dtype.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/block_codec.h"
#include "base/size.h"
#include "base/small_float.h"

static const struct {
    const char *name;
    uint8_t bytes; /* of a block */
    bool is_float;
    uint16_t block_elements; /* 0: a plain type */
} types[] = {
    [DTYPE_F32] = {"F32",     4,   true,  0  },
    [DTYPE_BF16] = {"BF16",    2,   true,  0  },
    [DTYPE_F16] = {"F16",     2,   true,  0  },
    [DTYPE_F64] = {"F64",     8,   true,  0  },
    [DTYPE_F8_E4M3] = {"F8_E4M3", 1,   true,  0  },
    [DTYPE_F8_E5M2] = {"F8_E5M2", 1,   true,  0  },
    [DTYPE_I64] = {"I64",     8,   false, 0  },
    [DTYPE_I32] = {"I32",     4,   false, 0  },
    [DTYPE_I16] = {"I16",     2,   false, 0  },
    [DTYPE_I8] = {"I8",      1,   false, 0  },
    [DTYPE_U64] = {"U64",     8,   false, 0  },
    [DTYPE_U32] = {"U32",     4,   false, 0  },
    [DTYPE_U16] = {"U16",     2,   false, 0  },
    [DTYPE_U8] = {"U8",      1,   false, 0  },
    [DTYPE_BOOL] = {"BOOL",    1,   false, 0  },
    [DTYPE_Q8_0] = {"Q8_0",    34,  true,  32 },
    [DTYPE_Q5_0] = {"Q5_0",    22,  true,  32 },
    [DTYPE_Q5_1] = {"Q5_1",    24,  true,  32 },
    [DTYPE_Q4_0] = {"Q4_0",    18,  true,  32 },
    [DTYPE_Q4_1] = {"Q4_1",    20,  true,  32 },
    [DTYPE_Q6_K] = {"Q6_K",    210, true,  256},
    [DTYPE_Q5_K] = {"Q5_K",    176, true,  256},
    [DTYPE_Q4_K] = {"Q4_K",    144, true,  256},
    [DTYPE_Q3_K] = {"Q3_K",    110, true,  256},
    [DTYPE_Q2_K] = {"Q2_K",    84,  true,  256},
};

size_t dtype_bytes(enum dtype type)
{
    assert(!dtype_is_block(type));
    return types[type].bytes;
}

bool dtype_is_block(enum dtype type)
{
    return types[type].block_elements > 0;
}

size_t dtype_block_elements(enum dtype type)
{
    return dtype_is_block(type) ? types[type].block_elements : 1;
}

size_t dtype_block_bytes(enum dtype type)
{
    return types[type].bytes;
}

bool dtype_size(enum dtype type, size_t count, size_t *bytes)
{
    const size_t elements = dtype_block_elements(type);
    size_t product;
    if (count % elements != 0 ||
        !size_mul(count / elements, types[type].bytes, &product))
        return false;
    *bytes = product;
    return true;
}

const char *dtype_name(enum dtype type)
{
    return types[type].name;
}

int dtype_is_float(enum dtype type)
{
    return types[type].is_float;
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
/* Integers are numbers where a scale stands beside them (weights/tensor_scale.h). */
INLINE float f32_from_i8(int8_t value)
{
    return (float)value;
}

#define FLOAT_TYPES(X)                 \
    X(F32, float, f32_from_f32)        \
    X(BF16, uint16_t, f32_from_bf16)   \
    X(F16, uint16_t, f32_from_f16)     \
    X(F64, double, f32_from_f64)       \
    X(I8, int8_t, f32_from_i8)         \
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
#define f32_avx2_I8       f32_plain_I8
#define f32_avx2_F8_E4M3  f32_plain_F8_E4M3
#define f32_avx2_F8_E5M2  f32_plain_F8_E5M2
#define bf16_avx2_F32     bf16_plain_F32
#define bf16_avx2_BF16    bf16_plain_BF16
#define bf16_avx2_F16     bf16_plain_F16
#define bf16_avx2_F64     bf16_plain_F64
#define bf16_avx2_I8      bf16_plain_I8
#define bf16_avx2_F8_E4M3 bf16_plain_F8_E4M3
#define bf16_avx2_F8_E5M2 bf16_plain_F8_E5M2

static bool has_avx2(void)
{
    return false;
}
#endif

typedef void f32_loop(const unsigned char *restrict, float *restrict, size_t);
typedef void bf16_loop(const unsigned char *restrict, uint16_t *restrict, size_t);

/* [type][has AVX2]; integer and block types stay NULL. */
static f32_loop *const f32_loops[DTYPE_COUNT][2] = {
#define X(type, value_type, widen) [DTYPE_##type] = {f32_plain_##type, f32_avx2_##type},
    FLOAT_TYPES(X)
#undef X
};

static bf16_loop *const bf16_loops[DTYPE_COUNT][2] = {
#define X(type, value_type, widen) \
    [DTYPE_##type] = {bf16_plain_##type, bf16_avx2_##type},
    FLOAT_TYPES(X)
#undef X
};

void dtype_to_f32(const void *source, enum dtype type, float *target, size_t count)
{
    assert(dtype_is_float(type) || type == DTYPE_I8);
    if (type == DTYPE_F32) {
        if (count > 0) memcpy(target, source, count * sizeof *target);
        return;
    }
    if (dtype_is_block(type))
        block_codec_decode(source, type, target, count);
    else
        f32_loops[type][has_avx2()](source, target, count);
}

/* By way of float32, some blocks at a time. */
static void blocks_to_bf16(const unsigned char *source, enum dtype type,
                           uint16_t *target, size_t count)
{
    enum {
        WIDE = 256 /* whole blocks of every type */
    };
    float wide[WIDE];
    while (count > 0) {
        const size_t some = count < WIDE ? count : WIDE;
        block_codec_decode(source, type, wide, some);
        bf16_loops[DTYPE_F32][has_avx2()]((const unsigned char *)wide, target, some);
        source += some / dtype_block_elements(type) * dtype_block_bytes(type);
        target += some;
        count -= some;
    }
}

void dtype_to_bf16(const void *source, enum dtype type, uint16_t *target, size_t count)
{
    assert(dtype_is_float(type) || type == DTYPE_I8);
    if (type == DTYPE_BF16) {
        if (count > 0) memcpy(target, source, count * sizeof *target);
        return;
    }
    if (dtype_is_block(type))
        blocks_to_bf16(source, type, target, count);
    else
        bf16_loops[type][has_avx2()](source, target, count);
}

void dtype_to_f16(const float *source, uint16_t *target, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        target[i] = f16_from_f32(source[i]);
}

/* ---- infinity and NaN ----------------------------------------------------------------- */

/* One OR over all values, so that it is a vector loop. */
#define FINITE_LOOP(type, value_type, is_bad)                            \
    static bool finite_##type(const unsigned char *values, size_t count) \
    {                                                                    \
        value_type bad = 0;                                              \
        for (size_t i = 0; i < count; ++i) {                             \
            value_type bits;                                             \
            memcpy(&bits, values + i * sizeof bits, sizeof bits);        \
            bad = (value_type)(bad | (is_bad));                          \
        }                                                                \
        return !bad;                                                     \
    }
FINITE_LOOP(F32, uint32_t, (bits & 0x7F800000u) == 0x7F800000u)
FINITE_LOOP(BF16, uint16_t, (bits & 0x7F80u) == 0x7F80u)
FINITE_LOOP(F16, uint16_t, (bits & 0x7C00u) == 0x7C00u)
FINITE_LOOP(F64, uint64_t, (bits & 0x7FF0000000000000u) == 0x7FF0000000000000u)
FINITE_LOOP(I8, uint8_t, bits & 0u)
FINITE_LOOP(F8_E4M3, uint8_t, (bits & 0x7Fu) == 0x7Fu)
FINITE_LOOP(F8_E5M2, uint8_t, (bits & 0x7Cu) == 0x7Cu)

typedef bool finite_loop(const unsigned char *, size_t);

bool dtype_is_finite(const void *values, enum dtype type, size_t count)
{
    static finite_loop *const loops[DTYPE_COUNT] = {
#define X(type, value_type, widen) [DTYPE_##type] = finite_##type,
        FLOAT_TYPES(X)
#undef X
    };
    assert(loops[type]);
    return loops[type](values, count);
}
