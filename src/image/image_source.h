/* image_source — the bytes of a picture, from a file or from memory, in pieces.
 *
 * Both libraries read through this, so that end of file, read errors and injected faults are
 * handled in one place. A decoder asks for the bytes that are ready (peek), uses some (skip),
 * and asks again:
 *
 *     data      |.........used.........|....ready....|..........not read yet........|
 *                                       next          next + ready
 *
 * Ownership: opens and closes its descriptor; bytes in memory are borrowed. One thread.
 */
#ifndef IMAGE_IMAGE_SOURCE_H
#define IMAGE_IMAGE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    IMAGE_SOURCE_BUFFER_BYTES = 32768
};

enum image_source_state {
    IMAGE_SOURCE_GOOD,
    IMAGE_SOURCE_ENDED,
    IMAGE_SOURCE_FAILED
};

struct image_source {
    const char *name; /* for messages, borrowed */
    uint64_t bytes;   /* of all */
    enum image_source_state state;
    /* private */
    int descriptor; /* -1 for memory */
    int errno_value;
    const uint8_t *next;
    size_t ready;
    uint64_t offset; /* in the file, behind what is ready */
    uint8_t *buffer;
};

/* Open a regular file. Errors: DR_NOT_FOUND, DR_IO, DR_NOMEM. */
enum dr_code image_source_open(struct image_source *source, const char *path,
                               struct dr_error *err) DR_MUST_CHECK;
void image_source_open_memory(struct image_source *source, const void *data,
                              size_t bytes, const char *name);
void image_source_close(struct image_source *source);

/* At least one ready byte, and how many there are; NULL at the end and after an error;
 * state then tells which. */
const uint8_t *image_source_peek(struct image_source *source, size_t *ready);
void image_source_skip(struct image_source *source, uint64_t bytes);

/* Read exactly so many bytes. False at the end or on an error. */
bool image_source_read(struct image_source *source, void *target, size_t bytes);

/* Sets the position; beyond the end is allowed, and then nothing can be read. Resets an
 * ended state. */
void image_source_seek(struct image_source *source, uint64_t offset);

/* Why reading stopped: DR_IO after a read error, else DR_CORRUPT as truncated. */
enum dr_code image_source_fail(const struct image_source *source, struct dr_error *err);

#endif
