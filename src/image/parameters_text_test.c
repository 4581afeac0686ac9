#include "image/parameters_text.h"

#include "check.h"

static void clean_keeps_valid_text(void)
{
    static const char text[] =
        "a\n\t\x7f é ☃ 🌅 \xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80";
    char *const clean = parameters_text_clean(text, sizeof text - 1);
    check_str(clean, text);
    free(clean);
    char *const empty = parameters_text_clean("", 0);
    check_str(empty, "");
    free(empty);
}

static void clean_replaces_wrong_bytes(void)
{
    static const struct {
        const char *wrong, *clean;
    } cases[] = {
        {"a\xff"
         "b",       "a\xef\xbf\xbd"
         "b"                                             },
        {"\x80",             "\xef\xbf\xbd"                                    },
        {"\xc0\x80",         "\xef\xbf\xbd\xef\xbf\xbd"                        }, /* overlong NUL */
        {"\xc3",             "\xef\xbf\xbd"                                    }, /* cut */
        {"\xe2\x98",         "\xef\xbf\xbd\xef\xbf\xbd"                        }, /* cut */
        {"\xed\xa0\x80",     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"            }, /* a surrogate */
        {"\xe0\x80\xaf",     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"            }, /* overlong */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2x",            "\xef\xbf\xbdx"                                   },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char *const clean =
            parameters_text_clean(cases[i].wrong, strlen(cases[i].wrong));
        check_str(clean, cases[i].clean);
        free(clean);
    }
}

static void latin1_both_ways(void)
{
    char latin1[256];
    for (int i = 1; i < 256; ++i)
        latin1[i - 1] = (char)(uint8_t)i;
    latin1[255] = '\0';
    char *const utf8 = parameters_text_from_latin1(latin1, 255);
    bool fits = false;
    char *const back = parameters_text_to_latin1(utf8, &fits);
    check(fits);
    check_str(back, latin1);
    check_int(strlen(utf8), ==, 127 + 2 * 128);
    free(back);
    free(utf8);
    static const char *const unfit[] = {"Ā", "☃", "🌅", "\xff"};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; ++i) {
        check(parameters_text_to_latin1(unfit[i], &fits) == NULL);
        check(!fits);
    }
}

/* Every character goes to UTF-16 and back. */
static void utf16_both_ways(void)
{
    for (uint32_t c = 1; c <= 0x10FFFF; c += c < 0x11000 ? 1 : 61) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        char text[5] = {0};
        if (c < 0x80) {
            text[0] = (char)c;
        } else if (c < 0x800) {
            text[0] = (char)(0xC0 | c >> 6);
            text[1] = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            text[0] = (char)(0xE0 | c >> 12);
            text[1] = (char)(0x80 | (c >> 6 & 0x3F));
            text[2] = (char)(0x80 | (c & 0x3F));
        } else {
            text[0] = (char)(0xF0 | c >> 18);
            text[1] = (char)(0x80 | (c >> 12 & 0x3F));
            text[2] = (char)(0x80 | (c >> 6 & 0x3F));
            text[3] = (char)(0x80 | (c & 0x3F));
        }
        const char *next = text;
        size_t left = strlen(text);
        if (parameters_text_next(&next, &left) != c || left != 0)
            check_fail_at("U+%04X is not read from UTF-8", c);
        uint8_t units[4];
        const size_t bytes = parameters_text_utf16_bytes(text);
        const bool is_mark =
            c == 0xFEFF || c == 0xFFFE; /* as a byte order; it has one before it */
        if (bytes != (c < 0x10000 && !is_mark ? 2u : 4u))
            check_fail_at("U+%04X: %zu bytes", c, bytes);
        parameters_text_to_utf16_into(text, units);
        char *const back = parameters_text_from_utf16(units, bytes, BIG_ENDIAN_UNITS);
        if (!back || strcmp(back, text) != 0)
            check_fail_at("U+%04X does not return", c);
        free(back);
    }
}

static void utf16_orders_and_marks(void)
{
    static const struct {
        const char *data;
        size_t bytes;
        enum byte_order order;
        const char *text;
    } cases[] = {
        {"\0h\0i",           4, BIG_ENDIAN_UNITS,    "hi"           },
        {"h\0i\0",           4, LITTLE_ENDIAN_UNITS, "hi"           },
        {"\xfe\xff\0h",      4, LITTLE_ENDIAN_UNITS, "h"            },
        {"\xff\xfeh\0",      4, BIG_ENDIAN_UNITS,    "h"            },
        {"\0h\0\0\0i",       6, BIG_ENDIAN_UNITS,    "h"            }, /* ends at NUL */
        {"\0h\0",            3, BIG_ENDIAN_UNITS,    "h"            }, /* an odd byte is left */
        {"\xd8\x3c\xdf\x05", 4, BIG_ENDIAN_UNITS,    "🌅"         },
        {"\xd8\x3c",         2, BIG_ENDIAN_UNITS,    "\xef\xbf\xbd" }, /* half a pair */
        {"\xdf\x05\0x",      4, BIG_ENDIAN_UNITS,    "\xef\xbf\xbdx"},
        {"\xd8\x3c\0x",      4, BIG_ENDIAN_UNITS,    "\xef\xbf\xbdx"},
        {"",                 0, BIG_ENDIAN_UNITS,    ""             },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char *const text = parameters_text_from_utf16((const uint8_t *)cases[i].data,
                                                      cases[i].bytes, cases[i].order);
        check_str(text, cases[i].text);
        free(text);
    }
}

int main(void)
{
    check_run(clean_keeps_valid_text);
    check_run(clean_replaces_wrong_bytes);
    check_run(latin1_both_ways);
    check_run(utf16_both_ways);
    check_run(utf16_orders_and_marks);
    return check_done();
}
