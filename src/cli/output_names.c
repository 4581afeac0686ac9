#include "output_names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "commands.h"

enum {
    NAME_BYTES = 256,
    FOLDER_DIGITS = 5,
    MOST_FOLDER_NUMBER = 99999999
};

/* What a name is made from. */
struct picture {
    uint64_t seed;
    int32_t idx; /* of all files of the command, from 0 on */
};

struct maker {
    const struct output_naming *naming;
    char model[NAME_BYTES], date[16];
    int index_digits, seed_digits;
    bool is_folder;
    unsigned long first_number; /* of a folder's names */
};

/* ---- what stands in braces --------------------------------------------------------------- */

static int digits_of(uint64_t number)
{
    int digits = 1;
    for (; number >= 10; number /= 10)
        ++digits;
    return digits;
}

/* "/models/xl/base.safetensors" is "base": the last part of a path, also of a directory. */
static void name_model(const char *path, char name[static NAME_BYTES])
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        --end;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        --start;
    (void)snprintf(name, NAME_BYTES, "%.*s", (int)(end - start), path + start);
    char *const dot = strrchr(name, '.');
    static const char *const extensions[] = {".safetensors", ".sft", ".gguf", ".ckpt",
                                             ".pt",          ".pth", ".bin"};
    for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; ++i)
        if (dot != name && strcasecmp(dot, extensions[i]) == 0) {
            *dot = '\0';
            break;
        }
    for (char *c = name; *c; ++c)
        if (*c == '/' || (unsigned char)*c < 0x20) *c = '_';
}

/* The length of a word in braces at text, with them; 0: none. */
static size_t word_length(const char *text)
{
    const size_t length = *text == '{' ? strcspn(text, "}") : 0;
    return length > 0 && text[length] == '}' ? length + 1 : 0;
}

bool output_names_is_pattern(const char *output)
{
    for (const char *c = output; c && *c; ++c) {
        if (c[0] == '{' && c[1] == '{')
            ++c;
        else if (word_length(c) > 0)
            return true;
    }
    return false;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) + 2 == length && strncmp(text + 1, word, length - 2) == 0;
}

static enum dr_code put_word(const struct maker *maker, const struct picture *picture,
                             const char *text, size_t length, FILE *out,
                             struct dr_error *err)
{
    if (is_word(text, length, "seed"))
        fprintf(out, "%0*llu", maker->seed_digits, (unsigned long long)picture->seed);
    else if (is_word(text, length, "index"))
        fprintf(out, "%0*d", maker->index_digits, (int)picture->idx + 1);
    else if (is_word(text, length, "date"))
        fputs(maker->date, out);
    else if (is_word(text, length, "model"))
        fputs(maker->model, out);
    else
        return command_fail(err, DR_BAD_INPUT,
                            "the output has %.*s; known are {seed}, {index}, {model} "
                            "and {date}, and {{ is a brace",
                            (int)(length < 80 ? length : 80), text);
    return DR_OK;
}

static enum dr_code put_pattern(const struct maker *maker,
                                const struct picture *picture, FILE *out,
                                struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (const char *c = maker->naming->output; code == DR_OK && *c;) {
        const bool is_brace = !maker->naming->is_literal && c[0] == '{' && c[1] == '{';
        const size_t length =
            is_brace || maker->naming->is_literal ? 0 : word_length(c);
        if (length > 0)
            code = put_word(maker, picture, c, length, out, err);
        else
            fputc(*c, out);
        c += is_brace ? 2 : length > 0 ? length : 1;
    }
    return code;
}

/* ---- one name ---------------------------------------------------------------------------- */

static enum dr_code put_name(const struct maker *maker, const struct picture *picture,
                             FILE *out, struct dr_error *err)
{
    const struct output_naming *const naming = maker->naming;
    const enum dr_code code =
        naming->output ? put_pattern(maker, picture, out, err) : DR_OK;
    if (!naming->output)
        fprintf(out, "%s%sdarkroom-%llu.png", naming->folder,
                *naming->folder ? "/" : "",
                (unsigned long long)naming->seeds[picture->idx / naming->batch]);
    if (maker->is_folder) {
        fprintf(out, "%0*lu-%llu%s", FOLDER_DIGITS,
                maker->first_number + (unsigned long)picture->idx,
                (unsigned long long)picture->seed, naming->extension);
    }
    return code;
}

static enum dr_code make_name(const struct maker *maker, const struct picture *picture,
                              char **name, struct dr_error *err)
{
    size_t bytes = 0;
    *name = NULL;
    FILE *const out = open_memstream(name, &bytes);
    const enum dr_code code = out ? put_name(maker, picture, out, err) : DR_OK;
    if (out && fclose(out) == 0 && code == DR_OK) return DR_OK;
    free(*name);
    *name = NULL;
    return code != DR_OK ? code
                         : command_fail(err, DR_NOMEM, "out of memory for file names");
}

/* "x.png" that comes for the third time is "x-3.png". */
static char *numbered(const char *name, int32_t number)
{
    const char *const slash = strrchr(name, '/');
    const char *const dot = strrchr(slash ? slash : name, '.');
    const size_t stem = dot ? (size_t)(dot - name) : strlen(name);
    const size_t bytes = strlen(name) + 16;
    char *const out = malloc(bytes);
    if (out)
        (void)snprintf(out, bytes, "%.*s-%d%s", (int)stem, name, (int)number,
                       dot ? dot : "");
    return out;
}

/* ---- all names --------------------------------------------------------------------------- */

/* NULL: no output is named. */
static bool is_latent(const char *output)
{
    return output && dr_output_is_latent(output);
}

/* The number after the largest one that a file of the folder begins with. */
static unsigned long next_number(const char *folder)
{
    unsigned long most = 0;
    DIR *const stream = opendir(folder);
    if (!stream) return 1;
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        char *end;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        const unsigned long number = strtoul(entry->d_name, &end, 10);
        if (*end == '-' && number > most && number < MOST_FOLDER_NUMBER) most = number;
    }
    (void)closedir(stream);
    return most + 1;
}

static void begin(struct maker *maker, const struct output_naming *naming)
{
    const char *const output = naming->output;
    const time_t now = time(NULL);
    struct tm today = {0};
    uint64_t most = 0;
    *maker = (struct maker){.naming = naming};
    for (int32_t i = 0; i < naming->job_count * naming->batch; ++i) {
        const uint64_t seed =
            naming->seeds[i / naming->batch] + (uint64_t)(i % naming->batch);
        if (seed > most) most = seed;
    }
    maker->seed_digits = digits_of(most);
    maker->index_digits = digits_of((uint64_t)naming->job_count *
                                    (uint64_t)(is_latent(output) ? 1 : naming->batch));
    (void)localtime_r(&now, &today);
    (void)strftime(maker->date, sizeof maker->date, "%Y-%m-%d", &today);
    name_model(naming->model, maker->model);
    maker->is_folder =
        output && !naming->is_literal && output[strlen(output) - 1] == '/';
}

/* A directory's names go on where those end that are there. */
static enum dr_code begin_numbers(struct maker *maker, struct dr_error *err)
{
    const struct picture first = {.seed = maker->naming->seeds[0]};
    char *folder = NULL;
    maker->is_folder = false;
    const enum dr_code code = make_name(maker, &first, &folder, err);
    maker->is_folder = true;
    if (code == DR_OK) maker->first_number = next_number(folder);
    free(folder);
    return code;
}

/* The names before numbers are added to those that come again. */
static enum dr_code make_bases(struct maker *maker, char **bases, int32_t count,
                               int32_t for_each, struct dr_error *err)
{
    const struct output_naming *const naming = maker->naming;
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < count; ++i) {
        const int32_t job = i / for_each;
        const struct picture picture = {
            .seed = naming->seeds[job] + (uint64_t)(i % for_each), .idx = i};
        code = make_name(maker, &picture, &bases[i], err);
    }
    return code;
}

/* How often the name came before. */
static int32_t count_before(char *const *bases, int32_t idx)
{
    int32_t count = 0;
    for (int32_t i = 0; i < idx; ++i)
        count += strcmp(bases[i], bases[idx]) == 0;
    return count;
}

static enum dr_code number_again(char *const *bases, char **names, int32_t count,
                                 struct dr_error *err)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t before = count_before(bases, i);
        names[i] = before ? numbered(bases[i], before + 1) : strdup(bases[i]);
        if (!names[i])
            return command_fail(err, DR_NOMEM, "out of memory for file names");
    }
    return DR_OK;
}

enum dr_code output_names_make(struct output_names *names,
                               const struct output_naming *naming, struct dr_error *err)
{
    struct maker maker;
    begin(&maker, naming);
    const bool latent = is_latent(naming->output);
    const int32_t for_each = latent ? 1 : naming->batch;
    const int32_t count = naming->job_count * for_each;
    char **const bases = calloc((size_t)count, sizeof *bases);
    *names = (struct output_names){.paths = calloc((size_t)count, sizeof(char *)),
                                   .count = count,
                                   .batch = for_each,
                                   .is_latent = latent};
    enum dr_code code = maker.is_folder ? begin_numbers(&maker, err) : DR_OK;
    if (!bases || !names->paths)
        code = command_fail(err, DR_NOMEM, "out of memory for file names");
    if (code == DR_OK) code = make_bases(&maker, bases, count, for_each, err);
    if (code == DR_OK) code = number_again(bases, names->paths, count, err);
    for (int32_t i = 0; bases && i < count; ++i)
        free(bases[i]);
    free(bases);
    if (code != DR_OK) output_names_finish(names);
    return code;
}

const char *const *output_names_of(const struct output_names *names, int32_t job_idx)
{
    return (const char *const *)names->paths + (ptrdiff_t)job_idx * names->batch;
}

void output_names_finish(struct output_names *names)
{
    for (int32_t i = 0; names->paths && i < names->count; ++i)
        free(names->paths[i]);
    free(names->paths);
    *names = (struct output_names){0};
}

/* ---- directories ------------------------------------------------------------------------- */

/* path's directories, from the first on. */
static enum dr_code make_folders(const char *path, struct dr_error *err)
{
    char folder[DR_PATH_BYTES];
    for (const char *slash = strchr(path + 1, '/'); *path && slash;
         slash = strchr(slash + 1, '/')) {
        if ((size_t)(slash - path) >= sizeof folder) return DR_OK; /* refused later */
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (mkdir(folder, 0777) == 0 || errno == EEXIST) continue;
        return command_fail(err, DR_IO, "cannot make the directory %.600s: %s", folder,
                            strerror(errno));
    }
    return DR_OK;
}

enum dr_code output_names_make_folders(const struct output_names *names,
                                       const char *output, struct dr_error *err)
{
    const char *const slash = output ? strrchr(output, '/') : NULL;
    enum dr_code code = DR_OK;
    /* The settings' directory is as one that is named with a slash. */
    if (!output && names->count > 0 && strchr(names->paths[0], '/'))
        return make_folders(names->paths[0], err);
    if (!slash) return DR_OK;
    char *const folder = strdup(output);
    if (!folder) return command_fail(err, DR_NOMEM, "out of memory for file names");
    folder[slash - output] = '\0';
    const bool may_be_missing = !slash[1] || output_names_is_pattern(folder);
    for (int32_t i = 0; code == DR_OK && may_be_missing && i < names->count; ++i)
        code = make_folders(names->paths[i], err);
    free(folder);
    return code;
}
