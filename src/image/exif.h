/* exif — reads two fields of EXIF: the orientation and the user's comment.
 *
 * EXIF is a TIFF structure: a byte order, then directories of 12-byte entries. It is in
 * JPEG's APP1 after "Exif\0\0" and in PNG's eXIf chunk without that prefix. A damaged or
 * unusual field is treated as missing: a bad tag must not prevent a good picture from being
 * read. Only two directories are followed (the first one, then its EXIF directory), so loops
 * are impossible.
 *
 * Source: EXIF 2.32 (CIPA DC-008), TIFF 6.0. The comment is written as A1111 writes it, by
 * piexif: big-endian, "UNICODE\0" and UTF-16 big-endian.
 */
#ifndef IMAGE_EXIF_H
#define IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    EXIF_PREFIX_BYTES = 6
};                           /* "Exif\0\0" before the TIFF structure in JPEG */
#define EXIF_PREFIX "Exif\0" /* and the string's own NUL */

/* 1..8; 1 if there is none. data begins with the byte order. */
int32_t exif_orientation(const uint8_t *data, size_t bytes);

/* UserComment as UTF-8, malloc'ed; *text is NULL where there is none. Errors: DR_NOMEM. */
enum dr_code exif_comment(const uint8_t *data, size_t bytes, char **text,
                          struct dr_error *err) DR_MUST_CHECK;

/* The TIFF structure with text as UserComment: its bytes, and into memory. */
size_t exif_comment_bytes(const char *text);
void exif_comment_into(const char *text, uint8_t *data);

#endif
