#include "switch/wildcard.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "base/text_file.h"
#include "base/xdg.h"

enum {
    NAME_BYTES = 256
};

void wildcard_folder_find(const char *option, const char *setting,
                          char folder[static DR_PATH_BYTES])
{
    (void)xdg_choose(option, "DARKROOM_WILDCARD_DIR", setting, "wildcards", folder,
                     DR_PATH_BYTES);
}

/* ---- where they are ---------------------------------------------------------------------- */

static bool is_word(char byte)
{
    return byte == '_' || (byte >= '0' && byte <= '9') ||
           (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte & 0x80) != 0; /* of a character that is not ASCII */
}

static bool is_of_name(char byte)
{
    return is_word(byte) || byte == '-' || byte == '.' || byte == '/';
}

/* The bytes of a name that begins at text and is followed by "__"; 0: there is none. The shortest counts. */
static size_t name_at(const char *text)
{
    size_t bytes = 0;
    while (is_of_name(text[bytes])) {
        const bool begins_part = bytes == 0 || text[bytes - 1] == '/';
        if (begins_part && (text[bytes] == '.' || text[bytes] == '/')) return 0;
        if (bytes > 0 && text[bytes] == '_' && text[bytes + 1] == '_' &&
            !is_word(text[bytes + 2]))
            return bytes < NAME_BYTES && !begins_part ? bytes : 0;
        ++bytes;
    }
    return 0;
}

/* The next wildcard at or behind from: where it begins, and the bytes of its name. NULL: there is none. */
static const char *next_of(const char *text, const char *from, size_t *name_bytes)
{
    for (const char *at = from; (at = strstr(at, "__")) != NULL; ++at) {
        *name_bytes = at > text && is_word(at[-1]) ? 0 : name_at(at + 2);
        if (*name_bytes > 0) return at;
    }
    return NULL;
}

bool wildcard_any(const char *text)
{
    size_t name_bytes;
    return next_of(text, text, &name_bytes) != NULL;
}

/* ---- lines ------------------------------------------------------------------------------- */

/* The next line at or behind *at, without the blanks at its ends; NULL at the end. */
static const char *next_line(const char **at, size_t *bytes)
{
    while (**at) {
        const char *line = *at;
        const char *end = line + strcspn(line, "\r\n");
        *at = *end ? end + 1 : end;
        while (line < end && (*line == ' ' || *line == '\t'))
            ++line;
        while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
            --end;
        *bytes = (size_t)(end - line);
        if (*bytes > 0 && *line != '#') return line;
    }
    return NULL;
}

/* One of the lines of a file's text; NULL where it has none. */
static const char *choose_line(const char *text, struct random_source *random,
                               size_t *bytes)
{
    uint32_t count = 0;
    for (const char *at = text; next_line(&at, bytes);)
        ++count;
    if (count == 0) return NULL;
    const char *at = text, *line = next_line(&at, bytes);
    for (uint32_t left = random_below(random, count); left > 0; --left)
        line = next_line(&at, bytes);
    return line;
}

static enum dr_code read_file(const char *folder, const char *name, char **text,
                              struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    size_t bytes;
    const int length = snprintf(path, sizeof path, "%s/%s.txt", folder, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return error_set(err, DR_BAD_INPUT,
                         "the path of the wildcard __%s__ is too long", name);
    const enum dr_code code =
        text_file_read(path, WILDCARD_MAX_FILE_BYTES, text, &bytes, err);
    if (code != DR_NOT_FOUND) return code;
    return error_set(
        err, DR_NOT_FOUND,
        "the prompt has __%s__, and there is no %.600s: write that file, with "
        "a choice per line, or give --prompt-syntax plain to keep it as text",
        name, path);
}

/* ---- replacing --------------------------------------------------------------------------- */

/* A prompt that grows. */
struct draft {
    char *text;
    size_t bytes;
};

/* line in place of the old bytes at `at`. */
static enum dr_code replace(struct draft *draft, size_t at, size_t old,
                            const char *line, size_t line_bytes, struct dr_error *err)
{
    const size_t bytes = draft->bytes - old + line_bytes;
    if (bytes > WILDCARD_MAX_TEXT_BYTES)
        return error_set(
            err, DR_BAD_INPUT,
            "with its wildcards the prompt has %zu bytes, more than %d: use "
            "fewer, or shorter lines",
            bytes, WILDCARD_MAX_TEXT_BYTES);
    char *const text = malloc(bytes + 1);
    if (!text) return error_set(err, DR_NOMEM, "no memory for the wildcards");
    memcpy(text, draft->text, at);
    memcpy(text + at, line, line_bytes);
    memcpy(text + at + line_bytes, draft->text + at + old, draft->bytes - at - old + 1);
    free(draft->text);
    *draft = (struct draft){text, bytes};
    return DR_OK;
}

static enum dr_code replace_one(struct draft *draft, size_t at, size_t name_bytes,
                                const char *folder, struct random_source *random,
                                struct dr_error *err)
{
    char name[NAME_BYTES];
    char *text;
    memcpy(name, draft->text + at + 2, name_bytes);
    name[name_bytes] = '\0';
    enum dr_code code = read_file(folder, name, &text, err);
    if (code != DR_OK) return code;
    size_t bytes;
    const char *const line = choose_line(text, random, &bytes);
    code = line ? replace(draft, at, name_bytes + 4, line, bytes, err)
                : error_set(err, DR_BAD_INPUT,
                            "%.600s/%s.txt has no line to choose from: empty lines and "
                            "comments do not count",
                            folder, name);
    free(text);
    return code;
}

enum dr_code wildcard_expand(const char *text, const char *folder, uint64_t seed,
                             char **out, int32_t *count, struct dr_error *err)
{
    struct draft draft = {.text = strdup(text), .bytes = strlen(text)};
    struct random_source random;
    enum dr_code code = DR_OK;
    size_t from = 0, name_bytes;
    *out = NULL;
    *count = 0;
    if (!draft.text) return error_set(err, DR_NOMEM, "no memory for the prompt");
    random_init_python(&random, seed);
    /* The line itself is looked at next: it may have wildcards of its own. */
    for (const char *at; code == DR_OK && (at = next_of(draft.text, draft.text + from,
                                                        &name_bytes)) != NULL;) {
        from = (size_t)(at - draft.text);
        if (++*count > WILDCARD_MAX_COUNT)
            code = error_set(err, DR_BAD_INPUT,
                             "the prompt has more than %d wildcards, at __%.*s__: does "
                             "this file name itself?",
                             WILDCARD_MAX_COUNT, (int)name_bytes, at + 2);
        else
            code = replace_one(&draft, from, name_bytes, folder, &random, err);
    }
    if (code == DR_OK)
        *out = draft.text;
    else
        free(draft.text);
    return code;
}
