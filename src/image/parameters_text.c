#include "image/parameters_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
    MARK = 0xFEFF, /* byte order: SWAPPED_MARK in the other one */
    SWAPPED_MARK = 0xFFFE,
    UTF8_MOST_BYTES = 4
};

static bool is_surrogate(uint32_t character)
{
    return character >= 0xD800 && character <= 0xDFFF;
}

uint32_t parameters_text_next(const char **text, size_t *bytes)
{
    uint32_t character = UTF8_REPLACEMENT;
    size_t used = utf8_length(*text, *bytes);
    if (used > 0)
        (void)utf8_decode(*text, used, &character);
    else
        used = 1;
    *text += used;
    *bytes -= used;
    return character;
}

/* Room for characters of at most factor bytes each, and the end. */
static char *new_text(size_t characters, size_t factor)
{
    if (characters > (SIZE_MAX - 1) / factor) return NULL;
    return malloc(characters * factor + 1);
}

char *parameters_text_clean(const char *text, size_t bytes)
{
    char *const clean = new_text(bytes, 3); /* a wrong byte becomes three */
    if (!clean) return NULL;
    char *out = clean;
    while (bytes > 0)
        out += utf8_encode(parameters_text_next(&text, &bytes), out);
    *out = '\0';
    return clean;
}

char *parameters_text_from_latin1(const char *text, size_t bytes)
{
    char *const utf8 = new_text(bytes, 2);
    if (!utf8) return NULL;
    char *out = utf8;
    for (size_t i = 0; i < bytes; ++i)
        out += utf8_encode((uint8_t)text[i], out);
    *out = '\0';
    return utf8;
}

char *parameters_text_to_latin1(const char *text, bool *fits)
{
    size_t bytes = strlen(text);
    *fits = true;
    char *const latin1 = new_text(bytes, 1);
    if (!latin1) return NULL;
    char *out = latin1;
    while (bytes > 0) {
        const uint32_t character = parameters_text_next(&text, &bytes);
        if (character > 0xFF) {
            *fits = false;
            free(latin1);
            return NULL;
        }
        *out++ = (char)(uint8_t)character;
    }
    *out = '\0';
    return latin1;
}

static uint32_t unit_at(const uint8_t *data, enum byte_order order)
{
    return order == BIG_ENDIAN_UNITS ? (uint32_t)(data[0] << 8 | data[1])
                                     : (uint32_t)(data[1] << 8 | data[0]);
}

/* The character at data, of bytes >= 2; *used is 2 or 4. */
static uint32_t utf16_next(const uint8_t *data, size_t bytes, enum byte_order order,
                           size_t *used)
{
    const uint32_t first = unit_at(data, order);
    *used = 2;
    if (!is_surrogate(first)) return first;
    const uint32_t second = bytes >= 4 ? unit_at(data + 2, order) : 0;
    if (first >= 0xDC00 || second < 0xDC00 || second > 0xDFFF) return UTF8_REPLACEMENT;
    *used = 4;
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

char *parameters_text_from_utf16(const uint8_t *data, size_t bytes,
                                 enum byte_order order)
{
    if (bytes >= 2 && data[0] + data[1] == 0xFE + 0xFF && data[0] >= 0xFE) {
        order = data[0] == 0xFE ? BIG_ENDIAN_UNITS : LITTLE_ENDIAN_UNITS;
        data += 2;
        bytes -= 2;
    }
    char *const utf8 = new_text(bytes / 2, UTF8_MOST_BYTES);
    if (!utf8) return NULL;
    char *out = utf8;
    while (bytes >= 2) {
        size_t used = 0;
        const uint32_t character = utf16_next(data, bytes, order, &used);
        if (character == 0) break;
        out += utf8_encode(character, out);
        data += used;
        bytes -= used;
    }
    *out = '\0';
    return utf8;
}

/* A first character that a reader would take for a byte order mark, right or swapped: only a mark
 * before it keeps it, and the order of all that follows. */
static bool looks_marked(const char *text)
{
    size_t left = strlen(text);
    const uint32_t first = left > 0 ? parameters_text_next(&text, &left) : 0;
    return first == MARK || first == SWAPPED_MARK;
}

size_t parameters_text_utf16_bytes(const char *text)
{
    size_t left = strlen(text), bytes = looks_marked(text) ? 2 : 0;
    while (left > 0)
        bytes += parameters_text_next(&text, &left) < 0x10000 ? 2 : 4;
    return bytes;
}

static uint8_t *put_unit(uint8_t *out, uint32_t unit)
{
    *out++ = (uint8_t)(unit >> 8);
    *out++ = (uint8_t)(unit & 0xFF);
    return out;
}

void parameters_text_to_utf16_into(const char *text, uint8_t *data)
{
    size_t left = strlen(text);
    if (looks_marked(text)) data = put_unit(data, MARK);
    while (left > 0) {
        const uint32_t character = parameters_text_next(&text, &left);
        if (character < 0x10000) {
            data = put_unit(data, character);
            continue;
        }
        data = put_unit(data, 0xD800 + ((character - 0x10000) >> 10));
        data = put_unit(data, 0xDC00 + ((character - 0x10000) & 0x3FF));
    }
}
