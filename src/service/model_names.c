/* How well a text means an entry is a number; the best are meant, and there must be one of them. */
#include "service/model_names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "service/failure.h"

enum {
    HASH_DIGITS = MODEL_HASH_CHARS - 1,
    SHA256_DIGITS = DR_DIGEST_CHARS - 1,
    MOST_NAMED = 8 /* in a message */
};

/* ---- texts ------------------------------------------------------------------------------- */

typedef int compare_text(const char *a, const char *b, size_t length);

static bool is_same(const char *text, const char *said, size_t length,
                    compare_text *compare)
{
    return strlen(text) == length && compare(text, said, length) == 0;
}

const char *model_names_file(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The length of a text without the extension of a weights file. */
static size_t stem_length(const char *text)
{
    static const char *const extensions[] = {".safetensors", ".sft", ".gguf", ".ckpt",
                                             ".pt",          ".pth", ".bin"};
    const char *const dot = strrchr(text, '.');
    for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; ++i)
        if (strcasecmp(dot, extensions[i]) == 0) return (size_t)(dot - text);
    return strlen(text);
}

/* Its name below the directory, or that of the file alone; with or without its extension. */
static bool is_file_name(const char *file, const char *said, size_t length,
                         compare_text *compare)
{
    const char *const base = model_names_file(file);
    return is_same(file, said, length, compare) ||
           is_same(base, said, length, compare) ||
           (stem_length(base) == length && compare(base, said, length) == 0) ||
           (stem_length(file) == length && compare(file, said, length) == 0);
}

/* ---- models ------------------------------------------------------------------------------ */

/* The text of "name [hash]": how long the name is, and the hash; NULL where there is none. */
static const char *split_hash(const char *said, size_t *name_length, size_t *digits)
{
    const size_t length = strlen(said);
    const char *const bracket = strrchr(said, '[');
    *name_length = length;
    if (!bracket || bracket < said + 2 || bracket[-1] != ' ' || said[length - 1] != ']')
        return NULL;
    *digits = (size_t)(said + length - 1 - (bracket + 1));
    if (*digits != HASH_DIGITS && *digits != SHA256_DIGITS) return NULL;
    *name_length = (size_t)(bracket - 1 - said);
    return bracket + 1;
}

static bool has_hash(const struct listed_checkpoint *model, const char *hash,
                     size_t digits)
{
    return model->sha256[0] && (digits == HASH_DIGITS || digits == SHA256_DIGITS) &&
           strncasecmp(model->sha256, hash, digits) == 0;
}

enum match {
    NO_MATCH,
    BEGINS_SO,
    IN_OTHER_CASE,
    IS_HASH,
    IS_NAME,
    IS_TITLE,
    MATCH_COUNT
};

/* With a hash it is a title, or the name: no part of the path may be missing. */
static bool is_named(const struct listed_checkpoint *model, const char *said,
                     size_t length, bool has_hash, compare_text *compare)
{
    return is_same(model->name, said, length, compare) ||
           (has_hash ? is_same(model->file, said, length, compare)
                     : is_file_name(model->file, said, length, compare));
}

/* A hash in brackets has to be the model's, where that is known: a title of an older file means nothing now. */
static enum match match_model(const struct listed_checkpoint *model, const char *said)
{
    size_t length, digits;
    const char *const hash = split_hash(said, &length, &digits);
    if (strcmp(model->title, said) == 0) return IS_TITLE;
    if (!hash && has_hash(model, said, length)) return IS_HASH;
    if (hash && model->sha256[0] && !has_hash(model, hash, digits)) return NO_MATCH;
    if (is_named(model, said, length, hash, strncmp)) return IS_NAME;
    if (is_named(model, said, length, hash, strncasecmp)) return IN_OTHER_CASE;
    return !hash && length && strncasecmp(model->title, said, length) == 0 ? BEGINS_SO
                                                                           : NO_MATCH;
}

/* ", name" to a list for a message, up to MOST_NAMED. */
static void add_name(char text[static DR_TEXT_BYTES], size_t idx, const char *name)
{
    const size_t used = strlen(text);
    if (idx < MOST_NAMED)
        (void)snprintf(text + used, DR_TEXT_BYTES - used, "%s%.120s", idx ? ", " : "",
                       name);
    else if (idx == MOST_NAMED)
        (void)snprintf(text + used, DR_TEXT_BYTES - used, ", ...");
}

static enum dr_code say_models(const struct model_snapshot *list, const char *said,
                               enum match match, struct dr_error *err)
{
    char names[DR_TEXT_BYTES] = "";
    size_t count = 0;
    for (size_t i = 0; i < list->model_count; ++i)
        if (match == NO_MATCH || match_model(&list->models[i], said) == match)
            add_name(names, count++, list->models[i].title);
    if (match != NO_MATCH)
        return failure(err, DR_BAD_INPUT,
                       "\"%.100s\" means %zu models: %s; give the title of one", said,
                       count, names);
    return failure(err, DR_NOT_FOUND, "there is no model \"%.100s\"; there %s %s", said,
                   list->model_count == 1 ? "is" : "are",
                   list->model_count ? names : "none");
}

enum dr_code model_names_find(const struct model_snapshot *list, const char *said,
                              const struct listed_checkpoint **model,
                              struct dr_error *err)
{
    const struct listed_checkpoint *found = NULL;
    enum match best = NO_MATCH;
    size_t count = 0;
    for (size_t i = 0; i < list->model_count; ++i) {
        const enum match match = match_model(&list->models[i], said);
        if (match == NO_MATCH || match < best) continue;
        /* Files of one hash are the same: the first will do. */
        if (match == best && match == IS_HASH) continue;
        count = match > best ? 1 : count + 1;
        if (match > best) found = &list->models[i];
        best = match;
    }
    if (count != 1) return say_models(list, said, best, err);
    *model = found;
    return DR_OK;
}

/* ---- VAEs -------------------------------------------------------------------------------- */

static bool is_one_of(const char *said, const char *const *words)
{
    for (; *words; ++words)
        if (strcasecmp(said, *words) == 0) return true;
    return false;
}

static enum match match_vae(const struct listed_vae_file *vae, const char *said)
{
    const size_t length = strlen(said);
    if (strcmp(vae->name, said) == 0) return IS_TITLE;
    if (is_file_name(vae->name, said, length, strncmp)) return IS_NAME;
    return is_file_name(vae->name, said, length, strncasecmp) ? IN_OTHER_CASE
                                                              : NO_MATCH;
}

static enum dr_code say_vaes(const struct model_snapshot *list, const char *said,
                             enum match match, struct dr_error *err)
{
    char names[DR_TEXT_BYTES] = "";
    size_t count = 0;
    for (size_t i = 0; i < list->vae_count; ++i)
        if (match == NO_MATCH || match_vae(&list->vaes[i], said) == match)
            add_name(names, count++, list->vaes[i].name);
    if (match != NO_MATCH)
        return failure(err, DR_BAD_INPUT,
                       "\"%.100s\" means %zu VAEs: %s; give the full name of one", said,
                       count, names);
    return failure(err, DR_NOT_FOUND,
                   "there is no VAE \"%.100s\"; sd_vae takes Automatic, None%s%s", said,
                   list->vae_count ? ", " : "", names);
}

enum dr_code model_names_find_vae(const struct model_snapshot *list, const char *said,
                                  enum vae_meaning *meaning,
                                  const struct listed_vae_file **vae,
                                  struct dr_error *err)
{
    static const char *const automatic[] = {"automatic", "auto", NULL};
    static const char *const none[] = {"none",  "default",  "built-in",
                                       "baked", "original", NULL};
    const struct listed_vae_file *found = NULL;
    enum match best = NO_MATCH;
    size_t count = 0;
    if (is_one_of(said, automatic) || is_one_of(said, none)) {
        *meaning = is_one_of(said, none) ? VAE_MEANS_NONE : VAE_MEANS_AUTOMATIC;
        return DR_OK;
    }
    for (size_t i = 0; i < list->vae_count; ++i) {
        const enum match match = match_vae(&list->vaes[i], said);
        if (match == NO_MATCH || match < best) continue;
        count = match > best ? 1 : count + 1;
        if (match > best) found = &list->vaes[i];
        best = match;
    }
    if (count != 1) return say_vaes(list, said, best, err);
    *meaning = VAE_MEANS_FILE;
    *vae = found;
    return DR_OK;
}

/* ---- what clients do not see ------------------------------------------------------------- */

static void cut(char *at, size_t bytes)
{
    memmove(at, at + bytes, strlen(at + bytes) + 1);
}

void model_names_hide(const char *folder, char *text)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        --length;
    size_t parent = length;
    while (parent > 0 && folder[parent - 1] != '/')
        --parent;
    if (*folder != '/' || length < 2) return;
    for (char *at = text; (at = strchr(at, '/')) != NULL;) {
        const bool is_found = strncmp(at, folder, length) == 0;
        if (is_found && at[length] == '/')
            cut(at, length + 1);
        else if (is_found && (!at[length] || strchr(" \t\n\"':;,)", at[length])))
            cut(at, parent);
        else
            ++at;
    }
}
