/* quantisation — which kind of quantised weights a component has, told by types and names.
 *
 * Quantised weights are integers, or packed bits, with tensors beside them that say what they
 * stand for. None of these kinds is read yet; scaled float8 is no quantisation in this sense
 * (tensor_scale.h).
 * Sources: bitsandbytes functional.py (QuantState), AutoGPTQ, ComfyUI comfy/quant_ops.py; deepcompressor,
 * optimum-quanto, HQQ, compressed-tensors.
 */
#ifndef WEIGHTS_QUANTISATION_H
#define WEIGHTS_QUANTISATION_H

#include "weights/tensor_file.h"

/* "4 bits (NF4 of bitsandbytes)" for a weight, a tensor's name as in the file, that is not stored
 * as floating-point numbers; NULL where nothing says so. */
const char *quantisation_of(const struct tensor_file *file, const char *weight);

/* The name of a tensor that stands in the place of a weight (GPTQ and its kin have no NAME.weight),
 * and whose form it is; or NULL. */
const char *quantisation_in_place(const struct tensor_file *file, const char **how);

#endif
