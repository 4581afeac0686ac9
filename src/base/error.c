#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int http, exit_code;
} codes[] = {
#define X(name, text, http, exit_code) [DR_##name] = {text, http, exit_code},
    DR_CODES(X)
#undef X
};

const char *dr_code_name(enum dr_code code)
{
    return codes[code].name;
}

int dr_code_exit(enum dr_code code)
{
    return codes[code].exit_code;
}

int dr_code_http(enum dr_code code)
{
    return codes[code].http;
}

/* Cut a UTF-8 string that filled its buffer back to its last whole character. */
static void cut_whole(char *text, size_t capacity)
{
    size_t end = strlen(text);
    if (end + 1 < capacity) return;
    size_t start = end;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        --start;
    if (start == 0) return;
    const unsigned char lead = (unsigned char)text[start - 1];
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (start - 1 + length > end) text[start - 1] = '\0';
}

static void set_message(struct dr_error *err, enum dr_code code, const char *format,
                        va_list arguments)
{
    err->code = code;
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    cut_whole(err->message, sizeof err->message);
}

enum dr_code error_set(struct dr_error *err, enum dr_code code, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        set_message(err, code, format, arguments);
        va_end(arguments);
    }
    return code;
}

enum dr_code error_set_errno(struct dr_error *err, enum dr_code code, int errno_value,
                             const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        set_message(err, code, format, arguments);
        va_end(arguments);
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s",
                       strerror(errno_value));
        cut_whole(err->message, sizeof err->message);
    }
    return code;
}

void error_prefix(struct dr_error *err, const char *format, ...)
{
    if (!err) return;
    struct dr_error old = *err;
    va_list arguments;
    va_start(arguments, format);
    set_message(err, old.code, format, arguments);
    va_end(arguments);
    const size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof err->message - used, ": %s", old.message);
    cut_whole(err->message, sizeof err->message);
}
