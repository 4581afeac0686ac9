/* encoded_picture — a picture as clients write it into a string: base64, or a data: URL of an image type.
 *
 * Nothing is ever fetched: another URL is a problem to report.
 */
#ifndef SERVICE_ENCODED_PICTURE_H
#define SERVICE_ENCODED_PICTURE_H

#include <stddef.h>

/* Decodes text [byte_count] in place: the picture's bytes are at *bytes, within text. Returns NULL, or what is wrong, as
 * the end of a sentence about the field ("is not base64"): static. What the bytes are is not looked at: clients name
 * other types than they send. */
const char *encoded_picture_decode(char *text, size_t byte_count,
                                   const unsigned char **bytes, size_t *decoded_count);

#endif
