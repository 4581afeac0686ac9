/* utf8 — validation, truncation and decoding of UTF-8.
 *
 * Validity is Unicode's: shortest forms only, no surrogates, nothing above U+10FFFF.
 * Source: The Unicode Standard 15.0, table 3-7. Any thread.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Replaces bytes that are not a character. */
enum {
    UTF8_REPLACEMENT = 0xFFFD
};

/* Length in bytes, 1 to 4, of the valid character at the front of text, or 0 where there is
 * none: the end, or a byte that begins no valid character. */
size_t utf8_length(const char *text, size_t bytes);

bool utf8_is_valid(const char *text, size_t bytes);

/* Where to truncate a longer text after `bytes` bytes: an incomplete character at the end is
 * removed. Bytes that are not part of a character stay. */
size_t utf8_cut(const char *text, size_t bytes);

/* The character at the front of text, of at least one byte; returns how many bytes it took, at
 * least one. Bytes that begin no character are UTF8_REPLACEMENT, once for the longest start of a
 * character that they are (section 3.9 there, as Python's errors="replace"). */
size_t utf8_decode(const char *text, size_t bytes, uint32_t *point);

/* A point, at most U+10FFFF, as UTF-8; its length, 1 to 4. Surrogates are written as such. */
size_t utf8_encode(uint32_t point, char out[static 4]);

#endif
