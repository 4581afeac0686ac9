#include "service/base64.h"

#include <stdint.h>
#include <stdlib.h>

enum {
    BLANK = 64,
    PADDING,
    OTHER
};

static unsigned digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26u;
    if (c >= '0' && c <= '9') return c - '0' + 52u;
    switch (c) {
    case '+': return 62;
    case '/': return 63;
    case '=': return PADDING;
    case ' ':
    case '\t':
    case '\r':
    case '\n': return BLANK;
    default: return OTHER;
    }
}

bool base64_decode_in_place(char *text, size_t *byte_count)
{
    size_t out = 0, digit_count = 0, padding = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < *byte_count; ++i) {
        const unsigned value = digit((unsigned char)text[i]);
        if (value == BLANK) continue;
        if (value == PADDING) {
            ++padding;
            continue;
        }
        if (value == OTHER || padding > 0) return false;
        group = group << 6 | value;
        /* Three bytes come out after four digits were read: out stays behind i. */
        if (++digit_count % 4 == 0) {
            text[out++] = (char)(group >> 16);
            text[out++] = (char)(group >> 8);
            text[out++] = (char)group;
            group = 0;
        }
    }
    const size_t rest = digit_count % 4;
    if (rest == 1 || padding > 2 || (padding > 0 && rest + padding != 4)) return false;
    if (rest >= 2) text[out++] = (char)(group >> (rest == 2 ? 4 : 10));
    if (rest == 3) text[out++] = (char)(group >> 2);
    *byte_count = out;
    return true;
}

size_t base64_length(size_t byte_count)
{
    if (byte_count > SIZE_MAX / 4 * 3 - 2) return SIZE_MAX;
    return (byte_count + 2) / 3 * 4;
}

void base64_encode_into(const void *bytes, size_t byte_count, char *text)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *const from = bytes;
    for (size_t i = 0; i < byte_count; i += 3) {
        const size_t count = byte_count - i < 3 ? byte_count - i : 3;
        const uint32_t group = (uint32_t)from[i] << 16 |
                               (count > 1 ? (uint32_t)from[i + 1] << 8 : 0u) |
                               (count > 2 ? (uint32_t)from[i + 2] : 0u);
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = count > 1 ? digits[group >> 6 & 63] : '=';
        *text++ = count > 2 ? digits[group & 63] : '=';
    }
}

json_t *base64_json(const void *bytes, size_t byte_count)
{
    const size_t length = base64_length(byte_count);
    char *const text = length < SIZE_MAX ? malloc(length + 1) : NULL;
    if (!text) return NULL;
    base64_encode_into(bytes, byte_count, text);
    json_t *const value = json_stringn_nocheck(text, length);
    free(text);
    return value;
}
