#include "service/keep_alive.h"

#include <stdbool.h>
#include <stdlib.h>

#include "service/failure.h"
#include "service/picture_request.h"

/* Seconds of "5m"; false: it is not a duration. A number alone is seconds. */
static bool parse(const char *text, double *seconds)
{
    char *end;
    if ((*text < '0' || *text > '9') && *text != '-') return false;
    *seconds = strtod(text, &end);
    switch (*end) {
    case '\0': return true;
    case 's': break;
    case 'm': *seconds *= 60; break;
    case 'h': *seconds *= 3600; break;
    default: return false;
    }
    return end[1] == '\0';
}

enum dr_code keep_alive_read(const json_t *object, const char *name, int32_t *seconds,
                             struct dr_error *err)
{
    const json_t *const member = json_object_get(object, name);
    const char *const text = json_string_value(member);
    double number = json_number_value(member);
    if (!member || json_is_null(member) || (text && !*text)) return DR_OK;
    const bool is_read = text ? parse(text, &number) : json_is_number(member);
    if (!is_read || !(number <= INT32_MAX))
        return failure(
            err, DR_BAD_INPUT,
            "%s is a number of seconds, or text such as \"5m\"; 0 unloads the "
            "model after the job, -1 keeps it",
            name);
    *seconds = number < 0 ? KEEP_ALIVE_ALWAYS : (int32_t)number;
    return DR_OK;
}
