#include "service/loose_field.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/failure.h"

enum {
    SHOWN_BYTES = 40 /* of a value in a message */
};

/* A value for a message: shortened at a character's border, without control characters. */
static const char *show(const json_t *value, char text[static SHOWN_BYTES])
{
    char *const json =
        json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    const size_t length = json ? strlen(json) : 0;
    const bool is_long = length >= SHOWN_BYTES;
    (void)snprintf(text, SHOWN_BYTES, "%.*s%s",
                   (int)(is_long ? SHOWN_BYTES - 4 : length), json ? json : "",
                   is_long ? "..." : "");
    free(json);
    return text;
}

/* The member that a field has; NULL where it is not given. */
static const json_t *given(const json_t *object, const char *name)
{
    const json_t *const value = json_object_get(object, name);
    if (!value || json_is_null(value)) return NULL;
    return json_is_string(value) && json_string_length(value) == 0 ? NULL : value;
}

/* The text of a number, without the blanks around it; false where there is anything else. */
static bool text_is_number(const char *text, const char *end)
{
    return end != text && end[strspn(end, " \t\r\n")] == '\0';
}

/* ---- whole numbers ----------------------------------------------------------------------- */

static bool read_integer(const json_t *value, int64_t *out)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER: *out = json_integer_value(value); return true;
    case JSON_TRUE: *out = 1; return true;
    case JSON_FALSE: *out = 0; return true;
    case JSON_REAL:
    case JSON_STRING: break;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_NULL: return false;
    }
    double real = json_real_value(value);
    if (json_is_string(value)) {
        const char *const text = json_string_value(value);
        char *end;
        errno = 0;
        *out = strtoll(text, &end, 10);
        if (text_is_number(text, end)) return errno == 0;
        real = strtod(text, &end); /* "20.0" */
        if (!text_is_number(text, end)) return false;
    }
    if (!(fabs(real) <= 9e15) || trunc(real) != real) return false;
    *out = (int64_t)real;
    return true;
}

enum dr_code loose_integer(const json_t *object, const char *name, int64_t least,
                           int64_t most, int64_t *out, struct dr_error *err)
{
    char shown[SHOWN_BYTES];
    int64_t number;
    const json_t *const value = given(object, name);
    if (!value) return DR_OK;
    if (!read_integer(value, &number) || number < least || number > most)
        return failure(err, DR_BAD_INPUT,
                       "%s is %s; it takes a whole number of %lld to %lld", name,
                       show(value, shown), (long long)least, (long long)most);
    *out = number;
    return DR_OK;
}

/* ---- numbers ----------------------------------------------------------------------------- */

static bool read_real(const json_t *value, double *out)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    if (!json_is_string(value)) return false;
    const char *const text = json_string_value(value);
    char *end;
    *out = strtod(text, &end);
    return text_is_number(text, end);
}

enum dr_code loose_real(const json_t *object, const char *name, double least,
                        double most, double *out, struct dr_error *err)
{
    char shown[SHOWN_BYTES];
    double number;
    const json_t *const value = given(object, name);
    if (!value) return DR_OK;
    /* Written so that NaN, which text may name, is refused. */
    if (!read_real(value, &number) || !(number >= least && number <= most))
        return failure(err, DR_BAD_INPUT, "%s is %s; it takes a number of %g to %g",
                       name, show(value, shown), least, most);
    *out = number;
    return DR_OK;
}

/* ---- flags ------------------------------------------------------------------------------- */

static bool read_flag(const json_t *value, bool *out)
{
    if (json_is_number(value)) {
        const double number = json_number_value(value);
        *out = number == 1;
        return number == 0 || number == 1;
    }
    if (json_is_boolean(value)) {
        *out = json_is_true(value);
        return true;
    }
    if (!json_is_string(value)) return false;
    const char *const text = json_string_value(value);
    *out = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out || strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

enum dr_code loose_flag(const json_t *object, const char *name, bool *out,
                        struct dr_error *err)
{
    char shown[SHOWN_BYTES];
    bool flag;
    const json_t *const value = given(object, name);
    if (!value) return DR_OK;
    if (!read_flag(value, &flag))
        return failure(err, DR_BAD_INPUT, "%s is %s; it takes true or false", name,
                       show(value, shown));
    *out = flag;
    return DR_OK;
}

/* ---- texts and seeds --------------------------------------------------------------------- */

enum dr_code loose_text(const json_t *object, const char *name, const char **out,
                        struct dr_error *err)
{
    char shown[SHOWN_BYTES];
    const json_t *const value = given(object, name);
    if (!value) return DR_OK;
    if (!json_is_string(value))
        return failure(err, DR_BAD_INPUT, "%s is %s; it takes text", name,
                       show(value, shown));
    *out = json_string_value(value);
    return DR_OK;
}

/* Negative: any. */
static bool read_seed(const json_t *value, bool *is_negative, uint64_t *seed)
{
    if (json_is_integer(value)) {
        const json_int_t number = json_integer_value(value);
        *is_negative = number < 0;
        *seed = (uint64_t)number;
        return true;
    }
    if (json_is_string(value)) {
        const char *const text = json_string_value(value);
        const size_t blanks = strspn(text, " \t\r\n");
        char *end;
        errno = 0;
        *is_negative = text[blanks] == '-';
        *seed = strtoull(text, &end, 10);
        if (text_is_number(text, end)) return *is_negative || errno == 0;
        const double real = strtod(text, &end); /* "-1.0" */
        json_t *const number = text_is_number(text, end) ? json_real(real) : NULL;
        const bool is_read = number && read_seed(number, is_negative, seed);
        json_decref(number);
        return is_read;
    }
    const double real = json_real_value(value);
    if (!json_is_real(value) || trunc(real) != real || real >= 18446744073709551616.0)
        return false;
    *is_negative = real < 0;
    *seed = *is_negative ? 0 : (uint64_t)real;
    return true;
}

enum dr_code loose_seed(const json_t *object, const char *name, bool *is_given,
                        uint64_t *seed, struct dr_error *err)
{
    char shown[SHOWN_BYTES];
    bool is_negative;
    uint64_t number;
    *is_given = false;
    const json_t *const value = given(object, name);
    if (!value) return DR_OK;
    if (!read_seed(value, &is_negative, &number))
        return failure(
            err, DR_BAD_INPUT,
            "%s is %s; it takes a whole number of 0 to 18446744073709551615, or "
            "-1 for any",
            name, show(value, shown));
    *is_given = !is_negative;
    if (*is_given) *seed = number;
    return DR_OK;
}
