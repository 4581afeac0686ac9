#include "switch/vae_resolution.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "switch/vae_folder.h"
#include "weights/hub_cache.h"

static const char *const beside_endings[] = {".vae.safetensors", ".vae.sft",
                                             ".vae.ckpt", ".vae.pt"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_any_of(const char *text, const char *const *words)
{
    for (; *words; ++words)
        if (strcasecmp(text, *words) == 0) return true;
    return false;
}

/* ---- a name in the folder --------------------------------------------------------------- */

struct name_search {
    const char *name;
    size_t name_length;
    size_t found_count;
    char found[2][DR_PATH_BYTES];
};

static void note_found(struct name_search *search, const char *path)
{
    if (search->found_count == 1 && path_is_same_file(path, search->found[0])) return;
    if (search->found_count < 2)
        (void)snprintf(search->found[search->found_count], DR_PATH_BYTES, "%s", path);
    ++search->found_count;
}

/* A file's name with or without its extension; a folder's has none. */
static bool is_named(const struct folder_entry *entry, const struct name_search *search)
{
    if (strcmp(entry->name, search->name) == 0) return true;
    if (entry->is_folder) return false;
    const size_t stem_length = (size_t)(vae_extension(entry->name) - entry->name);
    return stem_length == search->name_length &&
           strncmp(entry->name, search->name, stem_length) == 0;
}

/* The VAE folder as it was given, or read now into *own (for vae_folder_free). */
static enum dr_code open_folder(const struct vae_resolution_request *request,
                                struct folder_listing *own,
                                const struct folder_listing **folder,
                                struct dr_error *err)
{
    *own = (struct folder_listing){0};
    *folder = request->folder ? request->folder : own;
    return request->folder
               ? DR_OK
               : vae_folder_read(own, request->vae_folder, request->cancel, err);
}

/* If a limit ended the search, add that to the result. */
static void add_left_out(struct vae_resolution *resolution,
                         const struct folder_listing *folder)
{
    char left_out[DR_TEXT_BYTES];
    const size_t used = strlen(resolution->reason);
    if (*vae_folder_left_out(folder, left_out))
        (void)snprintf(resolution->reason + used, sizeof resolution->reason - used,
                       "; %s", left_out);
}

/* Why a directory is not a VAE. */
static enum dr_code refuse_folder(const char *path, struct dr_error *err)
{
    struct stat status;
    char config[DR_PATH_BYTES];
    DIR *const stream = opendir(path);
    if (!stream) return path_error_set(err, errno, "cannot read directory", path);
    (void)closedir(stream);
    (void)snprintf(config, sizeof config, "%.4000s/config.json", path);
    if (stat(config, &status) != 0 && errno != ENOENT)
        return path_error_set(err, errno, "cannot open", config);
    const enum dr_code code = hub_cache_resolve(path, config, sizeof config, err);
    if (code != DR_OK) return code;
    return error_set(err, DR_NOT_FOUND,
                     "the directory %.600s contains no VAE: neither it nor its vae/ "
                     "has a config.json and a diffusion_pytorch_model file",
                     path);
}

/* A file, or a folder that is a VAE or has one in vae/. */
static enum dr_code resolve_path(struct vae_resolution *resolution, const char *path,
                                 struct dr_error *err)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return path_error_set(err, errno,
                              errno == ENOENT ? "no VAE file or directory"
                                              : "cannot open",
                              path);
    if (S_ISDIR(status.st_mode)) {
        if (!vae_find_in(path, resolution->path)) return refuse_folder(path, err);
    } else if (S_ISREG(status.st_mode)) {
        (void)snprintf(resolution->path, sizeof resolution->path, "%s", path);
    } else {
        return error_set(err, DR_NOT_FOUND,
                         "no VAE file or directory %.800s: it is a device or pipe",
                         path);
    }
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "chosen by path: %.400s", resolution->path);
    return DR_OK;
}

/* Neither a name in the folder nor a path. */
static enum dr_code refuse_name(const struct vae_resolution_request *request,
                                const struct folder_listing *folder,
                                struct dr_error *err)
{
    char left_out[DR_TEXT_BYTES];
    if (!request->vae_folder || !*request->vae_folder)
        return error_set(
            err, DR_NOT_FOUND,
            "no VAE \"%.200s\": there is no such file, and no VAE directory is set "
            "(--vae-dir)",
            request->choice);
    if (folder->refused && folder->refused != ENOENT) {
        const enum dr_code code =
            path_error_set(err, folder->refused, "cannot read directory",
                           folder->refused_path);
        error_prefix(err, "no VAE \"%.200s\" was found", request->choice);
        return code;
    }
    vae_folder_left_out(folder, left_out);
    return error_set(
        err, DR_NOT_FOUND,
        "no VAE \"%.200s\" in the VAE directory %.400s%s, and no file of that name "
        "here%s%s",
        request->choice, request->vae_folder,
        folder->refused ? ", which does not exist" : "", *left_out ? "; " : "",
        left_out);
}

static enum dr_code resolve_name_in(struct vae_resolution *resolution,
                                    const struct vae_resolution_request *request,
                                    const struct folder_listing *folder,
                                    struct dr_error *err)
{
    struct name_search search = {.name = request->choice,
                                 .name_length = strlen(request->choice)};
    for (size_t i = 0; i < folder->count; ++i)
        if (is_named(&folder->entries[i], &search))
            note_found(&search, folder->entries[i].path);
    if (search.found_count > 1)
        return error_set(
            err, DR_BAD_INPUT,
            "\"%.200s\" names more than one VAE: %.300s and %.300s; give the path of "
            "one",
            request->choice, search.found[0], search.found[1]);
    if (search.found_count == 1) {
        (void)snprintf(resolution->path, sizeof resolution->path, "%s",
                       search.found[0]);
        (void)snprintf(resolution->reason, sizeof resolution->reason,
                       "chosen by name, in the VAE directory: %.400s",
                       path_name(search.found[0]));
        add_left_out(resolution, folder);
        return DR_OK;
    }
    if (path_is_taken(request->choice))
        return resolve_path(resolution, request->choice, err);
    return refuse_name(request, folder, err);
}

static enum dr_code resolve_name(struct vae_resolution *resolution,
                                 const struct vae_resolution_request *request,
                                 struct dr_error *err)
{
    struct folder_listing own;
    const struct folder_listing *folder;
    enum dr_code code = open_folder(request, &own, &folder, err);
    if (code == DR_OK) code = resolve_name_in(resolution, request, folder, err);
    folder_listing_free(&own);
    return code;
}

/* ---- automatic -------------------------------------------------------------------------- */

/* <stem>.ending or <stem>.vae.ending */
static bool has_stem(const struct folder_entry *entry, const char *stem)
{
    const size_t length = strlen(stem);
    if (entry->is_folder || strncmp(entry->name, stem, length) != 0) return false;
    const char *const rest = entry->name + length;
    const char *const extension = vae_extension(entry->name);
    return rest == extension ||
           (strncmp(rest, ".vae", 4) == 0 && rest + 4 == extension);
}

static void find_neighbours(const struct vae_resolution_request *request,
                            const struct folder_listing *vae_folder,
                            void (*found)(void *cookie, const char *path), void *cookie)
{
    char folder[DR_PATH_BYTES], path[DR_PATH_BYTES], stem[DR_PATH_BYTES];
    path_folder(request->checkpoint, folder, sizeof folder);
    path_stem(request->checkpoint, stem, sizeof stem);
    for (size_t i = 0; i < COUNT(beside_endings); ++i) {
        const int length =
            snprintf(path, sizeof path, "%s%s%s%s", folder,
                     strcmp(folder, "/") == 0 ? "" : "/", stem, beside_endings[i]);
        if (length > 0 && (size_t)length < sizeof path && vae_is_file(path))
            found(cookie, path);
    }
    for (size_t i = 0; i < vae_folder->count; ++i)
        if (has_stem(&vae_folder->entries[i], stem))
            found(cookie, vae_folder->entries[i].path);
}

enum dr_code vae_neighbours(const struct vae_resolution_request *request,
                            void (*found)(void *cookie, const char *path), void *cookie,
                            struct dr_error *err)
{
    struct folder_listing own;
    const struct folder_listing *folder;
    const enum dr_code code = open_folder(request, &own, &folder, err);
    if (code == DR_OK) find_neighbours(request, folder, found, cookie);
    folder_listing_free(&own);
    return code;
}

struct first_neighbour {
    char path[DR_PATH_BYTES];
    const char *checkpoint;
};

static void take_first(void *cookie, const char *path)
{
    struct first_neighbour *const first = cookie;
    /* A checkpoint that is in the VAE directory does not count as its own VAE file. */
    const bool is_itself = path_is_same_file(path, first->checkpoint);
    if (!first->path[0] && !is_itself)
        (void)snprintf(first->path, sizeof first->path, "%s", path);
}

static void resolve_automatic_in(struct vae_resolution *resolution,
                                 const struct vae_resolution_request *request,
                                 const struct folder_listing *folder)
{
    struct first_neighbour first = {.checkpoint = request->checkpoint};
    find_neighbours(request, folder, take_first, &first);
    if (!first.path[0]) {
        resolution->is_base = true;
        (void)snprintf(resolution->reason, sizeof resolution->reason,
                       "automatic: no matching VAE file; using the checkpoint's own "
                       "VAE");
        return;
    }
    char own_folder[DR_PATH_BYTES], found_folder[DR_PATH_BYTES];
    path_folder(request->checkpoint, own_folder, sizeof own_folder);
    path_folder(first.path, found_folder, sizeof found_folder);
    (void)snprintf(resolution->path, sizeof resolution->path, "%s", first.path);
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "automatic, %s: %.400s",
                   strcmp(own_folder, found_folder) == 0 ? "beside the checkpoint"
                                                         : "in the VAE directory",
                   path_name(first.path));
}

static enum dr_code resolve_automatic(struct vae_resolution *resolution,
                                      const struct vae_resolution_request *request,
                                      struct dr_error *err)
{
    struct folder_listing own;
    const struct folder_listing *folder;
    const enum dr_code code = open_folder(request, &own, &folder, err);
    if (code == DR_OK) {
        resolve_automatic_in(resolution, request, folder);
        add_left_out(resolution, folder);
    }
    folder_listing_free(&own);
    return code;
}

/* ---- the function ----------------------------------------------------------------------- */

enum dr_code vae_resolve(struct vae_resolution *resolution,
                         const struct vae_resolution_request *request,
                         struct dr_error *err)
{
    static const char *const none[] = {"none", "default", "built-in", NULL};
    static const char *const automatic[] = {"automatic", "auto", NULL};
    *resolution = (struct vae_resolution){0};
    const char *const choice = request->choice ? request->choice : "automatic";
    if (is_any_of(choice, automatic))
        return resolve_automatic(resolution, request, err);
    if (is_any_of(choice, none)) {
        resolution->is_base = true;
        (void)snprintf(resolution->reason, sizeof resolution->reason,
                       "%.20s: the checkpoint's own VAE", choice);
        return DR_OK;
    }
    resolution->is_explicit = true;
    if (!*choice || strlen(choice) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is %s; give automatic, none, a name or a path",
                         *choice ? "too long for a path" : "empty");
    if (!strchr(choice, '/')) return resolve_name(resolution, request, err);
    return resolve_path(resolution, choice, err);
}
