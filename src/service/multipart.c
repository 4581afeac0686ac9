#include "service/multipart.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/failure.h"

struct walk {
    struct multipart *form;
    char *at, *end;
    char delimiter[MULTIPART_BOUNDARY_BYTES + 5]; /* "\r\n--" and the boundary */
    size_t delimiter_length;
    struct dr_error *err;
};

static char *skip_blanks(char *at)
{
    while (*at == ' ' || *at == '\t')
        ++at;
    return at;
}

/* ---- parameters of a header: ; name=value; name="value" --------------------------------------- */

/* The text of a quoted value in place, without its quotes and escapes; *at: behind the closing quote. */
static char *quoted_value(char **at)
{
    char *const value = *at + 1, *to = value, *from = value;
    for (; *from && *from != '"'; ++from) {
        if (*from == '\\' && (from[1] == '"' || from[1] == '\\')) ++from;
        *to++ = *from;
    }
    if (*from != '"') return NULL;
    *at = from + 1;
    *to = '\0';
    return value;
}

/* Reads the parameter at a place behind a semicolon and terminates its name and value. Returns the place behind the next
 * semicolon, or the end of the text; NULL: it cannot be read. */
static char *read_parameter(char *at, char **name, char **value)
{
    *name = at;
    at += strcspn(at, "=; \t\"");
    if (at == *name || *at != '=') return NULL;
    *at++ = '\0';
    *value = at;
    const bool is_quoted = *at == '"';
    if (is_quoted && !(*value = quoted_value(&at))) return NULL;
    if (!is_quoted) at += strcspn(at, "; \t\"");
    char *const value_end = at;
    at = skip_blanks(at);
    if (*at != ';' && *at != '\0') return NULL;
    if (*at == ';') at = skip_blanks(at + 1);
    if (!is_quoted) *value_end = '\0';
    return at;
}

/* Behind the semicolon before the first parameter; the end where there is none; NULL: something else stands there. */
static char *first_parameter(char *at)
{
    at = skip_blanks(at);
    if (*at == ';') return skip_blanks(at + 1);
    return *at == '\0' ? at : NULL;
}

/* The boundary of "multipart/form-data; boundary=..." into the delimiter. */
static enum dr_code read_boundary(struct walk *walk, const char *content_type)
{
    static const char type[] = "multipart/form-data";
    char copy[2 * MULTIPART_BOUNDARY_BYTES + 128];
    char *name = NULL, *value = NULL;
    if (strncasecmp(content_type, type, sizeof type - 1) != 0)
        return failure(walk->err, DR_BAD_INPUT, "the request's type is not %s", type);
    if ((size_t)snprintf(copy, sizeof copy, "%s", content_type + sizeof type - 1) >=
        sizeof copy)
        return failure(walk->err, DR_BAD_INPUT,
                       "the Content-Type is longer than %zu bytes", sizeof copy);
    char *at = first_parameter(copy);
    while (at && *at && (at = read_parameter(at, &name, &value))) {
        if (strcasecmp(name, "boundary") != 0) continue;
        const size_t length = strlen(value);
        if (length == 0 || length > MULTIPART_BOUNDARY_BYTES)
            return failure(walk->err, DR_BAD_INPUT,
                           "the boundary has %zu characters; 1 to %d are allowed",
                           length, MULTIPART_BOUNDARY_BYTES);
        walk->delimiter_length =
            (size_t)snprintf(walk->delimiter, sizeof walk->delimiter, "\r\n--%s",
                             value);
        return DR_OK;
    }
    return failure(walk->err, DR_BAD_INPUT, "the Content-Type has no boundary");
}

/* ---- delimiters -------------------------------------------------------------------------- */

enum delimiter {
    NO_DELIMITER,
    NEXT_PART,
    LAST_DELIMITER
};

/* What stands at a place where the boundary has been read; *after: behind its line. */
static enum delimiter delimiter_end(const struct walk *walk, char *at, char **after)
{
    if (walk->end - at >= 2 && at[0] == '-' && at[1] == '-') {
        *after = walk->end; /* what follows the last one is not looked at */
        return LAST_DELIMITER;
    }
    while (at < walk->end && (*at == ' ' || *at == '\t'))
        ++at;
    if (walk->end - at < 2 || at[0] != '\r' || at[1] != '\n') return NO_DELIMITER;
    *after = at + 2;
    return NEXT_PART;
}

/* The next delimiter at or after `from`: *start is where it begins. The first one of a body has no line break. */
static enum delimiter find_delimiter(const struct walk *walk, char *from, char **start,
                                     char **after)
{
    const size_t length = walk->delimiter_length;
    char *c = from;
    while ((c = memchr(c, '\r', (size_t)(walk->end - c)))) {
        if ((size_t)(walk->end - c) < length) return NO_DELIMITER;
        if (memcmp(c, walk->delimiter, length) == 0) {
            const enum delimiter found = delimiter_end(walk, c + length, after);
            *start = c;
            if (found != NO_DELIMITER) return found;
        }
        ++c;
    }
    return NO_DELIMITER;
}

static enum delimiter find_first(const struct walk *walk, char **after)
{
    const size_t length = walk->delimiter_length - 2;
    char *start = NULL;
    if ((size_t)(walk->end - walk->at) >= length &&
        memcmp(walk->at, walk->delimiter + 2, length) == 0) {
        const enum delimiter found = delimiter_end(walk, walk->at + length, after);
        if (found != NO_DELIMITER) return found;
    }
    return find_delimiter(walk, walk->at, &start, after);
}

/* ---- headers of a part ------------------------------------------------------------------- */

static enum dr_code read_disposition(const struct walk *walk, char *value,
                                     struct multipart_part *part)
{
    const size_t number = walk->form->part_count + 1;
    char *name = NULL, *text = NULL;
    if (strncasecmp(value, "form-data", 9) != 0)
        return failure(walk->err, DR_BAD_INPUT, "part %zu of the form is not form-data",
                       number);
    char *at = first_parameter(value + 9);
    while (at && *at && (at = read_parameter(at, &name, &text))) {
        if (strcasecmp(name, "name") == 0) part->name = text;
        if (strcasecmp(name, "filename") == 0 || strcasecmp(name, "filename*") == 0)
            part->is_file = 1;
    }
    if (!at)
        return failure(walk->err, DR_BAD_INPUT,
                       "part %zu of the form has a Content-Disposition that "
                       "cannot be read",
                       number);
    return DR_OK;
}

static enum dr_code read_header(const struct walk *walk, char *line,
                                struct multipart_part *part)
{
    const size_t number = walk->form->part_count + 1;
    char *const colon = strchr(line, ':');
    for (const char *c = line; *c; ++c)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return failure(walk->err, DR_BAD_INPUT,
                           "part %zu of the form has a control character in a "
                           "header",
                           number);
    if (!colon || colon == line)
        return failure(walk->err, DR_BAD_INPUT,
                       "part %zu of the form has a header without a name", number);
    *colon = '\0';
    char *const value = skip_blanks(colon + 1);
    if (strcasecmp(line, "Content-Disposition") == 0)
        return read_disposition(walk, value, part);
    if (strcasecmp(line, "Content-Transfer-Encoding") == 0 &&
        strncasecmp(value, "binary", 6) != 0 && strncasecmp(value, "8bit", 4) != 0 &&
        strncasecmp(value, "7bit", 4) != 0)
        return failure(walk->err, DR_BAD_INPUT,
                       "part %zu of the form is encoded; send its bytes as they "
                       "are",
                       number);
    return DR_OK;
}

/* The end of a line within the headers of a part: its CR. NULL: there is none within their limit. */
static char *line_end(const struct walk *walk, const char *headers, char *line)
{
    const size_t read = (size_t)(line - headers);
    size_t room = (size_t)(walk->end - line);
    if (room > MULTIPART_HEADER_BYTES - read) room = MULTIPART_HEADER_BYTES - read;
    for (char *c = line; room >= 2; ++c, --room)
        if (c[0] == '\r' && c[1] == '\n') return c;
    return NULL;
}

static enum dr_code read_headers(struct walk *walk, struct multipart_part *part)
{
    const size_t number = walk->form->part_count + 1;
    const char *const headers = walk->at;
    for (;;) {
        char *const line = walk->at, *const end = line_end(walk, headers, line);
        if (!end)
            return failure(walk->err, DR_BAD_INPUT,
                           "part %zu of the form has headers without an end, or "
                           "more than %d bytes of them",
                           number, MULTIPART_HEADER_BYTES);
        walk->at = end + 2;
        if (end == line) break;
        if (memchr(line, '\0', (size_t)(end - line)))
            return failure(walk->err, DR_BAD_INPUT,
                           "part %zu of the form has a zero in a header", number);
        *end = '\0';
        const enum dr_code code = read_header(walk, line, part);
        if (code != DR_OK) return code;
    }
    if (part->name) return DR_OK;
    return failure(walk->err, DR_BAD_INPUT, "part %zu of the form has no name", number);
}

/* ------------------------------------------------------------------------------------------ */

static enum dr_code read_part(struct walk *walk, enum delimiter *found)
{
    struct multipart *const form = walk->form;
    struct multipart_part part = {0};
    char *start = NULL, *after = NULL;
    if (form->part_count == MULTIPART_PARTS)
        return failure(walk->err, DR_BAD_INPUT, "the form has more than %d parts",
                       MULTIPART_PARTS);
    const enum dr_code code = read_headers(walk, &part);
    if (code != DR_OK) return code;
    char *const bytes = walk->at;
    *found = find_delimiter(walk, bytes, &start, &after);
    if (*found == NO_DELIMITER)
        return failure(walk->err, DR_BAD_INPUT, "part %zu of the form has no end",
                       form->part_count + 1);
    part.bytes = (const unsigned char *)bytes;
    part.byte_count = (size_t)(start - bytes);
    *start = '\0';
    form->parts[form->part_count++] = part;
    walk->at = after;
    return DR_OK;
}

enum dr_code multipart_parse(struct multipart *form, const char *content_type,
                             char *body, size_t byte_count, struct dr_error *err)
{
    static char nothing[1];
    if (byte_count == 0) body = nothing; /* it may be NULL */
    struct walk walk = {.form = form, .at = body, .end = body + byte_count, .err = err};
    *form = (struct multipart){0};
    enum dr_code code = read_boundary(&walk, content_type);
    if (code != DR_OK) return code;
    char *after = NULL;
    enum delimiter found = find_first(&walk, &after);
    if (found == NO_DELIMITER)
        return failure(err, DR_BAD_INPUT,
                       "the form has no part that its boundary begins");
    walk.at = after;
    form->parts = calloc(MULTIPART_PARTS, sizeof *form->parts);
    if (!form->parts) return failure_memory(err, "the form");
    while (code == DR_OK && found == NEXT_PART)
        code = read_part(&walk, &found);
    if (code != DR_OK) multipart_finish(form);
    return code;
}

void multipart_finish(struct multipart *form)
{
    free(form->parts);
    *form = (struct multipart){0};
}

const struct multipart_part *multipart_find(const struct multipart *form,
                                            const char *name, size_t idx)
{
    for (size_t i = 0; i < form->part_count; ++i)
        if (strcmp(form->parts[i].name, name) == 0 && idx-- == 0)
            return &form->parts[i];
    return NULL;
}
