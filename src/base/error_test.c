#include "base/error.h"

#include <errno.h>

#include "base/utf8.h"
#include "check.h"

static void fills_and_returns_the_code(void)
{
    struct dr_error err = {0};
    check_int(error_set(&err, DR_CORRUPT, "%s: %d tensors", "a.safetensors", 7), ==,
              DR_CORRUPT);
    check_int(err.code, ==, DR_CORRUPT);
    check_str(err.message, "a.safetensors: 7 tensors");
    check_int(error_set(NULL, DR_BUSY, "%d", 1), ==, DR_BUSY);
    check_int(error_set_errno(NULL, DR_IO, ENOENT, "x"), ==, DR_IO);
    error_prefix(NULL, "x");
}

static void adds_the_systems_words(void)
{
    struct dr_error err = {0};
    check_int(error_set_errno(&err, DR_IO, ENOENT, "cannot read %s", "x"), ==, DR_IO);
    check_str(err.message, "cannot read x: No such file or directory");
    error_prefix(&err, "slot %s", "vae");
    check_str(err.message, "slot vae: cannot read x: No such file or directory");
    check_int(err.code, ==, DR_IO);
}

/* Around the field's end, whatever was written: terminated, valid, and as long as can be. */
static void cuts_long_messages_at_a_character(void)
{
    static char text[2 * sizeof(((struct dr_error *)NULL)->message)];
    for (size_t shift = 0; shift < 8; ++shift) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x8c\x85", 4);
        text[sizeof text - 1] = '\0';
        struct dr_error err = {0};
        error_set(&err, DR_FAILED, "%s", text);
        const size_t length = strlen(err.message);
        check(utf8_is_valid(err.message, length));
        check_int(length, >=, sizeof err.message - 4);
        error_prefix(&err, "%.*s", (int)shift, "12345678");
        check(utf8_is_valid(err.message, strlen(err.message)));
        error_set_errno(&err, DR_IO, EIO, "%s", text);
        check(utf8_is_valid(err.message, strlen(err.message)));
    }
    /* A byte that is no character at the very end is left alone, not taken for half a one. */
    struct dr_error err = {0};
    memset(text, 'x', sizeof text);
    text[sizeof err.message - 2] = '\xff';
    text[sizeof text - 1] = '\0';
    error_set(&err, DR_FAILED, "%s", text);
    check_int(strlen(err.message), ==, sizeof err.message - 1);
}

static void every_code_has_its_names(void)
{
    check_str(dr_code_name(DR_OVER_BUDGET), "over_budget");
    check_int(dr_code_exit(DR_OK), ==, 0);
    check_int(dr_code_exit(DR_CANCELLED), ==, 130);
    check_int(dr_code_http(DR_NOT_FOUND), ==, 404);
#define X(name, text, http, exit_code)            \
    check_str(dr_code_name(DR_##name), text);     \
    check_int(dr_code_http(DR_##name), ==, http); \
    check_int(dr_code_exit(DR_##name), ==, exit_code);
    DR_CODES(X)
#undef X
}

int main(void)
{
    check_run(fills_and_returns_the_code);
    check_run(adds_the_systems_words);
    check_run(cuts_long_messages_at_a_character);
    check_run(every_code_has_its_names);
    return check_done();
}
