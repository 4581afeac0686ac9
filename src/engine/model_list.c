#define _XOPEN_SOURCE 700 /* realpath */

/* Which models there are: dr_models_list. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "engine/model_search.h"
#include "switch/settings.h"
#include "switch/vae_folder.h"
#include "switch/vae_resolution.h"

struct listing {
    const struct model_search *search;
    struct dr_model_list *list;
    char vae_path[DR_PATH_BYTES]; /* the VAE directory */
    struct folder_listing vaes;
    size_t capacity;                    /* of the list's models */
    const struct dr_model_list *before; /* NULL: none */
    size_t next_before;                 /* where the next file probably is in it */
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
static void describe_vae(const struct listing *listing, bool has_vae, const char *path,
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
        (void)snprintf(vae, DR_PATH_BYTES, "%s", has_vae ? "its own" : "none");
}

/* What struct dr_listed_model keeps of its file. */
struct known_file {
    struct file_identity identity;
    uint64_t has_vae;
};
static_assert(sizeof(struct known_file) == sizeof((struct dr_listed_model *)0)->state,
              "the state of a listed model is what is known of its file");

/* The SHA-256 of the complete file, if it is remembered. */
static void recall_hash(const struct pack_store *store,
                        const struct file_identity *identity,
                        char sha256[static DR_DIGEST_CHARS])
{
    const struct tensor_shard file = {.descriptor = -1, .identity = *identity};
    uint8_t digest[DIGEST_BYTES];
    if (pack_store_recall_file(store, &file, digest)) digest_hex(digest, sha256);
}

static void describe(const struct checkpoint *checkpoint, struct dr_listed_model *model,
                     struct known_file *known)
{
    const struct tensor_file *const file = &checkpoint->file;
    (void)snprintf(model->family, sizeof model->family, "%s",
                   family_name(checkpoint->family));
    for (size_t i = 0; i < file->shard_count; ++i)
        model->bytes += file->shards[i].identity.bytes;
    if (file->shard_count == 1) known->identity = file->shards[0].identity;
    known->has_vae = checkpoint->components[ROLE_VAE].count > 0;
}

/* ---- files that were read before --------------------------------------------------------- */

static const struct dr_listed_model *find_before(struct listing *listing,
                                                 const char *path)
{
    const struct dr_model_list *const before = listing->before;
    const size_t count = before ? before->count : 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t at = (listing->next_before + i) % count;
        if (strcmp(before->models[at].path, path) != 0) continue;
        listing->next_before = at + 1;
        return &before->models[at];
    }
    return NULL;
}

/* A config beside a file (NAME.yaml) says what it is too, and is not looked at for this. */
static bool has_config(const char *path)
{
    char name[DR_PATH_BYTES];
    const size_t stem = strlen(path) - strlen(path_name(path));
    path_stem(path_name(path), name, sizeof name);
    char config[2 * DR_PATH_BYTES];
    (void)snprintf(config, sizeof config, "%.*s%s.yaml", (int)stem, path, name);
    return path_is_taken(config);
}

/* What is known of a file that is as it was; false: it has to be read. */
static bool is_known(struct listing *listing, const struct folder_entry *entry,
                     struct dr_listed_model *model, struct known_file *known)
{
    struct file_identity now;
    const struct dr_listed_model *const before =
        entry->is_folder ? NULL : find_before(listing, entry->path);
    if (!before || before->problem[0] || has_config(entry->path)) return false;
    memcpy(known, before->state, sizeof *known);
    const int descriptor = open(entry->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    const bool is_same =
        file_identity_read(&now, descriptor, entry->path, NULL) == DR_OK &&
        now.device == known->identity.device && now.inode == known->identity.inode &&
        now.bytes == known->identity.bytes &&
        now.modified_ns == known->identity.modified_ns &&
        now.changed_ns == known->identity.changed_ns;
    (void)close(descriptor);
    memcpy(model->family, before->family, sizeof model->family);
    model->bytes = before->bytes;
    return is_same;
}

/* ---- adding ------------------------------------------------------------------------------ */

/* Each directory is looked into once, so that only several of them have one file twice. */
static bool is_listed(const struct listing *listing, const char *path)
{
    const struct dr_model_list *const list = listing->list;
    if (listing->search->folder.path_count < 2) return false;
    for (size_t i = 0; i < list->count; ++i)
        if (path_is_same(list->models[i].path, path)) return true;
    return false;
}

/* The path below the model directory that it was found in. */
static const char *below_folder(const struct model_search *search, const char *path)
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

/* known: NULL where it could not be read, and problem says why. found has what was read of it. */
static enum dr_code add_model(struct listing *listing, const struct folder_entry *entry,
                              const struct dr_listed_model *found,
                              const struct known_file *known, const char *problem,
                              struct dr_error *err)
{
    struct dr_listed_model *const model = new_model(listing);
    char stem[DR_PATH_BYTES], vae[DR_PATH_BYTES] = "";
    if (!model) return error_set(err, DR_NOMEM, "no memory for the list of models");
    *model = *found;
    if (known) {
        describe_vae(listing, known->has_vae != 0, entry->path, vae);
        model->packs_bytes = pack_bytes(listing, entry->path);
        if (known->identity.bytes)
            recall_hash(&listing->search->store, &known->identity, model->sha256);
        memcpy(model->state, known, sizeof model->state);
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
    struct dr_listed_model found = {0};
    struct known_file known = {0};
    struct dr_error why = {0};
    if (is_listed(listing, entry->path)) return DR_OK;
    if (is_known(listing, entry, &found, &known))
        return add_model(listing, entry, &found, &known, "", err);
    found = (struct dr_listed_model){0};
    known = (struct known_file){0};
    enum dr_code code = checkpoint_open(&checkpoint, entry->path, &why);
    if (code == DR_UNSUPPORTED ||
        (code == DR_OK && checkpoint.components[ROLE_UNET].count == 0)) {
        code = DR_OK;
    } else if (code == DR_OK) {
        describe(&checkpoint, &found, &known);
        code = add_model(listing, entry, &found, &known, "", err);
    } else {
        code = add_model(listing, entry, &found, NULL, why.message, err);
    }
    checkpoint_close(&checkpoint);
    return code;
}

static enum dr_code add_all(struct listing *listing, struct dr_error *err)
{
    const struct model_search *const search = listing->search;
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
    struct model_search *search = NULL;
    *list = (struct dr_model_list){0};
    struct listing *const listing = calloc(1, sizeof *listing);
    enum dr_code code =
        listing ? model_search_open(&search, options, err)
                : error_set(err, DR_NOMEM, "no memory for the list of models");
    if (code == DR_OK) {
        listing->search = search;
        listing->list = list;
        listing->before = options ? options->before : NULL;
        vae_folder_find(options ? options->vae_folder : NULL,
                        search->settings.vae_folder, listing->vae_path,
                        sizeof listing->vae_path);
        (void)model_folder_describe(&search->folder, list->folders);
        code = add_all(listing, err);
    }
    if (code == DR_OK) code = copy_folders(&search->folder, list, err);
    model_search_close(search);
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
