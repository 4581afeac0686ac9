#include "base/utf8.h"

#include "check.h"

static bool valid(const char *text)
{
    return utf8_is_valid(text, strlen(text));
}

/* A second way, by the definition: the bits of a point below one another. */
static size_t encode(uint32_t point, char out[static 4])
{
    const size_t length = point < 0x80      ? 1
                          : point < 0x800   ? 2
                          : point < 0x10000 ? 3
                                            : 4;
    const uint32_t lead[] = {0, point, 0xC0 | point >> 6, 0xE0 | point >> 12,
                             0xF0 | point >> 18};
    out[0] = (char)lead[length];
    for (size_t i = 1; i < length; ++i)
        out[i] = (char)(0x80 | (point >> 6 * (length - 1 - i) & 0x3F));
    return length;
}

static void knows_every_character(void)
{
    for (uint32_t point = 0; point <= 0x120000; ++point) {
        char text[4];
        const size_t length = encode(point, text);
        const bool is_character =
            point <= 0x10FFFF && !(point >= 0xD800 && point <= 0xDFFF);
        const size_t expected = is_character ? length : 0;
        if (utf8_length(text, length) != expected)
            check_fail_at("U+%04X has length %zu, not %zu", point,
                          utf8_length(text, length), expected);
        char written[4];
        uint32_t decoded = 0;
        if (is_character) {
            check_int(utf8_encode(point, written), ==, length);
            check(memcmp(written, text, length) == 0);
            check_int(utf8_decode(text, length, &decoded), ==, length);
            check_int(decoded, ==, point);
        }
        if (length > 1) check_int(utf8_length(text, length - 1), ==, 0);
        if (is_character && length > 1) check_int(utf8_cut(text, length - 1), ==, 0);
        check_int(utf8_cut(text, length), ==, length);
    }
}

static void refuses_what_is_not(void)
{
    check(valid("") && valid("abc") && valid("caf\xc3\xa9 \xe6\x9a\x97\xe5\xae\xa4"));
    check(valid("\xf0\x9f\x8c\x85"));
    check(!valid("\x80"));
    check(!valid("a\xc3"));
    check(!valid("\xc0\xaf")); /* too long a form */
    check(!valid("\xe0\x80\xaf"));
    check(!valid("\xf0\x80\x80\xaf"));
    check(!valid("\xed\xa0\x80"));     /* a surrogate */
    check(!valid("\xf4\x90\x80\x80")); /* above the last */
    check(!valid("\xff"));
    check(!valid("\xe6\x9a"
                 "a"));
    check(utf8_is_valid("a\0b", 3));
}

static void cuts_between_characters(void)
{
    static const char text[] = "a\xc3\xa9\xe6\x9a\x97\xf0\x9f\x8c\x85z";
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t most = 0; most < sizeof expected / sizeof *expected; ++most)
        check_int(utf8_cut(text, most), ==, expected[most]);
    check_int(utf8_cut("ab\x80\x80\x80\x80", 6), ==, 6); /* no character: stays */
    check_int(utf8_cut("a\xe0\x80", 3), ==, 3);
    check_int(utf8_cut("a\xff", 2), ==, 2);
}

static void replaces_what_is_no_character(void)
{
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"\x80\x80",         1}, /* no first byte */
        {"\xc0\xaf",         1},
        {"\xed\xa0\x80",     1}, /* a surrogate: the first byte alone starts a character */
        {"\xe6\x9a"
         "a",       2},
        {"\xe6\x9a",         2}, /* the end */
        {"\xf0\x9f\x8c",     3},
        {"\xf0\x9f\x8c"
         "a",       3},
        {"\xf4\x90\x80\x80", 1}, /* above the last */
        {"\xff"
         "abc",     1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        uint32_t point = 0;
        check_int(utf8_decode(cases[i].text, strlen(cases[i].text), &point), ==,
                  cases[i].length);
        check_int(point, ==, UTF8_REPLACEMENT);
    }
}

int main(void)
{
    check_run(knows_every_character);
    check_run(refuses_what_is_not);
    check_run(cuts_between_characters);
    check_run(replaces_what_is_no_character);
    return check_done();
}
