#define _XOPEN_SOURCE 700 /* realpath */

/* Models by name: which file a name, the beginning of one or a digest means, and which models there are. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "engine/engine.h"
#include "switch/model_folder.h"
#include "switch/settings.h"
#include "switch/vae_folder.h"
#include "switch/vae_resolution.h"
#include "weights/pack_store.h"

enum {
    LEAST_DIGITS = 6, /* of a digest */
    MOST_NAMED = 8    /* candidates in a message */
};

/* What both calls work with. */
struct search {
    bool only_names; /* complete ones */
    struct dr_settings settings;
    struct model_folder folder;
    struct pack_store store;
};

static enum dr_code search_open(struct search **out,
                                const struct dr_models_options *options,
                                struct dr_error *err)
{
    static const struct dr_models_options none;
    char packs[DR_PATH_BYTES];
    const struct dr_models_options *const how = options ? options : &none;
    struct search *const search = calloc(1, sizeof *search);
    *out = search;
    if (!search) return error_set(err, DR_NOMEM, "no memory for the list of models");
    search->only_names = how->only_names != 0;
    enum dr_code code = dr_settings_read(how->settings_path, &search->settings, err);
    if (code == DR_OK)
        code = model_folder_read(&search->folder, how->model_folders, &search->settings,
                                 err);
    engine_find_pack_folder(how->pack_folder, packs, sizeof packs);
    pack_store_open(&search->store, packs);
    return code;
}

static void search_close(struct search *search)
{
    if (!search) return;
    model_folder_free(&search->folder);
    dr_settings_free(&search->settings);
    free(search);
}

/* ---- one by its name --------------------------------------------------------------------- */

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

static void find_candidates(const struct search *search, const char *name,
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
    const struct search *search;
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
static void find_by_digest(const struct search *search, const char *digits,
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

static enum dr_code say_choice(const struct search *search, const char *name,
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

static enum dr_code choose(const struct search *search, const char *name,
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
static enum dr_code find(const struct search *search, const char *given,
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
    struct search *search = NULL;
    path[0] = '\0';
    enum dr_code code = search_open(&search, options, err);
    if (code == DR_OK) code = find(search, name, path, err);
    search_close(search);
    return code;
}

/* ---- all of them ------------------------------------------------------------------------- */

struct listing {
    const struct search *search;
    struct dr_model_list *list;
    char vae_path[DR_PATH_BYTES]; /* the VAE directory */
    struct folder_listing vaes;
    size_t capacity; /* of the list's models */
    struct pack_listing *packs;
    size_t pack_count;
};

/* The bytes of the packs that were made from it. */
static uint64_t pack_bytes(const struct listing *listing, const char *path)
{
    uint64_t bytes = 0;
    char *const real = realpath(path, NULL);
    for (size_t i = 0; real && i < listing->pack_count; ++i) {
        const char *const of = strstr(listing->packs[i].source, " of ");
        if (of && strcmp(of + 4, real) == 0) bytes += listing->packs[i].bytes;
    }
    free(real);
    return bytes;
}

/* The VAE that a job with it would have where none is given. */
static void describe_vae(const struct listing *listing,
                         const struct checkpoint *checkpoint, const char *path,
                         char vae[static DR_PATH_BYTES])
{
    const struct dr_settings *const settings = &listing->search->settings;
    const struct dr_model_setting *const own = settings_for_model(settings, path);
    char choice[DR_PATH_BYTES];
    struct vae_resolution resolution;
    struct dr_error why;
    (void)settings_expand(own                ? own->vae
                          : settings->vae[0] ? settings->vae
                                             : "automatic",
                          choice);
    const struct vae_resolution_request request = {.choice = choice,
                                                   .checkpoint = path,
                                                   .vae_folder = listing->vae_path,
                                                   .folder = &listing->vaes};
    const bool is_resolved = vae_resolve(&resolution, &request, &why) == DR_OK;
    if (is_resolved && resolution.path[0])
        (void)snprintf(vae, DR_PATH_BYTES, "%s", resolution.path);
    else
        (void)snprintf(vae, DR_PATH_BYTES, "%s",
                       checkpoint->components[ROLE_VAE].count ? "its own" : "none");
}

/* The SHA-256 of the complete file, if it is remembered. */
static void recall_hash(const struct pack_store *store, const struct tensor_file *file,
                        char sha256[static DR_DIGEST_CHARS])
{
    uint8_t digest[DIGEST_BYTES];
    if (file->shard_count == 1 &&
        pack_store_recall_file(store, &file->shards[0], digest))
        digest_hex(digest, sha256);
}

static void describe(const struct listing *listing, const struct checkpoint *checkpoint,
                     const char *path, struct dr_listed_model *model)
{
    (void)snprintf(model->family, sizeof model->family, "%s",
                   family_name(checkpoint->family));
    for (size_t i = 0; i < checkpoint->file.shard_count; ++i)
        model->bytes += checkpoint->file.shards[i].identity.bytes;
    model->packs_bytes = pack_bytes(listing, path);
    recall_hash(&listing->search->store, &checkpoint->file, model->sha256);
}

static bool is_listed(const struct dr_model_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; ++i)
        if (path_is_same(list->models[i].path, path)) return true;
    return false;
}

/* The path below the model directory that it was found in. */
static const char *below_folder(const struct search *search, const char *path)
{
    const struct model_folder *const folder = &search->folder;
    for (size_t i = 0; i < folder->path_count; ++i) {
        const size_t length = strlen(folder->paths[i]);
        if (strncmp(path, folder->paths[i], length) == 0 && path[length] == '/')
            return path + length + 1;
    }
    return path_name(path);
}

static void free_model(struct dr_listed_model *model)
{
    free(model->name);
    free(model->path);
    free(model->file);
    free(model->vae);
    free(model->problem);
}

/* NULL: no memory. */
static struct dr_listed_model *new_model(struct listing *listing)
{
    struct dr_model_list *const list = listing->list;
    if (list->count == listing->capacity) {
        const size_t more = listing->capacity ? 2 * listing->capacity : 16;
        struct dr_listed_model *const grown =
            realloc(list->models, more * sizeof *grown);
        if (!grown) return NULL;
        list->models = grown;
        listing->capacity = more;
    }
    return &list->models[list->count];
}

/* checkpoint: NULL where it could not be read, and problem says why. */
static enum dr_code add_model(struct listing *listing, const struct folder_entry *entry,
                              const struct checkpoint *checkpoint, const char *problem,
                              struct dr_error *err)
{
    struct dr_listed_model *const model = new_model(listing);
    char stem[DR_PATH_BYTES], vae[DR_PATH_BYTES] = "";
    if (!model) return error_set(err, DR_NOMEM, "no memory for the list of models");
    *model = (struct dr_listed_model){0};
    if (checkpoint) {
        describe(listing, checkpoint, entry->path, model);
        describe_vae(listing, checkpoint, entry->path, vae);
    }
    model->name =
        strdup(entry->is_folder ? entry->name
                                : model_folder_stem(entry->name, stem, sizeof stem));
    model->path = strdup(entry->path);
    model->file = strdup(below_folder(listing->search, entry->path));
    model->vae = strdup(vae);
    model->problem = strdup(problem);
    ++listing->list->count;
    return model->name && model->path && model->file && model->vae && model->problem
               ? DR_OK
               : error_set(err, DR_NOMEM, "no memory for the list of models");
}

/* What has no UNet, or is of another kind, is no model; what cannot be read is listed with its defect. */
static enum dr_code add(struct listing *listing, const struct folder_entry *entry,
                        struct dr_error *err)
{
    struct checkpoint checkpoint = {0};
    struct dr_error why = {0};
    enum dr_code code = checkpoint_open(&checkpoint, entry->path, &why);
    const bool is_other =
        code == DR_UNSUPPORTED ||
        (code == DR_OK && checkpoint.components[ROLE_UNET].count == 0);
    if (is_other || is_listed(listing->list, entry->path))
        code = DR_OK;
    else if (code == DR_OK)
        code = add_model(listing, entry, &checkpoint, "", err);
    else
        code = add_model(listing, entry, NULL, why.message, err);
    checkpoint_close(&checkpoint);
    return code;
}

static enum dr_code add_all(struct listing *listing, struct dr_error *err)
{
    const struct search *const search = listing->search;
    const struct folder_entry *entry;
    enum dr_code code = vae_folder_read(&listing->vaes, listing->vae_path, NULL, err);
    if (pack_store_is_on(&search->store))
        (void)!pack_store_list(&search->store, &listing->packs, &listing->pack_count,
                               NULL);
    for (size_t i = 0;
         code == DR_OK && (entry = model_folder_at(&search->folder, i)) != NULL; ++i)
        code = add(listing, entry, err);
    folder_listing_free(&listing->vaes);
    free(listing->packs);
    return code;
}

static enum dr_code copy_folders(const struct model_folder *folder,
                                 struct dr_model_list *list, struct dr_error *err)
{
    list->folder_paths = calloc(folder->path_count + 1, sizeof *list->folder_paths);
    for (size_t i = 0; list->folder_paths && i < folder->path_count; ++i) {
        list->folder_paths[i] = strdup(folder->paths[i]);
        if (!list->folder_paths[i]) break;
        ++list->folder_count;
    }
    return list->folder_paths && list->folder_count == folder->path_count
               ? DR_OK
               : error_set(err, DR_NOMEM, "no memory for the list of models");
}

enum dr_code dr_models_list(const struct dr_models_options *options,
                            struct dr_model_list *list, struct dr_error *err)
{
    struct search *search = NULL;
    *list = (struct dr_model_list){0};
    struct listing *const listing = calloc(1, sizeof *listing);
    enum dr_code code =
        listing ? search_open(&search, options, err)
                : error_set(err, DR_NOMEM, "no memory for the list of models");
    if (code == DR_OK) {
        listing->search = search;
        listing->list = list;
        vae_folder_find(options ? options->vae_folder : NULL,
                        search->settings.vae_folder, listing->vae_path,
                        sizeof listing->vae_path);
        (void)model_folder_describe(&search->folder, list->folders);
        code = add_all(listing, err);
    }
    if (code == DR_OK) code = copy_folders(&search->folder, list, err);
    search_close(search);
    free(listing);
    if (code != DR_OK) dr_model_list_free(list);
    return code;
}

void dr_model_list_free(struct dr_model_list *list)
{
    if (!list) return;
    for (size_t i = 0; i < list->count; ++i)
        free_model(&list->models[i]);
    for (size_t i = 0; i < list->folder_count; ++i)
        free(list->folder_paths[i]);
    free(list->folder_paths);
    free(list->models);
    *list = (struct dr_model_list){0};
}
