/* tensor_writer — write a .safetensors or .gguf file, tensor by tensor, safely.
 *
 * The file is written under a temporary name beside the target and renamed when complete, so
 * that a reader never sees a partial file and a full disk leaves the old file. Used for
 * latents, by convert and by the tools.
 */
#ifndef WEIGHTS_TENSOR_WRITER_H
#define WEIGHTS_TENSOR_WRITER_H

#include "weights/tensor_file.h"

struct tensor_writer; /* opaque */

struct tensor_writer_item {
    const char *name;
    enum dtype dtype; /* block types in GGUF only */
    int32_t rank;
    int64_t dims[TENSOR_MAX_RANK];
};

/* All tensors are declared first, in the order of their data. */
enum dr_code tensor_writer_open(struct tensor_writer **out, const char *path,
                                const struct tensor_writer_item *items,
                                size_t item_count,
                                const struct tensor_metadata *metadata,
                                size_t metadata_count,
                                struct dr_error *err) DR_MUST_CHECK;
/* The same as a GGUF file of version 3. Texts are its strings, after general.architecture (NULL: none) and
 * general.file_type, ggml's number of what most weights are stored in. A tensor of a block type
 * whose rows are not whole blocks is stored in rows of 256, and comfy.gguf.orig_shape.NAME says its
 * shape: it must have a multiple of 256 elements. Integer types that GGUF does not have are
 * DR_BAD_INPUT. */
struct tensor_writer_gguf {
    const char *architecture;
    uint32_t file_type;
};
enum dr_code tensor_writer_open_gguf(struct tensor_writer **out, const char *path,
                                     const struct tensor_writer_gguf *gguf,
                                     const struct tensor_writer_item *items,
                                     size_t item_count,
                                     const struct tensor_metadata *metadata,
                                     size_t metadata_count,
                                     struct dr_error *err) DR_MUST_CHECK;
/* Append data, in any pieces. Errors: DR_IO with the path and errno's text. */
enum dr_code tensor_writer_add(struct tensor_writer *writer, const void *data,
                               size_t bytes, struct dr_error *err) DR_MUST_CHECK;
/* Flush, sync, rename; *writer becomes NULL in either case. On error the temporary is gone. */
enum dr_code tensor_writer_commit(struct tensor_writer **writer,
                                  struct dr_error *err) DR_MUST_CHECK;
/* Give up: removes the temporary. NULL and *writer == NULL are fine. */
void tensor_writer_discard(struct tensor_writer **writer);

#endif
