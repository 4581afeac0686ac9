/* quantisation — the kind of quantised weights of a component, by types and names.
 *
 * Quantised weights are integers or packed bits, with tensors beside them that define their values. Of these
 * kinds int8 with one scale, or one for each row, is supported (tensor_scale.h), which does not count as quantised
 * here, as scaled float8 does not.
 * Sources: bitsandbytes functional.py (QuantState), AutoGPTQ, ComfyUI comfy/quant_ops.py; deepcompressor,
 * optimum-quanto, HQQ, compressed-tensors.
 */
#ifndef WEIGHTS_QUANTISATION_H
#define WEIGHTS_QUANTISATION_H

#include "weights/tensor_file.h"

/* "4 bits (NF4 of bitsandbytes)" for a weight, a tensor's name as in the file, that is not stored
 * as floating-point numbers; NULL if nothing indicates this. */
const char *quantisation_of(const struct tensor_file *file, const char *weight);

struct component_tensor;

/* Is it int8 whose numbers are the integers times the scales that stand beside them? */
bool quantisation_is_scaled_int8(const struct tensor_file *file,
                                 const struct component_tensor *entry);

/* NULL: the weight, which is int8 with a scale beside it, is the integers times the scale. Else what its
 * NAME.comfy_quant says that it is instead: "8 bits (int8 of a rotated matrix)". Without that tensor it is taken
 * for the plain form. */
const char *quantisation_of_int8(const struct tensor_file *file, const char *weight);

/* The name of a tensor that replaces a weight (GPTQ and similar formats have no NAME.weight), and
 * the name of its format; or NULL. */
const char *quantisation_in_place(const struct tensor_file *file, const char **how);

#endif
