#include "service/body_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/loose_field.h"

enum {
    STATUS_WRONG = 422,
    SENTENCE_BYTES = 200
};

struct body_reader body_reader_init(const json_t *value, char *warnings,
                                    size_t warnings_bytes,
                                    struct a1111_refusal *refusal)
{
    struct body_reader reader = {.body = json_is_object(value) ? value : NULL,
                                 .warnings = warnings,
                                 .warnings_bytes = warnings_bytes,
                                 .refusal = refusal};
    *refusal = (struct a1111_refusal){0};
    if (value && !reader.body && !json_is_null(value))
        body_refuse(&reader, STATUS_WRONG, DR_BAD_INPUT, NULL,
                    "the body is not an object of names and values");
    return reader;
}

void body_refuse(struct body_reader *reader, int status, enum dr_code code,
                 const char *field, const char *format, ...)
{
    struct a1111_refusal *const refusal = reader->refusal;
    va_list arguments;
    if (reader->code != DR_OK) return;
    reader->code = refusal->err.code = code;
    refusal->status = status;
    refusal->field = field;
    va_start(arguments, format);
    (void)vsnprintf(refusal->err.message, sizeof refusal->err.message, format,
                    arguments);
    va_end(arguments);
}

void body_take(struct body_reader *reader, const char *field, enum dr_code code)
{
    if (reader->code != DR_OK || code == DR_OK) return;
    reader->code = code;
    reader->refusal->field = field;
    reader->refusal->status = code == DR_BAD_INPUT ? STATUS_WRONG : dr_code_http(code);
}

void body_warn(struct body_reader *reader, const char *format, ...)
{
    char sentence[SENTENCE_BYTES];
    const size_t used = strlen(reader->warnings);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (used + strlen(sentence) + 2 < reader->warnings_bytes)
        (void)snprintf(reader->warnings + used, reader->warnings_bytes - used, "%s%s",
                       used ? "; " : "", sentence);
}

const json_t *body_member(const struct body_reader *reader, const char *name)
{
    const json_t *const value = json_object_get(reader->body, name);
    return reader->code != DR_OK || json_is_null(value) ? NULL : value;
}

void body_integer(struct body_reader *reader, const char *name, int32_t least,
                  int32_t most, int32_t *out)
{
    int64_t value = *out;
    if (reader->code != DR_OK) return;
    body_take(reader, name,
              loose_integer(reader->body, name, least, most, &value,
                            &reader->refusal->err));
    *out = (int32_t)value;
}

void body_real(struct body_reader *reader, const char *name, double least, double most,
               double *out)
{
    if (reader->code != DR_OK) return;
    body_take(reader, name,
              loose_real(reader->body, name, least, most, out, &reader->refusal->err));
}

bool body_flag(struct body_reader *reader, const char *name, bool fallback)
{
    bool flag = fallback;
    if (reader->code != DR_OK) return fallback;
    body_take(reader, name,
              loose_flag(reader->body, name, &flag, &reader->refusal->err));
    return flag;
}

const char *body_text(struct body_reader *reader, const char *name)
{
    const char *text = "";
    if (reader->code != DR_OK) return text;
    body_take(reader, name,
              loose_text(reader->body, name, &text, &reader->refusal->err));
    return text;
}
