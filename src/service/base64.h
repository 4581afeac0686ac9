/* base64 — pictures as text in JSON (RFC 4648, the standard alphabet).
 *
 * Reading is lenient where clients differ and the meaning is clear: blanks and line breaks between digits are skipped,
 * and the padding may be missing.
 */
#ifndef SERVICE_BASE64_H
#define SERVICE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* Decodes text [*byte_count] into the same memory; *byte_count becomes the number of decoded bytes. False where it is
 * not base64: a character of another alphabet, digits after padding, a single digit at the end. The text is then
 * unspecified. */
bool base64_decode_in_place(char *text, size_t *byte_count);

/* How long the text of so many bytes is, without a terminator. SIZE_MAX where it does not fit. */
size_t base64_length(size_t byte_count);
/* Writes base64_length(byte_count) characters; no terminator. */
void base64_encode_into(const void *bytes, size_t byte_count, char *text);
/* A new JSON string; NULL where memory runs out. */
json_t *base64_json(const void *bytes, size_t byte_count);

#endif
