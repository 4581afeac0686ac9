/* pixel_row — one row of samples, between a file's integers and float32 RGB.
 *
 * The decoders give rows of 8- or 16-bit samples, big-endian as PNG has them, in one of a few
 * layouts; here they are converted to RGB in 0..1 and stored at their position in the
 * caller's image. The position is given in steps, so that rotated and mirrored pictures (EXIF
 * orientation) and the passes of an interlaced PNG need no second copy.
 *
 * Values: v / 255 and v / 65535 in float32, correctly rounded, as NumPy gives them. Alpha is
 * not gamma-aware, as in Pillow: c * a + (1 - a) on white.
 */
#ifndef IMAGE_PIXEL_ROW_H
#define IMAGE_PIXEL_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pixel_kind {
    PIXEL_GREY,
    PIXEL_GREY_ALPHA,
    PIXEL_RGB,
    PIXEL_RGB_ALPHA,
    PIXEL_INVERTED_CMYK, /* as Adobe stores it in JPEG: 255 is no ink */
};

struct pixel_layout {
    enum pixel_kind kind;
    int32_t bits; /* 8 or 16 */
};

/* Where pixel (x, y) as stored lies in the picture as shown, counted in pixels:
 * origin + x * step_x + y * step_y. */
struct pixel_place {
    ptrdiff_t origin, step_x, step_y;
};

/* The place for a stored size and an EXIF orientation 1..8. */
struct pixel_place pixel_place_oriented(int32_t stored_width, int32_t stored_height,
                                        int32_t orientation);

/* count pixels of row, to first, first + step, ... (step in floats). */
void pixel_row_read(const uint8_t *row, struct pixel_layout layout, int32_t count,
                    float *first, ptrdiff_t step);

/* count floats to samples of 8 or 16 bits: clamped to 0..1, times 255 or 65535, rounded half
 * to even. False where a value is NaN or infinite; row is then unspecified. */
bool pixel_row_write(const float *values, size_t count, int32_t bits, uint8_t *row);

#endif
