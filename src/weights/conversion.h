/* conversion — a checkpoint written again, in another type and container.
 *
 * What is written is what darkroom reads of the checkpoint: its components under the original names
 * (model.diffusion_model. and so on; a network alone without a prefix), scales multiplied in, the
 * metadata, and what configs beside it said, as darkroom.* metadata. EMA copies and what else belongs to no
 * component is left out.
 *
 * Types: all weights in F32 or F16, or most weights in blocks and the rest in F16 (conversion_type).
 * In blocks are the weights of linears and convolutions of the UNet and the text encoders. These
 * stay in F16: vectors (biases, norms); all of the VAE; the UNet's first and last convolution and its
 * embeddings of time and size; token and position embeddings, and the text projection; a weight whose
 * rows are not whole blocks and which is no multiple of 256 elements.
 *
 * Memory: one region of a few MiB. The result is renamed to its name when it is complete.
 */
#ifndef WEIGHTS_CONVERSION_H
#define WEIGHTS_CONVERSION_H

#include "weights/checkpoint.h"

/* The type of a weight, by its component and canonical name: block_type or DTYPE_F16. */
enum dtype conversion_type(enum component_role role, const char *name,
                           const struct tensor *tensor, enum dtype block_type);

struct conversion_options {
    const char *output; /* FILE.gguf, FILE.safetensors or FILE.sft */
    enum dtype type; /* DTYPE_F32, DTYPE_F16; DTYPE_Q8_0 and DTYPE_Q4_0 in .gguf only */
    const struct component_progress
        *progress; /* over the bytes that are read; may be NULL */
    void *buffer;  /* CONVERSION_BUFFER_BYTES, aligned to 64 */
};
#define CONVERSION_PIECE        ((size_t)1 << 18) /* elements */
#define CONVERSION_BUFFER_BYTES (CONVERSION_PIECE * (8 + 4 + 4))

struct conversion_result {
    uint64_t bytes; /* of the file's data */
    size_t tensor_count, block_count;
    uint64_t element_count, block_element_count;
};

/* Is the container known by its extension? Does it hold the type? */
bool conversion_is_gguf(const char *output);
bool conversion_is_safetensors(const char *output);

/* Bytes that are read, for the progress. */
uint64_t conversion_bytes(const struct checkpoint *checkpoint);

/* Write it. An existing output is replaced. Errors: DR_BAD_INPUT (a block type is wanted of weights that are in
 * blocks already, or of a file without a weight for them; or in safetensors), DR_NOT_FINITE (a weight, also one that
 * is above the type's range: names the tensor), DR_CANCELLED, tensor_file_read's and tensor_writer's. On error
 * nothing is left of the output. */
enum dr_code conversion_run(const struct checkpoint *checkpoint,
                            const struct conversion_options *options,
                            struct conversion_result *result,
                            struct dr_error *err) DR_MUST_CHECK;

#endif
