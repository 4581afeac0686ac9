#include "switch/style_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/csv.h"
#include "base/error.h"
#include "base/text_file.h"
#include "base/xdg.h"

static const char place[] = "{prompt}";

bool style_file_find(const char *option, const char *setting,
                     char path[static DR_PATH_BYTES])
{
    return xdg_choose(option, "DARKROOM_STYLES", setting, "styles.csv", path,
                      DR_PATH_BYTES);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Where the columns are; -1: there is none. */
struct columns {
    int32_t name, prompt, negative;
};

static int32_t column(char *const *fields, int32_t count, const char *name)
{
    for (int32_t i = 0; i < count; ++i)
        if (strcmp(fields[i], name) == 0) return i;
    return -1;
}

static enum dr_code find_columns(struct columns *columns, const char *name,
                                 char *const *fields, int32_t count,
                                 struct dr_error *err)
{
    const int32_t prompt = column(fields, count, "prompt");
    *columns = (struct columns){
        .name = column(fields, count, "name"),
        .prompt = prompt >= 0 ? prompt : column(fields, count, "text"),
        .negative = column(fields, count, "negative_prompt"),
    };
    if (columns->name >= 0 && columns->prompt >= 0) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "%.600s has no column \"%s\": its first line has to be "
                     "name,prompt,negative_prompt",
                     name, columns->name < 0 ? "name" : "prompt");
}

static const char *field_of(char *const *fields, int32_t count, int32_t at)
{
    return at >= 0 && at < count ? fields[at] : "";
}

static void free_style(struct dr_style *style)
{
    free(style->name);
    free(style->prompt);
    free(style->negative);
}

/* The place of a style: that of an earlier one of its name, or a new one. NULL where there is no memory. */
static struct dr_style *place_of(struct dr_style_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; ++i)
        if (strcmp(list->styles[i].name, name) == 0) return &list->styles[i];
    if ((list->count & (list->count - 1)) == 0) { /* it is full at 0, 1, 2, 4, ... */
        const size_t capacity = list->count ? 2 * list->count : 1;
        struct dr_style *const grown = realloc(list->styles, capacity * sizeof *grown);
        if (!grown) return NULL;
        list->styles = grown;
    }
    list->styles[list->count] = (struct dr_style){0};
    return &list->styles[list->count++];
}

static enum dr_code take_row(struct dr_style_list *list, const char *file,
                             const struct columns *columns, char *const *fields,
                             int32_t count, struct dr_error *err)
{
    const char *const name = field_of(fields, count, columns->name);
    if (!name[0] || name[0] == '#') return DR_OK;
    struct dr_style style = {
        .name = strdup(name),
        .prompt = strdup(field_of(fields, count, columns->prompt)),
        .negative = strdup(field_of(fields, count, columns->negative)),
    };
    struct dr_style *const at =
        style.name && style.prompt && style.negative ? place_of(list, name) : NULL;
    if (!at) {
        free_style(&style);
        return error_set(err, DR_NOMEM, "no memory for the styles of %.600s", file);
    }
    free_style(at);
    *at = style;
    if (list->count <= STYLE_FILE_MAX_STYLES) return DR_OK;
    return error_set(err, DR_BAD_INPUT, "%.600s has more than %d styles", file,
                     STYLE_FILE_MAX_STYLES);
}

enum dr_code style_file_parse(struct dr_style_list *list, const char *name, char *text,
                              size_t bytes, struct dr_error *err)
{
    char *fields[CSV_MAX_FIELDS];
    struct csv csv = csv_of(text, bytes);
    struct columns columns;
    enum dr_code code = DR_OK;
    int32_t count = csv_next(&csv, fields);
    while (count == 0) /* empty lines before the header */
        count = csv_next(&csv, fields);
    if (count < 0) return DR_OK;
    code = find_columns(&columns, name, fields, count, err);
    while (code == DR_OK && (count = csv_next(&csv, fields)) >= 0)
        code = take_row(list, name, &columns, fields, count, err);
    return code;
}

enum dr_code style_file_read(struct dr_style_list *list, struct dr_error *err)
{
    char *text;
    size_t bytes;
    enum dr_code code =
        text_file_read(list->path, STYLE_FILE_MAX_BYTES, &text, &bytes, err);
    if (code == DR_OK) code = style_file_parse(list, list->path, text, bytes, err);
    free(text);
    return code;
}

void dr_style_list_free(struct dr_style_list *list)
{
    if (!list) return;
    for (size_t i = 0; i < list->count; ++i)
        free_style(&list->styles[i]);
    free(list->styles);
    *list = (struct dr_style_list){0};
}

/* ---- using ------------------------------------------------------------------------------- */

const struct dr_style *style_file_match(const struct dr_style_list *list,
                                        const char *name)
{
    const struct dr_style *found = NULL;
    for (size_t i = 0; i < list->count; ++i) {
        if (strcmp(list->styles[i].name, name) == 0) return &list->styles[i];
        if (!found && strcasecmp(list->styles[i].name, name) == 0)
            found = &list->styles[i];
    }
    return found;
}

static size_t count_places(const char *style)
{
    size_t count = 0;
    for (const char *at = style; (at = strstr(at, place)) != NULL;
         at += sizeof place - 1)
        ++count;
    return count;
}

static char *fill_places(const char *style, const char *prompt, size_t count,
                         size_t most_bytes)
{
    const size_t length = strlen(prompt), own = strlen(style);
    const size_t rest = own - count * (sizeof place - 1);
    if (rest > most_bytes || (length > 0 && count > (most_bytes - rest) / length))
        return NULL;
    char *const text = malloc(rest + count * length + 1);
    char *out = text;
    for (const char *at = style; text && *at;) {
        const bool is_place = strncmp(at, place, sizeof place - 1) == 0;
        if (is_place) memcpy(out, prompt, length);
        if (!is_place) *out = *at;
        out += is_place ? length : 1;
        at += is_place ? sizeof place - 1 : 1;
    }
    if (text) *out = '\0';
    return text;
}

/* A text without the blanks at its ends, as Python's strip for what is in prompts. */
static const char *strip(const char *text, size_t *bytes)
{
    static const char blanks[] = " \t\n\r\f\v";
    text += strspn(text, blanks);
    *bytes = strlen(text);
    while (*bytes > 0 && strchr(blanks, text[*bytes - 1]))
        --*bytes;
    return text;
}

char *style_file_apply(const char *style, const char *prompt, size_t most_bytes)
{
    static const char between[] = ", ";
    const size_t count = count_places(style);
    size_t first_bytes, second_bytes;
    if (count > 0) return fill_places(style, prompt, count, most_bytes);
    const char *const first = strip(prompt, &first_bytes);
    const char *const second = strip(style, &second_bytes);
    const size_t comma = first_bytes && second_bytes ? sizeof between - 1 : 0;
    if (first_bytes > most_bytes || second_bytes + comma > most_bytes - first_bytes)
        return NULL;
    char *const text = malloc(first_bytes + comma + second_bytes + 1);
    if (!text) return NULL;
    memcpy(text, first, first_bytes);
    memcpy(text + first_bytes, between, comma);
    memcpy(text + first_bytes + comma, second, second_bytes);
    text[first_bytes + comma + second_bytes] = '\0';
    return text;
}
