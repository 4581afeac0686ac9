/* dtype — the number types of tensors, in files and in memory.
 *
 * float16, bfloat16 and float8 values are handled as their bits. Conversions round to
 * nearest even, as PyTorch's do.
 */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_F32,
    DTYPE_BF16,
    DTYPE_F16,
    DTYPE_F64,
    DTYPE_F8_E4M3, /* the "fn" kind: no infinity, 0x7f and 0xff are NaN */
    DTYPE_F8_E5M2,
    DTYPE_I64, /* integers and booleans are in files, never in a network */
    DTYPE_I32,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_U64,
    DTYPE_U32,
    DTYPE_U16,
    DTYPE_U8,
    DTYPE_BOOL,
};

size_t dtype_bytes(enum dtype type);
const char *dtype_name(enum dtype type); /* as in safetensors: "F16", "BF16", ... */
int dtype_is_float(enum dtype type);

/* Convert count values. source and target may not overlap; target holds float32 or
 * bfloat16 (the only types that networks run in). Float source types only. */
void dtype_to_f32(const void *source, enum dtype type, float *target, size_t count);
void dtype_to_bf16(const void *source, enum dtype type, uint16_t *target, size_t count);

#endif
