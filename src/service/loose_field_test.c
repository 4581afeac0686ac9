#include "service/loose_field.h"

#include "check.h"

/* {"x": VALUE}; the caller releases it. */
static json_t *field(const char *value)
{
    char text[256];
    (void)snprintf(text, sizeof text, "{\"x\":%s}", value);
    json_t *const object = json_loads(text, 0, NULL);
    check(object != NULL);
    return object;
}

/* What is read of VALUE, from -10 to 1000; -77 where it was left, -99 where it was refused. */
static int64_t integer_of(const char *value)
{
    json_t *const object = field(value);
    struct dr_error err = {0};
    int64_t out = -77;
    const enum dr_code code = loose_integer(object, "x", -10, 1000, &out, &err);
    if (code != DR_OK) {
        check_int(code, ==, DR_BAD_INPUT);
        check_int(err.code, ==, DR_BAD_INPUT);
        check_int(out, ==, -77);
        check_has(err.message, "x is ");
        out = -99;
    }
    json_decref(object);
    return out;
}

static void whole_numbers_come_as_text_and_as_reals(void)
{
    check_int(integer_of("64"), ==, 64);
    check_int(integer_of("64.0"), ==, 64);
    check_int(integer_of("\"64\""), ==, 64);
    check_int(integer_of("\" 64 \""), ==, 64);
    check_int(integer_of("\"64.0\""), ==, 64);
    check_int(integer_of("\"-1\""), ==, -1);
    check_int(integer_of("-10"), ==, -10);
    check_int(integer_of("true"), ==, 1);
    check_int(integer_of("false"), ==, 0);
    check_int(integer_of("null"), ==, -77);
    check_int(integer_of("\"\""), ==, -77);
}

static void what_is_no_whole_number_is_refused(void)
{
    static const char *const wrong[] = {
        "1001",     "-11",   "1.5",       "\"abc\"",
        "\"64px\"", "[64]",  "{\"a\":1}", "\"9223372036854775808\"",
        "1e300",    "1e-40", "\"1.5\"",   "\"nan\"",
        "\" \""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
        check_int(integer_of(wrong[i]), ==, -99);
}

static double real_of(const char *value)
{
    json_t *const object = field(value);
    struct dr_error err;
    double out = -77;
    if (loose_real(object, "x", 0, 30, &out, &err) != DR_OK) {
        check_real(out, ==, -77);
        out = -99;
    }
    json_decref(object);
    return out;
}

static void numbers_come_as_text(void)
{
    check_real(real_of("7.5"), ==, 7.5);
    check_real(real_of("7"), ==, 7);
    check_real(real_of("\"7.5\""), ==, 7.5);
    check_real(real_of("null"), ==, -77);
    check_real(real_of("\"\""), ==, -77);
    check_real(real_of("\"NaN\""), ==, -99);
    check_real(real_of("\"inf\""), ==, -99);
    check_real(real_of("30.1"), ==, -99);
    check_real(real_of("\"7,5\""), ==, -99);
    check_real(real_of("true"), ==, -99);
    check_real(real_of("[]"), ==, -99);
}

/* 'y', 'n', '-' where it was left, '!' where it was refused. */
static char flag_of(const char *value)
{
    json_t *const object = field(value);
    struct dr_error err;
    bool yes = true, no = false;
    const enum dr_code code = loose_flag(object, "x", &yes, &err);
    check_int(loose_flag(object, "x", &no, &err), ==, code);
    json_decref(object);
    if (code != DR_OK) return '!';
    return yes != no ? '-' : yes ? 'y' : 'n';
}

static void flags_come_as_numbers_and_text(void)
{
    static const struct {
        const char *value;
        char is;
    } cases[] = {
        {"true",            'y'},
        {"1",               'y'},
        {"1.0",             'y'},
        {"\"True\"",        'y'},
        {"\"1\"",           'y'},
        {"false",           'n'},
        {"0",               'n'},
        {"0.0",             'n'},
        {"\"false\"",       'n'},
        {"\"0\"",           'n'},
        {"null",            '-'},
        {"\"\"",            '-'},
        {"2",               '!'},
        {"-1",              '!'},
        {"\"yes, please\"", '!'},
        {"{\"a\":[]}",      '!'},
        {"[]",              '!'}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_int(flag_of(cases[i].value), ==, cases[i].is);
}

static void text_is_text(void)
{
    struct dr_error err;
    const char *out = "as it was";
    json_t *object = field("null");
    check_int(loose_text(object, "x", &out, &err), ==, DR_OK);
    check_int(loose_text(object, "y", &out, &err), ==, DR_OK);
    check_int(loose_text(NULL, "y", &out, &err), ==, DR_OK);
    check_str(out, "as it was");
    json_decref(object);
    object = field("5");
    check_int(loose_text(object, "x", &out, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "x is 5; it takes text");
    json_decref(object);
    object = field("\"Euler a\"");
    check_int(loose_text(object, "x", &out, &err), ==, DR_OK);
    check_str(out, "Euler a");
    json_decref(object);
}

/* The seed as text; "any", "refused". */
static const char *seed_of(const char *value)
{
    static char text[32];
    struct dr_error err;
    bool is_given = true;
    uint64_t seed = 7;
    json_t *const object = field(value);
    const enum dr_code code = loose_seed(object, "x", &is_given, &seed, &err);
    json_decref(object);
    if (code != DR_OK || !is_given) check_int(seed, ==, 7);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return code != DR_OK ? "refused" : is_given ? text : "any";
}

static void seeds_have_all_64_bits(void)
{
    check_str(seed_of("5"), "5");
    check_str(seed_of("5.0"), "5");
    check_str(seed_of("\"5\""), "5");
    check_str(seed_of("1099511627776"), "1099511627776");
    check_str(seed_of("\"18446744073709551615\""), "18446744073709551615");
    check_str(seed_of("-1"), "any");
    check_str(seed_of("-1.0"), "any");
    check_str(seed_of("\"-1\""), "any");
    check_str(seed_of("\"-1.0\""), "any");
    check_str(seed_of("\"\""), "any");
    check_str(seed_of("null"), "any");
    check_str(seed_of("\"18446744073709551616\""), "refused");
    check_str(seed_of("1e30"), "refused");
    check_str(seed_of("5.5"), "refused");
    check_str(seed_of("\"seed\""), "refused");
    check_str(seed_of("true"), "refused");
    check_str(seed_of("[5]"), "refused");
}

static void a_message_shows_a_short_value(void)
{
    char value[200];
    struct dr_error err;
    int64_t out;
    memset(value, 'a', sizeof value);
    value[0] = value[198] = '"';
    value[199] = '\0';
    value[5] = '\xC3'; /* a character of two bytes */
    value[6] = '\xA9';
    json_t *const object = field(value);
    check_int(loose_integer(object, "width", 1, 2, &out, &err), ==, DR_OK);
    check_int(loose_integer(object, "x", 1, 2, &out, &err), ==, DR_BAD_INPUT);
    check_str(
        err.message,
        "x is \"aaaa\\u00E9aaaaaaaaaaaaaaaaaaaaaaaaa...; it takes a whole number of "
        "1 to 2");
    json_decref(object);
}

int main(void)
{
    check_run(whole_numbers_come_as_text_and_as_reals);
    check_run(what_is_no_whole_number_is_refused);
    check_run(numbers_come_as_text);
    check_run(flags_come_as_numbers_and_text);
    check_run(text_is_text);
    check_run(seeds_have_all_64_bits);
    check_run(a_message_shows_a_short_value);
    return check_done();
}
