/* small_float — one value of a narrow float type, inline. Private to base/: others convert arrays
 * (dtype.h).
 *
 * Widening has no branch, only selections, so that the compiler makes vectors of a loop over it.
 */
#ifndef BASE_SMALL_FLOAT_H
#define BASE_SMALL_FLOAT_H

#include <stdint.h>
#include <string.h>

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

/* Shift right by a distance below 32, to nearest even. */
INLINE uint32_t shift_to_even(uint32_t value, unsigned distance)
{
    const uint32_t half = 1u << (distance - 1);
    const uint32_t odd = (value >> distance) & 1u;
    return (value + half - 1 + odd) >> distance;
}

INLINE uint16_t f16_from_f32(float value)
{
    const uint32_t bits = bits_of(value);
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    const uint32_t sign = (bits >> 16) & 0x8000u;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* from 65520 */
    if (magnitude >= 0x38800000u)                                    /* from 2^-14 */
        return (uint16_t)(sign | shift_to_even(magnitude - (112u << 23), 13));
    if (magnitude < 0x33000000u) return (uint16_t)sign; /* below 2^-25: to zero */
    const uint32_t mantissa = (magnitude & 0x007FFFFFu) | 0x00800000u;
    return (uint16_t)(sign | shift_to_even(mantissa, 126u - (magnitude >> 23)));
}

#endif
