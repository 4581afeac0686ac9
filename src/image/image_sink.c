#include "image/image_sink.h"

#include <stdlib.h>
#include <string.h>

enum dr_code image_sink_init(struct image_sink *sink, struct temporary_file *file,
                             const char *name, struct dr_error *err)
{
    *sink = (struct image_sink){.name = name, .file = file, .err = err};
    sink->buffer = malloc(IMAGE_SINK_BUFFER_BYTES);
    if (sink->buffer) return DR_OK;
    return error_set(err, DR_NOMEM, "%s: the system refused %d bytes", name,
                     IMAGE_SINK_BUFFER_BYTES);
}

void image_sink_finish(struct image_sink *sink)
{
    free(sink->buffer);
    *sink = (struct image_sink){.file = NULL};
}

enum dr_code image_sink_flush(struct image_sink *sink)
{
    if (sink->code == DR_OK && sink->used > 0)
        sink->code =
            temporary_file_write(sink->file, sink->buffer, sink->used, sink->err);
    sink->used = 0;
    return sink->code;
}

bool image_sink_put(struct image_sink *sink, const void *data, size_t bytes)
{
    const uint8_t *next = data;
    while (bytes > 0 && sink->code == DR_OK) {
        const size_t room = IMAGE_SINK_BUFFER_BYTES - sink->used;
        const size_t step = bytes < room ? bytes : room;
        memcpy(sink->buffer + sink->used, next, step);
        sink->used += step;
        next += step;
        bytes -= step;
        if (sink->used == IMAGE_SINK_BUFFER_BYTES && image_sink_flush(sink) != DR_OK)
            break;
    }
    return sink->code == DR_OK;
}
