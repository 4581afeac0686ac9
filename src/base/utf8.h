/* utf8 — is it, and where may it be cut?
 *
 * Validity is Unicode's: shortest forms only, no surrogates, nothing above U+10FFFF.
 * Source: The Unicode Standard 15.0, table 3-7. Any thread.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes, 1 to 4, of the valid character at the front of text, or 0 where there is
 * none: the end, or a byte that begins no valid character. */
size_t utf8_length(const char *text, size_t bytes);

bool utf8_is_valid(const char *text, size_t bytes);

/* Where to cut the first bytes of a longer text: bytes, less those of a character at the end
 * that has begun and is not whole. Bytes that are part of no character stay. */
size_t utf8_cut(const char *text, size_t bytes);

#endif
