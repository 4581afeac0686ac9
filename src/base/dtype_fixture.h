/* dtype_fixture — one value of a 16-bit type at a time, for tests. Float16 is written by tests
 * alone: networks run in float32 and bfloat16.
 */
#ifndef BASE_DTYPE_FIXTURE_H
#define BASE_DTYPE_FIXTURE_H

#include <stdint.h>
#include <string.h>

#include "base/dtype.h"

static inline float dtype_f32_from_bf16(uint16_t bits)
{
    float value;
    dtype_to_f32(&bits, DTYPE_BF16, &value, 1);
    return value;
}

static inline uint16_t dtype_bf16_from_f32(float value)
{
    uint16_t bits;
    dtype_to_bf16(&value, DTYPE_F32, &bits, 1);
    return bits;
}

static inline float dtype_f32_from_f16(uint16_t bits)
{
    float value;
    dtype_to_f32(&bits, DTYPE_F16, &value, 1);
    return value;
}

/* Shift right by a distance below 32, to nearest even. */
static inline uint32_t shift_to_even(uint32_t value, unsigned distance)
{
    const uint32_t half = 1u << (distance - 1);
    const uint32_t odd = (value >> distance) & 1u;
    return (value + half - 1 + odd) >> distance;
}

static inline uint16_t dtype_f16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
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
