/* thumbnail — a small JPEG of a picture's file.
 *
 * At most THUMBNAIL_SIDE pixels a side, with the picture's proportions; a smaller picture keeps its size. Each pixel is the
 * mean of the area that it stands for. Rows are read one at a time: about 300 KiB of memory, whatever the picture.
 */
#ifndef SERVICE_THUMBNAIL_H
#define SERVICE_THUMBNAIL_H

#include <stddef.h>
#include <stdint.h>

#include <darkroom/error.h>

enum {
    THUMBNAIL_SIDE = 256,
    THUMBNAIL_QUALITY = 80,
    THUMBNAIL_MOST_PIXELS = 64 * 1024 * 1024 /* of the picture */
};

/* The size of the thumbnail of a picture of width x height pixels. */
void thumbnail_size(int32_t width, int32_t height, int32_t *small_width,
                    int32_t *small_height);

/* file: a descriptor (picture_rows.h). *bytes: malloc'ed. Errors: DR_CORRUPT, DR_UNSUPPORTED, DR_NOMEM, DR_IO. */
enum dr_code thumbnail_make(int file, unsigned char **bytes, size_t *byte_count,
                            struct dr_error *err) DR_MUST_CHECK;

#endif
