/* picture_rows — the pixels of a picture's file, a row at a time, so that the memory does not depend on its size.
 *
 *     struct picture_rows *rows;
 *     enum dr_code code = picture_rows_open(&rows, file, 64 << 20, err);
 *     for (int32_t y = 0; code == DR_OK && y < picture_rows_height(rows); ++y)
 *         code = picture_rows_next(rows, rgb, err);
 *     picture_rows_close(rows);
 *
 * PNG that is not interlaced and baseline JPEG, as the engine writes them. What the file is, is told by its first bytes. The
 * size is looked at before anything is reserved. Transparency is dropped. Threads: one struct, one thread.
 */
#ifndef SERVICE_PICTURE_ROWS_H
#define SERVICE_PICTURE_ROWS_H

#include <stdint.h>

#include <darkroom/error.h>

struct picture_rows; /* opaque */

/* file: a descriptor, which is left open, and is read from its start. Errors: DR_CORRUPT, DR_UNSUPPORTED (another type,
 * interlaced or progressive, more than most_pixels or 65500 a side), DR_NOMEM, DR_IO. */
enum dr_code picture_rows_open(struct picture_rows **out, int file,
                               uint64_t most_pixels,
                               struct dr_error *err) DR_MUST_CHECK;
/* NULL is fine. */
void picture_rows_close(struct picture_rows *rows);

int32_t picture_rows_width(const struct picture_rows *rows);
int32_t picture_rows_height(const struct picture_rows *rows);

/* The next row, from the top: rgb [3 * width], 8 bits. At most `height` times. Errors: DR_CORRUPT, DR_NOMEM. */
enum dr_code picture_rows_next(struct picture_rows *rows, uint8_t *rgb,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
