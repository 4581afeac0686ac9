#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

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

/* A message that filled its field may end in the middle of a character. */
static void cut_whole(char *text, size_t capacity)
{
    const size_t length = strlen(text);
    if (length + 1 == capacity) text[utf8_cut(text, length)] = '\0';
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
    (void)snprintf(err->message + used, sizeof err->message - used, ": %s",
                   old.message);
    cut_whole(err->message, sizeof err->message);
}
