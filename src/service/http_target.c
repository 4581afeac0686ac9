#include "service/http_target.h"

#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The bytes that follow a first byte of UTF-8, and the least and most that the second may be; -1: not a first byte. */
static int following(unsigned char first, unsigned char *least, unsigned char *most)
{
    *least = 0x80;
    *most = 0xbf;
    if (first < 0x80) return 0;
    if (first >= 0xc2 && first <= 0xdf) return 1;
    if (first == 0xe0) *least = 0xa0; /* not the long form */
    if (first == 0xed) *most = 0x9f;  /* not a surrogate */
    if (first >= 0xe0 && first <= 0xef) return 2;
    if (first == 0xf0) *least = 0x90;
    if (first == 0xf4) *most = 0x8f;
    return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

/* UTF-8 without control characters. */
static bool is_plain_text(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; ++c) {
        unsigned char least, most;
        int more = following(*c, &least, &most);
        if (more < 0 || *c < ' ' || *c == 0x7f) return false;
        for (; more > 0; --more) {
            ++c;
            if (*c < least || *c > most) return false;
            least = 0x80;
            most = 0xbf;
        }
    }
    return true;
}

static bool decode(const char *from, char *to, size_t to_bytes, bool of_query)
{
    size_t count = 0;
    for (; *from; ++from) {
        char c = of_query && *from == '+' ? ' ' : *from;
        if (*from == '%') {
            const int high = hex_digit(from[1]);
            const int low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || (high == 0 && low == 0)) return false;
            c = (char)(high * 16 + low);
            from += 2;
        }
        if (count + 1 >= to_bytes) return false;
        to[count++] = c;
    }
    to[count] = '\0';
    return is_plain_text(to);
}

bool http_target_path(const char *target, char *decoded, size_t decoded_bytes)
{
    const bool is_decoded = decode(target, decoded, decoded_bytes, false);
    if (!is_decoded) decoded[0] = '\0';
    return is_decoded;
}

/* What is decoded is never longer, so it is not ahead of what is read. */
static void decode_in_place(char *text)
{
    if (!decode(text, text, strlen(text) + 1, true)) text[0] = '\0';
}

char *http_target_decode_fields(struct http_field *fields, size_t count)
{
    size_t bytes = 1;
    for (size_t i = 0; i < count; ++i)
        bytes += strlen(fields[i].name) + strlen(fields[i].value) + 2;
    char *const text = malloc(bytes);
    char *to = text;
    for (size_t i = 0; text && i < count; ++i) {
        const char **const parts[] = {&fields[i].name, &fields[i].value};
        for (size_t k = 0; k < 2; ++k) {
            const size_t length = strlen(*parts[k]) + 1;
            memcpy(to, *parts[k], length);
            decode_in_place(to);
            *parts[k] = to;
            to += length;
        }
    }
    return text;
}
