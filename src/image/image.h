/* image — pictures in files: PNG (8 and 16 bit) and JPEG, in and out.
 *
 * In memory an image is interleaved rows of float32 RGB. This module does not allocate it: the
 * caller reads the header, provides the memory (a region), and then reads the pixels. So a
 * file that claims a huge picture is refused by its header alone.
 *
 * Reading: alpha is flattened on white; palettes, grey and 1-4 bit samples become RGB; EXIF
 * orientation is applied (JPEG APP1, PNG eXIf, at any position). CMYK JPEG is assumed to be as
 * Adobe writes it and converted without a colour profile. Colour profiles and gamma are
 * ignored, as in Pillow. A progressive JPEG needs all its coefficients in the library's memory
 * while it is read, so one that would need more than 256 MiB is refused by its header.
 * Writing: under a temporary name beside the target, renamed when complete.
 *
 * Ownership: a reader owns its file until it is closed. Threads: one reader, one thread at a
 * time; no globals. Memory: rows and the libraries' own, some hundred KiB; see above for
 * progressive JPEG.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    IMAGE_MAX_SIDE = 32768
};
#define IMAGE_MAX_PIXELS ((int64_t)1 << 28) /* 16384 x 16384 */

enum image_format {
    IMAGE_PNG,
    IMAGE_JPEG
};

struct image_head {
    enum image_format format;
    int32_t width, height; /* as shown: after EXIF orientation */
    int32_t bits;          /* 8 or 16 bits per channel of the file */
    int32_t orientation; /* EXIF 1..8; already taken into account in width and height */
    size_t
        decoder_bytes; /* that the library takes from malloc while pixels are read, where that
                           * grows with the picture (progressive JPEG); until close */
};

struct image_reader; /* opaque: an open file whose head was read */

/* Open and read the head. The format is told from the content. Errors: DR_NOT_FOUND, DR_IO,
 * DR_UNSUPPORTED (another format, named), DR_CORRUPT, DR_BAD_INPUT (larger than the limits). */
enum dr_code image_reader_open(struct image_reader **out, struct image_head *head,
                               const char *path, struct dr_error *err) DR_MUST_CHECK;
/* The same on bytes in memory (for the fuzzer); data is borrowed until close. */
enum dr_code image_reader_open_memory(struct image_reader **out,
                                      struct image_head *head, const void *data,
                                      size_t bytes, struct dr_error *err) DR_MUST_CHECK;
/* Read all pixels, once for each reader, into rgb [height, width, 3], float32 in 0..1,
 * caller's memory, unspecified on error.
 * Errors: DR_CORRUPT (truncated and damaged files: never half a picture), DR_IO, DR_BAD_INPUT
 * (a JPEG of more than 100 scans), DR_NOMEM. */
enum dr_code image_reader_pixels(struct image_reader *reader, float *rgb,
                                 struct dr_error *err) DR_MUST_CHECK;
void image_reader_close(struct image_reader **reader);

struct image_write_options {
    enum image_format format;
    int32_t width, height;
    int32_t bits;    /* 8, or 16 (PNG only) */
    int32_t quality; /* JPEG 1..100; 0 means 95, with 4:4:4 */
    const char
        *parameters; /* A1111's text, UTF-8, may be NULL: PNG tEXt/iTXt "parameters",
                             * JPEG EXIF UserComment (UNICODE, as A1111 writes it; at most some
                             * 32,000 characters). Bytes that are no UTF-8 become U+FFFD. */
};

/* The source of the pixels of an image that is written, so that the whole image need not be in
 * memory: get stores row y, width * 3 float32, in rgb. It is called once for each row, top to
 * bottom. */
struct image_rows {
    void (*get)(void *cookie, int32_t y, float *rgb);
    void *cookie;
};

/* Write an image of float32 RGB in 0..1 (clamped; rounded half to even times 255 or
 * 65535, as diffusers does). Deterministic: same input, same bytes; no time stamp.
 * Errors: DR_IO (path, errno's text: full disk, no permission), DR_NOT_FINITE (NaN or infinity
 * in a row; the row is named), DR_BAD_INPUT (options; a text too long for
 * the format), DR_NOMEM. The
 * target is then as before. */
enum dr_code image_write_rows(const char *path,
                              const struct image_write_options *options,
                              const struct image_rows *rows,
                              struct dr_error *err) DR_MUST_CHECK;
/* The same from rgb [height, width, 3] in memory. */
enum dr_code image_write(const char *path, const struct image_write_options *options,
                         const float *rgb, struct dr_error *err) DR_MUST_CHECK;

/* Checks path's format and the options as image_write would, before there is a picture or a file:
 * DR_BAD_INPUT, DR_NOMEM. */
enum dr_code image_check_write(const char *path,
                               const struct image_write_options *options,
                               struct dr_error *err) DR_MUST_CHECK;

/* PNG or JPEG by the file name extension, ignoring case; false for another. */
bool image_format_from_path(const char *path, enum image_format *format);

/* The text that image_write (or A1111) stored, or NULL; malloc'ed, caller frees. For inspect
 * and tests. PNG: tEXt, zTXt or iTXt before the pixels. Errors: as image_reader_open. */
enum dr_code image_read_parameters(const char *path, char **text,
                                   struct dr_error *err) DR_MUST_CHECK;
/* The same of a file's bytes in memory, borrowed for the call. */
enum dr_code image_read_parameters_memory(const void *data, size_t bytes, char **text,
                                          struct dr_error *err) DR_MUST_CHECK;

#endif
