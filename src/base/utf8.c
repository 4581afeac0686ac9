#include "base/utf8.h"

/* What the second byte may be depends on the first; all others are 80..BF. */
struct lead {
    unsigned char first, last; /* of the first byte */
    unsigned char second_low, second_high;
    unsigned char length;
};

static const struct lead leads[] = {
    {0x00, 0x7F, 0,    0,    1},
    {0xC2, 0xDF, 0x80, 0xBF, 2},
    {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3},
    {0xED, 0xED, 0x80, 0x9F, 3},
    {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4},
    {0xF1, 0xF3, 0x80, 0xBF, 4},
    {0xF4, 0xF4, 0x80, 0x8F, 4},
};

/* NULL for a byte that begins no character. */
static const struct lead *find_lead(unsigned char first)
{
    for (size_t i = 0; i < sizeof leads / sizeof *leads; ++i)
        if (first >= leads[i].first && first <= leads[i].last) return &leads[i];
    return NULL;
}

/* How many of the character's bytes are there, the first among them, before one that cannot follow. */
static size_t count_bytes(const struct lead *lead, const unsigned char *text,
                          size_t bytes)
{
    if (bytes < 2 || lead->length < 2 || text[1] < lead->second_low ||
        text[1] > lead->second_high)
        return 1;
    size_t at = 2;
    while (at < bytes && at < lead->length && (text[at] & 0xC0) == 0x80)
        ++at;
    return at;
}

size_t utf8_length(const char *text, size_t bytes)
{
    if (bytes == 0) return 0;
    const unsigned char *const start = (const unsigned char *)text;
    const struct lead *const lead = find_lead(start[0]);
    return lead && count_bytes(lead, start, bytes) == lead->length ? lead->length : 0;
}

bool utf8_is_valid(const char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        const size_t length = utf8_length(text + at, bytes - at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

size_t utf8_cut(const char *text, size_t bytes)
{
    for (size_t back = 1; back <= 3 && back <= bytes; ++back) {
        const unsigned char *const start = (const unsigned char *)text + bytes - back;
        const struct lead *const lead = find_lead(*start);
        if (lead && lead->length > back && count_bytes(lead, start, back) == back)
            return bytes - back;
        if ((*start & 0xC0) != 0x80) break;
    }
    return bytes;
}

size_t utf8_decode(const char *text, size_t bytes, uint32_t *point)
{
    const unsigned char *const start = (const unsigned char *)text;
    const struct lead *const lead = find_lead(start[0]);
    *point = UTF8_REPLACEMENT;
    if (!lead) return 1;
    const size_t length = count_bytes(lead, start, bytes);
    if (length < lead->length) return length;
    uint32_t value = length == 1 ? start[0] : start[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; ++i)
        value = value << 6 | (start[i] & 0x3F);
    *point = value;
    return length;
}

size_t utf8_encode(uint32_t point, char out[static 4])
{
    static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    const size_t length = point < 0x80      ? 1
                          : point < 0x800   ? 2
                          : point < 0x10000 ? 3
                                            : 4;
    if (length == 1) {
        out[0] = (char)point;
        return 1;
    }
    for (size_t i = length - 1; i > 0; --i, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3F));
    out[0] = (char)(marks[length] | point);
    return length;
}
