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

static inline uint16_t dtype_f16_from_f32(float value)
{
    uint16_t bits;
    dtype_to_f16(&value, &bits, 1);
    return bits;
}

#endif
