/* picture_header — the size of a picture by its first bytes, before anything is decoded.
 */
#ifndef SERVICE_PICTURE_HEADER_H
#define SERVICE_PICTURE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <darkroom/error.h>

struct picture_header {
    int is_jpeg; /* 0: PNG */
    int32_t width, height;
};

/* By the first bytes alone. */
bool picture_header_is_png(const unsigned char *bytes, size_t byte_count);
bool picture_header_is_jpeg(const unsigned char *bytes, size_t byte_count);

/* what: how a message names it ("init_images[0]"). Errors: DR_BAD_INPUT: neither PNG nor JPEG, cut short, or more than
 * most_pixels. */
enum dr_code picture_header_read(const unsigned char *bytes, size_t byte_count,
                                 const char *what, int64_t most_pixels,
                                 struct picture_header *header,
                                 struct dr_error *err) DR_MUST_CHECK;

#endif
