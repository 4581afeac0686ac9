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

/* Do the bytes behind the first, at most as many as there are, go on as they must? */
static bool goes_on(const struct lead *lead, const unsigned char *text, size_t bytes)
{
    if (bytes > 1 && lead->length > 1 &&
        (text[1] < lead->second_low || text[1] > lead->second_high))
        return false;
    for (size_t at = 2; at < bytes && at < lead->length; ++at)
        if ((text[at] & 0xC0) != 0x80) return false;
    return true;
}

size_t utf8_length(const char *text, size_t bytes)
{
    if (bytes == 0) return 0;
    const unsigned char *const start = (const unsigned char *)text;
    const struct lead *const lead = find_lead(start[0]);
    if (!lead || lead->length > bytes || !goes_on(lead, start, bytes)) return 0;
    return lead->length;
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
        if (lead && lead->length > back && goes_on(lead, start, back))
            return bytes - back;
        if ((*start & 0xC0) != 0x80) break;
    }
    return bytes;
}
