#include "model/word_scan.h"

#include "base/utf8.h"
#include "model/code_point.h"

#include <string.h>

struct word_scan word_scan_at(const char *text, size_t bytes)
{
    uint32_t point;
    const size_t length = utf8_decode(text, bytes, &point);
    const enum code_point_class class = code_point_class((int32_t)point);
    return (struct word_scan){
        .bytes = length,
        .is_space = class == CODE_POINT_SPACE,
        .is_word =
            class == CODE_POINT_LETTER || class == CODE_POINT_NUMBER || point == '_',
    };
}

size_t word_scan_space(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        const struct word_scan here = word_scan_at(text + at, bytes - at);
        if (!here.is_space) break;
        at += here.bytes;
    }
    return at;
}

size_t word_scan_trimmed(const char *text, size_t bytes)
{
    size_t end = 0;
    for (size_t at = 0; at < bytes;) {
        const struct word_scan here = word_scan_at(text + at, bytes - at);
        at += here.bytes;
        if (!here.is_space) end = at;
    }
    return end;
}

/* Does a word character end before text[at]? */
static bool follows_word(const char *text, size_t at)
{
    size_t first = at > 4 ? at - 4 : 0;
    /* From a byte that begins a character. */
    while (first < at && ((unsigned char)text[first] & 0xC0) == 0x80)
        ++first;
    bool is_word = false;
    while (first < at) {
        const struct word_scan here = word_scan_at(text + first, at - first);
        is_word = here.is_word;
        first += here.bytes;
    }
    return is_word;
}

size_t word_scan_find(const char *text, size_t bytes, size_t from, const char *word)
{
    const size_t length = strlen(word);
    for (size_t at = from; at + length <= bytes; ++at) {
        const char *const next = memchr(text + at, word[0], bytes - at - length + 1);
        if (!next) break;
        at = (size_t)(next - text);
        if (memcmp(next, word, length) != 0 || follows_word(text, at)) continue;
        const size_t end = at + length;
        if (end == bytes || !word_scan_at(text + end, bytes - end).is_word) return at;
    }
    return bytes;
}
