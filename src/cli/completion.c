#define _DEFAULT_SOURCE /* d_type */

#include "completion.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "commands.h"
#include "options.h"
#include "words.h"

/* ---- the line before the cursor ------------------------------------------------------------ */

/* Its words, unquoted; the last is the one at the cursor, perhaps empty. */
struct scan {
    char *text; /* the words, each with its end */
    const char *words[WORDS_MAX_COUNT + 1];
    int count;
    size_t start; /* of the last word in the line */
    char quote;   /* that is open at the cursor */
    bool is_comment;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* As words_split reads it, but that the word may end anywhere. */
static size_t scan_word(struct scan *scan, const char *line, size_t at, size_t end,
                        char **to)
{
    scan->quote = '\0';
    for (; at < end && (scan->quote || !is_blank(line[at])); ++at) {
        const char c = line[at];
        if (scan->quote == '\'') {
            if (c == '\'')
                scan->quote = '\0';
            else
                *(*to)++ = c;
        } else if (c == '\\' &&
                   (!scan->quote || (at + 1 < end && strchr("\"\\$`", line[at + 1])))) {
            if (++at < end) *(*to)++ = line[at];
        } else if (c == '"' || (c == '\'' && !scan->quote)) {
            scan->quote = scan->quote ? '\0' : c;
        } else {
            *(*to)++ = c;
        }
    }
    *(*to)++ = '\0';
    return at < end ? at : end;
}

static bool scan_line(struct scan *scan, const char *line, size_t end)
{
    *scan = (struct scan){.text = malloc(2 * end + 2)};
    if (!scan->text) return false;
    char *to = scan->text;
    size_t at = 0;
    do {
        while (at < end && is_blank(line[at]))
            ++at;
        scan->is_comment = at < end && line[at] == '#';
        scan->start = at;
        scan->words[scan->count++] = to;
        at = scan_word(scan, line, at, end, &to);
    } while (at < end && !scan->is_comment && scan->count < WORDS_MAX_COUNT);
    return true;
}

/* ---- candidates ------------------------------------------------------------------------------ */

static void add(struct completion *completion, const char *prefix, const char *text,
                const char *ending)
{
    if (completion->count == COMPLETION_MAX_COUNT) return;
    if (completion->count == completion->capacity) {
        const size_t capacity = completion->capacity ? 2 * completion->capacity : 32;
        char **const grown =
            realloc(completion->list, capacity * sizeof *completion->list);
        if (!grown) return;
        completion->list = grown;
        completion->capacity = capacity;
    }
    const size_t bytes = strlen(prefix) + strlen(text) + strlen(ending) + 1;
    char *const whole = malloc(bytes);
    if (!whole) return;
    (void)snprintf(whole, bytes, "%s%s%s", prefix, text, ending);
    completion->list[completion->count++] = whole;
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static void add_if(struct completion *completion, const char *prefix, const char *text,
                   const char *typed)
{
    if (begins_with(text, typed)) add(completion, prefix, text, "");
}

/* ---- files ----------------------------------------------------------------------------------- */

enum files {
    FILES_NONE,
    FILES_ANY,
    FILES_MODELS,
    FILES_DIRECTORIES
};

static bool looks_like_model(const char *name)
{
    static const char *const endings[] = {".safetensors", ".sft", ".gguf", ".ckpt",
                                          ".pt",          ".pth", ".bin",  ".json"};
    const char *const dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; ++i)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

static bool is_directory(const char *folder, const char *name)
{
    char path[4096];
    struct stat status;
    const int length = snprintf(path, sizeof path, "%s%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && stat(path, &status) == 0 &&
           S_ISDIR(status.st_mode);
}

/* prefix: what stands before the path in the word ("--output="). */
static void add_files(struct completion *completion, const char *prefix,
                      const char *typed, enum files kind)
{
    char folder[4096], before[4096 + 64];
    const char *const slash = strrchr(typed, '/');
    const size_t bytes = slash ? (size_t)(slash - typed) + 1 : 0;
    const char *const name = typed + bytes;
    if (bytes >= sizeof folder || strlen(prefix) > 60) return;
    (void)snprintf(folder, sizeof folder, "%.*s", (int)bytes, typed);
    (void)snprintf(before, sizeof before, "%s%s", prefix, folder);
    DIR *const stream = opendir(bytes ? folder : ".");
    if (!stream) return;
    completion->of_files = true;
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        const char *const found = entry->d_name;
        if (!begins_with(found, name) || strcmp(found, ".") == 0 ||
            strcmp(found, "..") == 0 || (found[0] == '.' && name[0] != '.'))
            continue;
        const bool is_folder = entry->d_type == DT_DIR ||
                               (entry->d_type != DT_REG && is_directory(folder, found));
        if (is_folder)
            add(completion, before, found, "/");
        else if (kind == FILES_ANY || (kind == FILES_MODELS && looks_like_model(found)))
            add(completion, before, found, "");
    }
    (void)closedir(stream);
}

/* ---- what may stand there ---------------------------------------------------------------------- */

/* A line each of what the option table prints. */
static char *printed(void (*print)(FILE *stream, const char *word, unsigned command),
                     const char *word, unsigned command)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    if (!stream) return NULL;
    print(stream, word, command);
    if (fclose(stream) == 0) return text;
    free(text);
    return NULL;
}

static void print_names(FILE *stream, const char *word, unsigned command)
{
    (void)word;
    options_print_names(stream, command);
}

static void print_values(FILE *stream, const char *word, unsigned command)
{
    (void)command;
    options_print_values(stream, word);
}

static void add_option_names(struct completion *completion, unsigned command,
                             const char *typed)
{
    char *rest = NULL, *const text = printed(print_names, NULL, command);
    for (char *name = text ? strtok_r(text, "\n", &rest) : NULL; name;
         name = strtok_r(NULL, "\n", &rest))
        if (name[1] == '-' || typed[1] == '\0') add_if(completion, "", name, typed);
    free(text);
}

/* False: the option takes no value. */
static bool add_values(struct completion *completion, const char *option,
                       const char *prefix, const char *typed)
{
    static const char *const models[] = {"-m", "--model", "--vae"};
    enum files files = FILES_ANY;
    char *rest = NULL, *const text = printed(print_values, option, 0);
    for (size_t i = 0; i < sizeof models / sizeof *models; ++i)
        if (strcmp(option, models[i]) == 0) files = FILES_MODELS;
    const bool takes_value = text && *text;
    for (char *word = text ? strtok_r(text, "\n", &rest) : NULL; word;
         word = strtok_r(NULL, "\n", &rest)) {
        if (strcmp(word, "FILE") == 0)
            add_files(completion, prefix, typed, files);
        else if (strcmp(word, "DIR") == 0)
            add_files(completion, prefix, typed, FILES_DIRECTORIES);
        else if (strcmp(word, "VALUE") != 0)
            add_if(completion, prefix, word, typed);
    }
    free(text);
    return takes_value;
}

static void add_commands(struct completion *completion, const char *typed)
{
    for (int i = 0; command_at(i); ++i)
        if (command_at(i)->where & ON_SHELL_LINE)
            add_if(completion, "", command_at(i)->name, typed);
}

/* By the operands of the usage line: "[automatic|none|NAME|FILE]", "IN.png". Capitals stand for what a user knows. */
static void add_operands(struct completion *completion, const struct command *command,
                         const char *typed)
{
    char operands[128], *rest = NULL;
    const bool of_models = strcmp(command->name, "vae") == 0;
    if (strcmp(command->name, "model") == 0) {
        (void)add_values(completion, "--model", "", typed);
        return;
    }
    (void)snprintf(operands, sizeof operands, "%s", command->operands);
    for (char *word = strtok_r(operands, "[]| ", &rest); word;
         word = strtok_r(NULL, "[]| ", &rest)) {
        if (strcmp(word, "COMMAND") == 0)
            add_commands(completion, typed);
        else if (strstr(word, "FILE") || strchr(word, '.') || strstr(word, "PICTURE"))
            add_files(completion, "", typed, of_models ? FILES_MODELS : FILES_ANY);
        else if (word[0] >= 'a' && word[0] <= 'z')
            add_if(completion, "", word, typed);
    }
}

static bool ends_options(const struct scan *scan)
{
    for (int i = 1; i + 1 < scan->count; ++i)
        if (strcmp(scan->words[i], "--") == 0) return true;
    return false;
}

static void complete(struct completion *completion, const struct scan *scan)
{
    const char *const typed = scan->words[scan->count - 1];
    if (scan->count == 1) {
        add_commands(completion, typed);
        return;
    }
    const struct command *const command = command_find(scan->words[0], ON_SHELL_LINE);
    const char *const before = scan->words[scan->count - 2];
    const char *const equals = strchr(typed, '=');
    const bool has_options = !ends_options(scan);
    if (!command) return;
    if (has_options && scan->count > 2 && before[0] == '-' && !strchr(before, '=') &&
        add_values(completion, before, "", typed))
        return;
    if (has_options && begins_with(typed, "--") && equals) {
        char option[64];
        (void)snprintf(option, sizeof option, "%.*s", (int)(equals - typed), typed);
        char with_equals[66];
        (void)snprintf(with_equals, sizeof with_equals, "%s=", option);
        (void)add_values(completion, option, with_equals, equals + 1);
    } else if (has_options && typed[0] == '-') {
        add_option_names(completion, command->bit | IN_SHELL, typed);
    } else {
        add_operands(completion, command, typed);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void completion_make(struct completion *completion, const char *line, size_t cursor)
{
    struct scan scan;
    *completion = (struct completion){.start = cursor};
    if (!scan_line(&scan, line, cursor)) return;
    completion->start = scan.start;
    completion->quote = scan.quote;
    if (!scan.is_comment) complete(completion, &scan);
    free(scan.text);
    if (completion->count > 0)
        qsort(completion->list, completion->count, sizeof *completion->list, compare);
}

void completion_finish(struct completion *completion)
{
    for (size_t i = 0; i < completion->count; ++i)
        free(completion->list[i]);
    free(completion->list);
    *completion = (struct completion){0};
}

size_t completion_common(const struct completion *completion)
{
    if (completion->count == 0) return 0;
    /* They are sorted: what the first and the last share, all share. */
    const char *const first = completion->list[0];
    const char *const last = completion->list[completion->count - 1];
    size_t bytes = 0;
    while (first[bytes] && first[bytes] == last[bytes])
        ++bytes;
    while (bytes > 0 && ((unsigned char)first[bytes] & 0xC0) == 0x80)
        --bytes; /* no half of a character */
    return bytes;
}

char *completion_text(const struct completion *completion, const char *candidate,
                      size_t bytes, bool is_whole)
{
    static const char plain[] = " \t\"'\\#";
    const char quote = completion->quote;
    const char *const special = quote == '\'' ? "" : quote ? "\"\\$`" : plain;
    char *const text = malloc(2 * bytes + 4), *to = text;
    if (!text) return NULL;
    if (quote) *to++ = quote;
    for (size_t i = 0; i < bytes; ++i) {
        if (*special && strchr(special, candidate[i])) *to++ = '\\';
        *to++ = candidate[i];
    }
    const char last = bytes ? candidate[bytes - 1] : '\0';
    if (is_whole && last != '/' && last != '=') {
        if (quote) *to++ = quote;
        *to++ = ' ';
    }
    *to = '\0';
    return text;
}

const char *completion_label(const struct completion *completion, const char *candidate)
{
    if (!completion->of_files) return candidate;
    const char *label = candidate;
    for (const char *c = candidate; *c; ++c)
        if (*c == '/' && c[1]) label = c + 1;
    return label;
}
