/* dtype — the number types of tensors, in files and in memory.
 *
 * float16, bfloat16 and float8 values are handled as their bits. Conversions round to
 * nearest even, as PyTorch's do.
 *
 * A block type (block_codec.h) stores its elements in blocks of 32 or 256 with scales of their own.
 * A plain type counts as one with blocks of one element.
 */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stdbool.h>
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
    DTYPE_Q8_0, /* block types, as in GGUF files */
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q6_K,
    DTYPE_Q5_K,
    DTYPE_Q4_K,
    DTYPE_Q3_K,
    DTYPE_Q2_K,
};
enum {
    DTYPE_COUNT = DTYPE_Q2_K + 1
};

size_t dtype_bytes(enum dtype type); /* of an element; plain types only */
const char *dtype_name(
    enum dtype type); /* as in safetensors and GGUF: "F16", "Q8_0", ... */
int dtype_is_float(enum dtype type); /* true for block types too */
bool dtype_is_block(enum dtype type);
size_t dtype_block_elements(enum dtype type); /* 1 for a plain type */
size_t dtype_block_bytes(enum dtype type);
/* The bytes of count elements; false, and *bytes is left alone, where they are not whole blocks
 * or the size overflows. */
bool dtype_size(enum dtype type, size_t count, size_t *bytes);

/* Convert count values, whole blocks of a block type. source and target may not overlap; target
 * holds float32 or bfloat16 (the only types that networks run in). Float source types, and
 * DTYPE_I8. */
void dtype_to_f32(const void *source, enum dtype type, float *target, size_t count);
void dtype_to_bf16(const void *source, enum dtype type, uint16_t *target, size_t count);
/* float32 to float16; above 65504 to infinity. */
void dtype_to_f16(const float *source, uint16_t *target, size_t count);

/* Are count values of a plain float type all finite? A vector loop; values may lie at any offset. */
bool dtype_is_finite(const void *values, enum dtype type, size_t count);

#endif
