#include "image/image_source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/path_error.h"

static enum dr_code open_regular(struct image_source *source, struct dr_error *err)
{
    /* O_NONBLOCK so that a named pipe is refused below and not waited for. */
    source->descriptor = open(source->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->descriptor < 0)
        return path_error_set(err, errno, "cannot open", source->name);
    struct stat status;
    if (fstat(source->descriptor, &status) != 0)
        return error_set_errno(err, DR_IO, errno, "%s: cannot be read", source->name);
    if (!S_ISREG(status.st_mode))
        return error_set(err, DR_IO, "%s: %s, not a picture file", source->name,
                         S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
    source->bytes = (uint64_t)status.st_size;
    return DR_OK;
}

enum dr_code image_source_open(struct image_source *source, const char *path,
                               struct dr_error *err)
{
    *source = (struct image_source){.name = path, .descriptor = -1};
    enum dr_code code = open_regular(source, err);
    if (code == DR_OK) {
        source->buffer = malloc(IMAGE_SOURCE_BUFFER_BYTES);
        if (!source->buffer)
            code = error_set(err, DR_NOMEM, "%s: the system refused %d bytes", path,
                             IMAGE_SOURCE_BUFFER_BYTES);
    }
    if (code != DR_OK) image_source_close(source);
    return code;
}

void image_source_open_memory(struct image_source *source, const void *data,
                              size_t bytes, const char *name)
{
    assert(data || bytes == 0);
    *source = (struct image_source){
        .name = name,
        .bytes = bytes,
        .descriptor = -1,
        .next = data ? data : (const uint8_t *)"",
        .ready = bytes,
        .offset = bytes,
    };
}

void image_source_close(struct image_source *source)
{
    if (source->descriptor >= 0) (void)close(source->descriptor);
    free(source->buffer);
    *source = (struct image_source){.descriptor = -1};
}

static bool refill(struct image_source *source)
{
    ssize_t got = -1;
    if (fault_strikes(FAULT_READ)) {
        errno = EIO;
    } else {
        do
            got = pread(source->descriptor, source->buffer, IMAGE_SOURCE_BUFFER_BYTES,
                        (off_t)source->offset);
        while (got < 0 && errno == EINTR);
    }
    if (got < 0) {
        source->errno_value = errno;
        source->state = IMAGE_SOURCE_FAILED;
        return false;
    }
    source->next = source->buffer;
    source->ready = (size_t)got;
    source->offset += (uint64_t)got;
    return got > 0;
}

const uint8_t *image_source_peek(struct image_source *source, size_t *ready)
{
    *ready = 0;
    if (source->state != IMAGE_SOURCE_GOOD) return NULL;
    if (source->ready == 0 && (source->descriptor < 0 || !refill(source))) {
        if (source->state == IMAGE_SOURCE_GOOD) source->state = IMAGE_SOURCE_ENDED;
        return NULL;
    }
    *ready = source->ready;
    return source->next;
}

void image_source_skip(struct image_source *source, uint64_t bytes)
{
    if (bytes <= source->ready) {
        source->next += bytes;
        source->ready -= (size_t)bytes;
        return;
    }
    const uint64_t beyond = bytes - source->ready;
    const uint64_t left = UINT64_MAX - source->offset;
    source->next += source->ready;
    source->ready = 0;
    source->offset += beyond < left ? beyond : left;
    if (source->offset > source->bytes) source->offset = source->bytes;
}

bool image_source_read(struct image_source *source, void *target, size_t bytes)
{
    uint8_t *out = target;
    while (bytes > 0) {
        size_t ready = 0;
        const uint8_t *const data = image_source_peek(source, &ready);
        if (!data) return false;
        const size_t step = ready < bytes ? ready : bytes;
        memcpy(out, data, step);
        image_source_skip(source, step);
        out += step;
        bytes -= step;
    }
    return true;
}

void image_source_seek(struct image_source *source, uint64_t offset)
{
    if (offset > source->bytes) offset = source->bytes;
    if (source->descriptor < 0) {
        /* Memory: everything from the place on is ready; offset stays at the end. */
        source->next += (ptrdiff_t)(offset - (source->bytes - source->ready));
        source->ready = (size_t)(source->bytes - offset);
    } else {
        source->ready = 0;
        source->offset = offset;
    }
    if (source->state == IMAGE_SOURCE_ENDED) source->state = IMAGE_SOURCE_GOOD;
}

enum dr_code image_source_fail(const struct image_source *source, struct dr_error *err)
{
    if (source->state == IMAGE_SOURCE_FAILED)
        return error_set_errno(err, DR_IO, source->errno_value, "%s: cannot be read",
                               source->name);
    return error_set(err, DR_CORRUPT,
                     "%s: truncated: it ends after %" PRIu64
                     " bytes, in the middle of the "
                     "picture",
                     source->name, source->bytes);
}
