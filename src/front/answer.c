#include "front/answer.h"

#include <stdlib.h>
#include <string.h>

#include "front/member.h"

json_t *answer_fields(void)
{
    return json_object();
}

void answer_free(json_t *value)
{
    json_decref(value);
}

json_t *answer_create(const char *command, double ms, const struct dr_error *err,
                      json_t *fields)
{
    json_t *const answer = json_object();
    member_set_flag(answer, "ok", !err);
    member_set_text(answer, "command", command);
    member_set_real(answer, "ms", ms);
    if (err) member_set(answer, "error", answer_error(err));
    (void)json_object_update(answer, fields);
    return answer;
}

json_t *answer_error(const struct dr_error *err)
{
    json_t *const object = json_object();
    member_set_text(object, "code", dr_code_name(err->code));
    member_set_text(object, "message", err->message);
    return object;
}

/* ---- printing ---------------------------------------------------------------------------- */

/* A line of JSON, with the seeds that are negative in memory as they were meant. Nothing else in a line looks like
 * one: inside a text the quotes are escaped, and no text begins with a minus. */
static void print_line(const char *line, FILE *stream)
{
    static const char key[] = "\"seed\":", minus[] = "\"seed\":-";
    const char *at;
    while ((at = strstr(line, minus)) != NULL) {
        char *end;
        const long long value = strtoll(at + strlen(key), &end, 10);
        fprintf(stream, "%.*s%s%llu", (int)(at - line), line, key,
                (unsigned long long)value);
        line = end;
    }
    fputs(line, stream);
}

bool answer_print(const json_t *answer, FILE *stream)
{
    char *const line =
        answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(7)) : NULL;
    print_line(
        line ? line
             : "{\"ok\":false,\"error\":{\"code\":\"no_memory\",\"message\":\"out of "
               "memory for the answer\"}}",
        stream);
    free(line);
    fputc('\n', stream);
    return fflush(stream) == 0 && !ferror(stream);
}
