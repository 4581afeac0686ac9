#include "service/infotext.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"

#define MARK "Negative prompt: "

/* text [length] as a member, without line breaks at its end. */
static void set_part(json_t *object, const char *key, const char *text, size_t length)
{
    while (length > 0 && text[length - 1] == '\n')
        --length;
    char *const copy = strndup(text, length);
    if (copy) member_set_text(object, key, copy);
    free(copy);
}

/* A quoted value, which JSON can read; returns where it ends, or NULL. */
static const char *take_quoted(json_t *object, const char *key, const char *text)
{
    json_error_t error;
    json_t *const value =
        json_loads(text, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
    if (!json_is_string(value)) {
        json_decref(value);
        return NULL;
    }
    member_set(object, key, value);
    return text + error.position;
}

static void set_size(json_t *object, const char *key, const char *text, size_t length)
{
    const char *const cross = memchr(text, 'x', length);
    char name[80];
    (void)snprintf(name, sizeof name, "%.70s-1", key);
    set_part(object, name, text, (size_t)(cross - text));
    name[strlen(name) - 1] = '2';
    set_part(object, name, cross + 1, length - (size_t)(cross + 1 - text));
}

/* "512x768" */
static bool is_size(const char *text, size_t length)
{
    const size_t first = strspn(text, "0123456789");
    if (first == 0 || first + 1 >= length || text[first] != 'x') return false;
    return first + 1 + strspn(text + first + 1, "0123456789") >= length;
}

/* "Key: value, Key: "value, quoted", ..." */
static void parse_line(json_t *object, const char *text)
{
    while (*text) {
        char key[72];
        const char *const colon = strstr(text, ": ");
        if (!colon) return;
        (void)snprintf(key, sizeof key, "%.*s", (int)(colon - text), text);
        text = colon + 2;
        const char *const behind = *text == '"' ? take_quoted(object, key, text) : NULL;
        if (behind) {
            text = behind;
        } else {
            const char *const end = strstr(text, ", ");
            const size_t length = end ? (size_t)(end - text) : strlen(text);
            if (is_size(text, length))
                set_size(object, key, text, length);
            else
                set_part(object, key, text, length);
            text += length;
        }
        text += strspn(text, ", ");
    }
}

/* The prompt up to the negative one, or up to the last line. */
static void add_prompts(json_t *object, const char *text, size_t length)
{
    const char *negative =
        strncmp(text, MARK, sizeof MARK - 1) == 0 ? text : strstr(text, "\n" MARK);
    if (negative && (size_t)(negative - text) >= length) negative = NULL;
    set_part(object, "Prompt", text, negative ? (size_t)(negative - text) : length);
    if (!negative) {
        member_set_text(object, "Negative prompt", "");
        return;
    }
    const char *const from = negative + (*negative == '\n') + sizeof MARK - 1;
    set_part(object, "Negative prompt", from, length - (size_t)(from - text));
}

json_t *infotext_json(const char *text)
{
    json_t *const object = json_object();
    const char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (strncmp(line, "Steps: ", 7) != 0) line = text + strlen(text);
    add_prompts(object, text, (size_t)(line - text));
    parse_line(object, line);
    return object;
}
