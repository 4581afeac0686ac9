/* Which file a name, the beginning of one or a digest means: dr_find_model. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "engine/model_search.h"

enum {
    LEAST_DIGITS = 6, /* of a digest */
    MOST_NAMED = 8    /* candidates in a message */
};

/* Does it hold what makes pictures? */
static bool is_model(const char *path)
{
    struct checkpoint checkpoint = {0};
    const bool is_one = checkpoint_open(&checkpoint, path, NULL) == DR_OK &&
                        checkpoint.components[ROLE_UNET].count > 0;
    checkpoint_close(&checkpoint);
    return is_one;
}

/* The candidates of a name: those that match it best. */
struct candidates {
    char first[DR_PATH_BYTES];
    size_t count;
    char names[DR_TEXT_BYTES];
};

static void add_candidate(struct candidates *found, const char *path)
{
    const size_t used = strlen(found->names);
    if (found->count && path_is_same_file(found->first, path)) return;
    if (found->count < MOST_NAMED)
        (void)snprintf(found->names + used, sizeof found->names - used, "%s%.150s",
                       found->count ? ", " : "", path);
    else if (found->count == MOST_NAMED)
        (void)snprintf(found->names + used, sizeof found->names - used, ", ...");
    if (!found->count++) (void)snprintf(found->first, sizeof found->first, "%s", path);
}

static void find_candidates(const struct model_search *search, const char *name,
                            bool only_models, struct candidates *out)
{
    struct candidates *const found = calloc(MODEL_NAME + 1, sizeof *found);
    const struct folder_entry *entry;
    *out = (struct candidates){0};
    for (size_t i = 0; found && (entry = model_folder_at(&search->folder, i)) != NULL;
         ++i) {
        const enum model_match match = model_folder_match(entry, name);
        if (match == MODEL_NO_MATCH || (match == MODEL_PREFIX && search->only_names) ||
            (only_models && !is_model(entry->path)))
            continue;
        add_candidate(&found[match], entry->path);
    }
    if (found) *out = found[MODEL_NAME].count ? found[MODEL_NAME] : found[MODEL_PREFIX];
    free(found);
}

static bool is_digest(const char *name)
{
    const size_t length = strlen(name);
    return length >= LEAST_DIGITS && length < DIGEST_HEX &&
           strspn(name, "0123456789abcdef") == length;
}

/* The beginning of a digest, but for its length? */
static bool is_too_short(const char *name)
{
    const size_t length = strlen(name);
    static_assert(LEAST_DIGITS == 6, "the message has the number");
    return length < LEAST_DIGITS && strspn(name, "0123456789abcdef") == length;
}

/* Is one of the digests that were remembered of the file, as it is now, one that begins so? */
static bool has_digest(const struct pack_store *store, const char *path,
                       const char *digits)
{
    struct checkpoint checkpoint = {0};
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    bool has = false;
    if (checkpoint_open(&checkpoint, path, NULL) == DR_OK) {
        const struct tensor_file *const file = &checkpoint.file;
        has = pack_store_recall(store, &checkpoint.components[ROLE_UNET], digest) &&
              strncmp(digest_hex(digest, hex), digits, strlen(digits)) == 0;
        has |= file->shard_count == 1 &&
               pack_store_recall_file(store, &file->shards[0], digest) &&
               strncmp(digest_hex(digest, hex), digits, strlen(digits)) == 0;
    }
    checkpoint_close(&checkpoint);
    return has;
}

/* Those that were used before, wherever they lie. */
struct digest_search {
    const struct model_search *search;
    const char *digits;
    struct candidates *found;
};

static void add_used(void *cookie, const char *path)
{
    const struct digest_search *const by = cookie;
    if (by->found->count == 0 && has_digest(&by->search->store, path, by->digits))
        add_candidate(by->found, path);
}

/* Files of one digest are the same: the first will do. */
static void find_by_digest(const struct model_search *search, const char *digits,
                           struct candidates *found)
{
    const struct folder_entry *entry;
    if (!is_digest(digits)) return;
    for (size_t i = 0;
         !found->count && (entry = model_folder_at(&search->folder, i)) != NULL; ++i)
        if (has_digest(&search->store, entry->path, digits))
            add_candidate(found, entry->path);
    if (found->count) return;
    struct digest_search by = {search, digits, found};
    pack_store_visit_origins(&search->store, digits, add_used, &by);
}

static enum dr_code say_choice(const struct model_search *search, const char *name,
                               const struct candidates *found,
                               char path[static DR_PATH_BYTES], struct dr_error *err)
{
    char where[DR_TEXT_BYTES];
    if (found->count == 1) {
        (void)snprintf(path, DR_PATH_BYTES, "%s", found->first);
        return DR_OK;
    }
    if (found->count > 1)
        return error_set(err, DR_BAD_INPUT,
                         "\"%.100s\" means %zu models: %s; give more of the name, or "
                         "the path",
                         name, found->count, found->names);
    return error_set(err, DR_NOT_FOUND,
                     "there is no model \"%.200s\": no file here has this path, and no "
                     "model in %.450s has this name, beginning or digest%s; darkroom "
                     "models lists them",
                     name, model_folder_describe(&search->folder, where),
                     is_too_short(name) ? " (at least 6 digits)" : "");
}

static enum dr_code choose(const struct model_search *search, const char *name,
                           char path[static DR_PATH_BYTES], struct dr_error *err)
{
    struct candidates *const found = calloc(2, sizeof *found);
    if (!found) return error_set(err, DR_NOMEM, "no memory for the list of models");
    find_candidates(search, name, false, found);
    if (found->count > 1) { /* a VAE beside it has the same beginning */
        find_candidates(search, name, true, &found[1]);
        if (found[1].count) *found = found[1];
    }
    if (found->count == 0) find_by_digest(search, name, found);
    const enum dr_code code = say_choice(search, name, found, path, err);
    free(found);
    return code;
}

/* A path comes first. */
static enum dr_code find(const struct model_search *search, const char *given,
                         char path[static DR_PATH_BYTES], struct dr_error *err)
{
    const char *const name = given && *given ? given : search->settings.model;
    if (!*name)
        return error_set(err, DR_BAD_INPUT,
                         "no model was given: give one with -m FILE, or set one with "
                         "darkroom settings --default-model MODEL");
    if (strlen(name) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the model's path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    if (search->only_names || (!strchr(name, '/') && !path_is_taken(name)))
        return choose(search, name, path, err);
    (void)snprintf(path, DR_PATH_BYTES, "%s", name);
    return DR_OK;
}

enum dr_code dr_find_model(const char *name, const struct dr_models_options *options,
                           char path[DR_PATH_BYTES], struct dr_error *err)
{
    struct model_search *search = NULL;
    path[0] = '\0';
    enum dr_code code = model_search_open(&search, options, err);
    if (code == DR_OK) code = find(search, name, path, err);
    model_search_close(search);
    return code;
}
