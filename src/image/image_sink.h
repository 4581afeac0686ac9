/* image_sink — a temporary file behind a buffer, to which encoders write.
 *
 * The libraries write small pieces; the buffer combines them into blocks. The first failure
 * is kept with its message, and everything after it is refused, so an encoder may check for
 * errors late.
 *
 * Ownership: the file is the caller's, who commits or discards it. One thread.
 */
#ifndef IMAGE_IMAGE_SINK_H
#define IMAGE_IMAGE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/temporary_file.h"

enum {
    IMAGE_SINK_BUFFER_BYTES = 65536
};

struct image_sink {
    const char *name; /* for messages, borrowed */
    struct temporary_file *file;
    enum dr_code code; /* of the first failure */
    struct dr_error *err;
    size_t used;
    uint8_t *buffer;
};

enum dr_code image_sink_init(struct image_sink *sink, struct temporary_file *file,
                             const char *name, struct dr_error *err) DR_MUST_CHECK;
void image_sink_finish(struct image_sink *sink);

bool image_sink_put(struct image_sink *sink, const void *data, size_t bytes);
/* Write what is in the buffer; the code of the first failure, if any. */
enum dr_code image_sink_flush(struct image_sink *sink) DR_MUST_CHECK;

#endif
