/* quantisation — the kind of quantised weights of a component, by types and names.
 *
 * Quantised weights are integers or packed bits, with tensors beside them that define their values. None
 * of these kinds is supported yet; scaled float8 does not count as quantised here (tensor_scale.h).
 * Sources: bitsandbytes functional.py (QuantState), AutoGPTQ, ComfyUI comfy/quant_ops.py; deepcompressor,
 * optimum-quanto, HQQ, compressed-tensors.
 */
#ifndef WEIGHTS_QUANTISATION_H
#define WEIGHTS_QUANTISATION_H

#include "weights/tensor_file.h"

/* "4 bits (NF4 of bitsandbytes)" for a weight, a tensor's name as in the file, that is not stored
 * as floating-point numbers; NULL if nothing indicates this. */
const char *quantisation_of(const struct tensor_file *file, const char *weight);

/* The name of a tensor that replaces a weight (GPTQ and similar formats have no NAME.weight), and
 * the name of its format; or NULL. */
const char *quantisation_in_place(const struct tensor_file *file, const char **how);

#endif
