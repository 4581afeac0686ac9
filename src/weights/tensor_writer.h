/* tensor_writer — write a .safetensors file, tensor by tensor, safely.
 *
 * The file is written under a temporary name beside the target and renamed when complete, so
 * that a reader never sees a partial file and a full disk leaves the old file. Used for
 * latents and by the tools.
 */
#ifndef WEIGHTS_TENSOR_WRITER_H
#define WEIGHTS_TENSOR_WRITER_H

#include "weights/tensor_file.h"

struct tensor_writer; /* opaque */

struct tensor_writer_item {
    const char *name;
    enum dtype dtype;
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
/* Append data, in any pieces. Errors: DR_IO with the path and errno's text. */
enum dr_code tensor_writer_add(struct tensor_writer *writer, const void *data,
                               size_t bytes, struct dr_error *err) DR_MUST_CHECK;
/* Flush, sync, rename; *writer becomes NULL in either case. On error the temporary is gone. */
enum dr_code tensor_writer_commit(struct tensor_writer **writer,
                                  struct dr_error *err) DR_MUST_CHECK;
/* Give up: removes the temporary. NULL and *writer == NULL are fine. */
void tensor_writer_discard(struct tensor_writer **writer);

#endif
