/* tensor_scale — the scale of an 8-bit weight, stored beside it.
 *
 * A scaled float8 checkpoint stores w / s rounded to 8 bits, and s: one number, or one for each
 * row of the weight (its first dimension). The weight is then the stored value times s, in
 * float32. An int8 checkpoint does the same with integers (quantisation.h). Two spellings are in use for the same thing:
 *
 *     NAME.scale_weight     ComfyUI's first, with a marker tensor scaled_fp8
 *     NAME.weight_scale     ComfyUI's second, and compressed-tensors'
 *
 * In a component (checkpoint.h) a scale is a tensor of its own under one name, NAME.weight_scale:
 * it is part of the digest. Each part of a composed tensor may have its own scale:
 * NAME.weight_scale.0 and so on.
 * Source: ComfyUI comfy/ops.py, scaled_fp8_ops and its successor.
 */
#ifndef WEIGHTS_TENSOR_SCALE_H
#define WEIGHTS_TENSOR_SCALE_H

#include "weights/tensor_file.h"

/* If the tensor is a scale, the name of its weight, in out; else false. */
bool tensor_scale_weight_name(const char *name, char *out, size_t out_bytes);

/* Can this be the scale of that weight? It must be one number or one per row, of a
 * float type. */
bool tensor_scale_fits(const struct tensor *scale, const struct tensor *weight);

/* Read the scales of `rows` rows into out; raw is room for `rows` values as stored. Errors:
 * tensor_file_read's; DR_NOT_FINITE, which names the tensor. */
enum {
    TENSOR_SCALE_RAW_BYTES = 8
}; /* of raw, a row */
enum dr_code tensor_scale_read(const struct tensor_file *file,
                               const struct tensor *scale, size_t rows, void *raw,
                               float *out, struct dr_error *err) DR_MUST_CHECK;

#endif
