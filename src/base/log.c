#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"warning", "job", "step", "detail"};
    return names[level];
}

struct log_sink log_child(const struct log_sink *sink, const char *name)
{
    struct log_sink child = sink ? *sink : (struct log_sink){0};
    child.name = name;
    return child;
}

void log_write(const struct log_sink *sink, enum log_level level, const char *format,
               ...)
{
    if (!sink || !sink->write || level > sink->most) return;
    char text[LOG_BYTES];
    va_list arguments;
    va_start(arguments, format);
    const int needed = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (needed < 0) return;
    if ((size_t)needed >= sizeof text) text[utf8_cut(text, sizeof text - 1)] = '\0';
    sink->write(sink->cookie, level, sink->name, text);
}
