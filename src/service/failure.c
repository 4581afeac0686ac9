#include "service/failure.h"

#include <stdarg.h>
#include <stdio.h>

enum dr_code failure(struct dr_error *err, enum dr_code code, const char *format, ...)
{
    if (!err) return code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    err->code = code;
    return code;
}

enum dr_code failure_memory(struct dr_error *err, const char *what)
{
    return failure(err, DR_NOMEM, "there is no memory for %s", what);
}
