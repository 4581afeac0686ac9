#include "base/size.h"

#include <stdio.h>

/* The power of two that a suffix stands for ("K", "MiB", "GB", "B", ""), or -1. */
static int suffix_shift(const char *text)
{
    static const char letters[] = "KMGT";
    int shift = 0;
    const char upper = (char)(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
    for (int i = 0; letters[i]; ++i) {
        if (upper != letters[i]) continue;
        shift = 10 * (i + 1);
        ++text;
        if (*text == 'i' || *text == 'I') {
            ++text;
            if (*text != 'b' && *text != 'B') return -1;
        }
        break;
    }
    if (*text == 'b' || *text == 'B') ++text;
    return *text ? -1 : shift;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool size_parse(const char *text, size_t *out)
{
    size_t whole = 0;
    if (!is_digit(*text)) return false;
    for (; is_digit(*text); ++text) {
        if (!size_mul(whole, 10, &whole)) return false;
        if (!size_add(whole, (size_t)(*text - '0'), &whole)) return false;
    }

    const char *fraction = NULL, *fraction_end = NULL;
    if (*text == '.') {
        fraction = ++text;
        while (is_digit(*text))
            ++text;
        fraction_end = text;
        if (fraction == fraction_end) return false;
    }

    const int shift = suffix_shift(text);
    if (shift < 0 || (fraction && shift == 0)) return false;
    const size_t unit = (size_t)1 << shift;

    /* floor(0.d1d2... x unit), exact: nested floors of a division are the floor. */
    size_t part = 0;
    for (const char *digit = fraction_end; digit > fraction; --digit)
        part = ((size_t)(digit[-1] - '0') * unit + part) / 10;

    size_t bytes;
    if (!size_mul(whole, unit, &bytes) || !size_add(bytes, part, &bytes)) return false;
    *out = bytes;
    return true;
}

/* Integers throughout: printf's %f would write the decimal comma of the user's locale. */
char *size_format(size_t bytes, char out[static 16])
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(out, 16, "%u B", (unsigned)bytes);
        return out;
    }
    int unit = 1;
    while (unit < 6 && bytes >> (10 * (unit + 1)))
        ++unit;

    /* The value in 1/1024 of the unit, then in tenths and hundredths, rounded. */
    size_t parts = bytes >> (10 * (unit - 1));
    if (parts * 10 + 512 >= 1024 * 10240 && unit < 6) {
        parts = 1024;
        ++unit;
    }
    const size_t hundredths = (parts * 100 + 512) / 1024;
    if (hundredths < 1000) {
        (void)snprintf(out, 16, "%u.%02u %s", (unsigned)(hundredths / 100),
                       (unsigned)(hundredths % 100), units[unit]);
    } else {
        const size_t tenths = (parts * 10 + 512) / 1024;
        (void)snprintf(out, 16, "%u.%u %s", (unsigned)(tenths / 10),
                       (unsigned)(tenths % 10), units[unit]);
    }
    return out;
}
