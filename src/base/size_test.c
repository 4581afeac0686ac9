#include "base/size.h"

#include "check.h"

static void adds_and_multiplies_without_overflow(void)
{
    size_t out = 7;
    check(size_add(1, 2, &out) && out == 3);
    check(size_mul(3, 4, &out) && out == 12);
    check(size_add(SIZE_MAX, 0, &out) && out == SIZE_MAX);
    check(!size_add(SIZE_MAX, 1, &out));
    check(!size_mul(SIZE_MAX / 2 + 1, 2, &out));
    check(size_mul(SIZE_MAX, 0, &out) && out == 0);
}

static void aligns(void)
{
    check_int(size_align(0, 64), ==, 0);
    check_int(size_align(1, 64), ==, 64);
    check_int(size_align(64, 64), ==, 64);
    check_int(size_align(65, 64), ==, 128);
}

static void parses(void)
{
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {
        {"0",                                   0                 },
        {"4096",                                4096              },
        {"512M",                                (size_t)512 << 20 },
        {"512m",                                (size_t)512 << 20 },
        {"512MB",                               (size_t)512 << 20 },
        {"512MiB",                              (size_t)512 << 20 },
        {"512mib",                              (size_t)512 << 20 },
        {"1.5G",                                (size_t)3 << 29   },
        {"0.001K",                              1                 },
        {"0.999K",                              1022              },
        {"2.30G",                               2469606195        },
        {"7B",                                  7                 },
        {"1K",                                  1024              },
        {"3T",                                  (size_t)3 << 40   },
        {"18446744073709551615",                SIZE_MAX          },
        {"16777215.9999999999999999999999999T", 0xFFFFFFFFFFFFFFFF},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        size_t bytes = 1234567;
        if (!size_parse(good[i].text, &bytes) || bytes != good[i].bytes)
            check_fail_at("%s parsed as %zu, not %zu", good[i].text, bytes,
                          good[i].bytes);
    }
}

static void refuses_what_is_no_size(void)
{
    static const char *const bad[] = {
        "",          " 1",
        "1 ",        "-1",
        "+1",        "M",
        ".5G",       "1.G",
        "1.5",       "1.5B",
        "1Ki",       "1KK",
        "1KBB",      "1iB",
        "1X",        "1e3",
        "0x10",      "1,5G",
        "inf",       "nan",
        "1.5.5G",    "18446744073709551616",
        "16777216T", "99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        size_t bytes = 1234567;
        if (size_parse(bad[i], &bytes)) check_fail_at("\"%s\" was accepted", bad[i]);
        check_int(bytes, ==, 1234567);
    }
}

static void formats(void)
{
    static const struct {
        size_t bytes;
        const char *text;
    } cases[] = {
        {0,                "0 B"       },
        {1023,             "1023 B"    },
        {1024,             "1.00 KiB"  },
        {1536,             "1.50 KiB"  },
        {10 * 1024 - 1,    "10.0 KiB"  },
        {1024 * 1024 - 1,  "1.00 MiB"  },
        {1023 * 1024,      "1023.0 KiB"},
        {175400000,        "167.3 MiB" },
        {(size_t)16 << 40, "16.0 TiB"  },
        {SIZE_MAX,         "16.0 EiB"  },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[16];
        check_str(size_format(cases[i].bytes, text), cases[i].text);
    }
}

/* What is formatted parses back to within the rounding of its last digit. */
static void round_trips(void)
{
    for (unsigned shift = 0; shift < 44; ++shift) {
        for (size_t step = 0; step < 997; step += 83) {
            const size_t bytes = ((size_t)1 << shift) + (step << shift) / 997;
            char text[16], packed[16];
            size_t length = 0;
            for (const char *c = size_format(bytes, text); *c; ++c)
                if (*c != ' ') packed[length++] = *c;
            packed[length] = '\0';
            size_t again = 0;
            check(size_parse(packed, &again));
            const size_t off = again > bytes ? again - bytes : bytes - again;
            if (off * 190 > bytes) check_fail_at("%zu came back as %zu", bytes, again);
        }
    }
}

int main(void)
{
    check_run(adds_and_multiplies_without_overflow);
    check_run(aligns);
    check_run(parses);
    check_run(refuses_what_is_no_size);
    check_run(formats);
    check_run(round_trips);
    return check_done();
}
