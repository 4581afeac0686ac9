#include "base/csv.h"

#include <stdbool.h>

struct csv csv_of(char *text, size_t bytes)
{
    text[bytes] = '\0';
    return (struct csv){.at = text, .end = text + bytes, .line = 1};
}

/* Is it at the end of a line, or of the text? */
static bool is_at_end(const struct csv *csv)
{
    return csv->at == csv->end || *csv->at == '\n' || *csv->at == '\r';
}

static void skip_line_end(struct csv *csv)
{
    if (csv->at == csv->end) return;
    if (*csv->at == '\r' && csv->at[1] == '\n') ++csv->at;
    ++csv->at;
    ++csv->line;
}

/* Behind the opening quote; what it encloses goes to *out. Ends behind the closing one. */
static void take_quoted(struct csv *csv, char **out)
{
    for (; csv->at < csv->end; ++csv->at) {
        const char byte = *csv->at;
        if (byte == '"' && csv->at[1] != '"') {
            ++csv->at;
            return;
        }
        if (byte == '"') ++csv->at;
        if (byte == '\n' || (byte == '\r' && csv->at[1] != '\n')) ++csv->line;
        *(*out)++ = byte;
    }
}

/* One field, without its comma or line end. It is never longer than its text, so it is written over it. */
static char *take_field(struct csv *csv, char **end)
{
    while (csv->at < csv->end && *csv->at == ' ')
        ++csv->at;
    char *const field = csv->at, *out = field;
    if (csv->at < csv->end && *csv->at == '"') {
        ++csv->at;
        take_quoted(csv, &out);
    }
    while (!is_at_end(csv) && *csv->at != ',')
        *out++ = *csv->at++;
    *end = out;
    return field;
}

int32_t csv_next(struct csv *csv, char *fields[static CSV_MAX_FIELDS])
{
    int32_t count = 0;
    if (csv->at == csv->end) return -1;
    for (bool goes_on = !is_at_end(csv); goes_on;) {
        char *end;
        char *const field = take_field(csv, &end);
        goes_on = !is_at_end(csv);
        if (goes_on)
            ++csv->at;
        else
            skip_line_end(csv);
        *end = '\0'; /* only now: it may lie on the comma or the line end */
        if (count < CSV_MAX_FIELDS) fields[count++] = field;
        if (!goes_on) return count;
    }
    skip_line_end(csv);
    return count;
}
