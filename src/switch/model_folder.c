#include "switch/model_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path_error.h"
#include "base/xdg.h"
#include "switch/settings.h"
#include "switch/vae_folder.h"
#include "weights/hub_cache.h"

/* ---- what counts as a model -------------------------------------------------------------- */

static bool is_pipeline(const char *folder)
{
    char path[DR_PATH_BYTES];
    const int length = snprintf(path, sizeof path, "%s/model_index.json", folder);
    return length > 0 && (size_t)length < sizeof path && path_is_taken(path);
}

/* A pipeline is one model; so is the download cache of one. */
static enum folder_verdict judge_folder(const char *path,
                                        char taken[static DR_PATH_BYTES])
{
    (void)snprintf(taken, DR_PATH_BYTES, "%s", path);
    if (is_pipeline(path)) return FOLDER_TAKE;
    char snapshot[DR_PATH_BYTES];
    if (hub_cache_is_top(path) &&
        hub_cache_resolve(path, snapshot, sizeof snapshot, NULL) == DR_OK &&
        is_pipeline(snapshot))
        return FOLDER_TAKE;
    return FOLDER_ENTER;
}

/* Models have the extensions that VAEs have. */
static bool is_model_file(const char *path, const char *name)
{
    return vae_extension(name) && vae_is_file(path);
}

/* ---- the directories --------------------------------------------------------------------- */

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the list of models");
}

static enum dr_code add_path(struct model_folder *folder, const char *path,
                             size_t bytes, struct dr_error *err)
{
    char **const grown =
        realloc(folder->paths, (folder->path_count + 1) * sizeof *grown);
    if (!grown) return no_memory(err);
    folder->paths = grown;
    char *const copy = malloc(bytes + 1);
    if (!copy) return no_memory(err);
    memcpy(copy, path, bytes);
    copy[bytes] = '\0';
    char expanded[DR_PATH_BYTES];
    (void)settings_expand(copy, expanded);
    free(copy);
    folder->paths[folder->path_count] = strdup(expanded);
    if (!folder->paths[folder->path_count]) return no_memory(err);
    ++folder->path_count;
    return DR_OK;
}

static enum dr_code add_paths(struct model_folder *folder, const char *list,
                              struct dr_error *err)
{
    enum dr_code code = DR_OK;
    while (*list && code == DR_OK) {
        const size_t length = strcspn(list, ":");
        if (length) code = add_path(folder, list, length, err);
        list += length + (list[length] == ':');
    }
    return code;
}

static enum dr_code find_paths(struct model_folder *folder, const char *option,
                               const struct dr_settings *settings, struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    const char *const said = option ? option : getenv("DARKROOM_MODELS");
    enum dr_code code = DR_OK;
    if (said && *said) return add_paths(folder, said, err);
    if (settings->model_folder_count == 0) {
        (void)xdg_path(XDG_DATA, "models", path, sizeof path);
        return *path ? add_path(folder, path, strlen(path), err) : DR_OK;
    }
    for (size_t i = 0; i < settings->model_folder_count && code == DR_OK; ++i)
        code = add_path(folder, settings->model_folders[i],
                        strlen(settings->model_folders[i]), err);
    return code;
}

/* In place of a directory of models, one model: a file, or a pipeline. */
static bool is_one_model(const char *path)
{
    return is_model_file(path, path) || is_pipeline(path);
}

static enum dr_code take_one(struct folder_listing *listing, const char *path,
                             struct dr_error *err)
{
    const char *const slash = strrchr(path, '/');
    listing->entries = calloc(1, sizeof *listing->entries);
    if (!listing->entries) return no_memory(err);
    listing->count = 1;
    listing->entries[0] =
        (struct folder_entry){.path = strdup(path),
                              .name = strdup(slash ? slash + 1 : path),
                              .is_folder = is_pipeline(path)};
    return listing->entries[0].path && listing->entries[0].name ? DR_OK
                                                                : no_memory(err);
}

enum dr_code model_folder_read(struct model_folder *folder, const char *option,
                               const struct dr_settings *settings, struct dr_error *err)
{
    static const struct folder_walk how = {.what = "model directory",
                                           .is_file = is_model_file,
                                           .judge_folder = judge_folder};
    *folder = (struct model_folder){0};
    enum dr_code code = find_paths(folder, option, settings, err);
    if (code == DR_OK) {
        folder->listings = calloc(folder->path_count + 1, sizeof *folder->listings);
        if (!folder->listings) code = no_memory(err);
    }
    for (size_t i = 0; i < folder->path_count && code == DR_OK; ++i)
        code = is_one_model(folder->paths[i])
                   ? take_one(&folder->listings[i], folder->paths[i], err)
                   : folder_listing_read(&folder->listings[i], folder->paths[i], &how,
                                         err);
    if (code != DR_OK) model_folder_free(folder);
    return code;
}

void model_folder_free(struct model_folder *folder)
{
    for (size_t i = 0; i < folder->path_count; ++i) {
        if (folder->listings) folder_listing_free(&folder->listings[i]);
        free(folder->paths[i]);
    }
    free(folder->listings);
    free(folder->paths);
    *folder = (struct model_folder){0};
}

const struct folder_entry *model_folder_at(const struct model_folder *folder,
                                           size_t idx)
{
    for (size_t i = 0; i < folder->path_count; ++i) {
        if (idx < folder->listings[i].count) return &folder->listings[i].entries[idx];
        idx -= folder->listings[i].count;
    }
    return NULL;
}

const char *model_folder_describe(const struct model_folder *folder,
                                  char text[static DR_TEXT_BYTES])
{
    (void)snprintf(text, DR_TEXT_BYTES, "%s",
                   folder->path_count ? "" : "no model directory");
    for (size_t i = 0; i < folder->path_count; ++i) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, DR_TEXT_BYTES - used, "%s%.200s%s", i ? ", " : "",
                       folder->paths[i],
                       folder->listings[i].refused == ENOENT ? " (does not exist)"
                       : folder->listings[i].refused         ? " (cannot be read)"
                                                             : "");
    }
    return text;
}

/* ---- names ------------------------------------------------------------------------------- */

char *model_folder_stem(const char *name, char *out, size_t out_bytes)
{
    const char *const end = vae_extension(name);
    (void)snprintf(out, out_bytes, "%.*s",
                   (int)(end ? (size_t)(end - name) : strlen(name)), name);
    return out;
}

enum model_match model_folder_match(const struct folder_entry *entry, const char *name)
{
    char stem[DR_PATH_BYTES];
    if (!*name) return MODEL_NO_MATCH;
    if (!entry->is_folder) (void)model_folder_stem(entry->name, stem, sizeof stem);
    if (strcmp(entry->name, name) == 0 ||
        (!entry->is_folder && strcmp(stem, name) == 0))
        return MODEL_NAME;
    return strncmp(entry->name, name, strlen(name)) == 0 ? MODEL_PREFIX
                                                         : MODEL_NO_MATCH;
}
