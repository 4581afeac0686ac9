/* parameters_text — the generation parameters as text, in the encodings of picture files.
 *
 * In memory it is UTF-8. PNG's tEXt is Latin-1, so a text with only such characters is stored
 * as tEXt, as Pillow does and A1111 reads it; other texts are stored as iTXt, which is UTF-8.
 * EXIF's UserComment is UTF-16. Bytes that are not UTF-8 (a prompt from a command line can
 * have any) become U+FFFD, so that a finished picture is not lost because of them.
 *
 * Ownership: every returned text is malloc'ed and the caller's. Errors: NULL is out of memory.
 */
#ifndef IMAGE_PARAMETERS_TEXT_H
#define IMAGE_PARAMETERS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next character of a UTF-8 text of *bytes bytes, at least one; advances both. U+FFFD for
 * a byte that begins no whole character. */
uint32_t parameters_text_next(const char **text, size_t *bytes);

/* Valid UTF-8, with U+FFFD for what was not. */
char *parameters_text_clean(const char *text, size_t bytes);

/* Latin-1 to UTF-8. */
char *parameters_text_from_latin1(const char *text, size_t bytes);

/* UTF-8 to Latin-1. *fits is false, and the result NULL, where a character has none. */
char *parameters_text_to_latin1(const char *text, bool *fits);

enum byte_order {
    BIG_ENDIAN_UNITS,
    LITTLE_ENDIAN_UNITS
};

/* UTF-16 to UTF-8, up to a NUL or the end. A byte order mark wins over what is given. */
char *parameters_text_from_utf16(const uint8_t *data, size_t bytes,
                                 enum byte_order order);

/* The length in bytes of a UTF-8 text in UTF-16, and the text itself, big-endian; without a byte
 * order mark, unless its first character would be mistaken for one. */
size_t parameters_text_utf16_bytes(const char *text);
void parameters_text_to_utf16_into(const char *text, uint8_t *data);

#endif
