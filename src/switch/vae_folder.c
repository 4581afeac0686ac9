/* Folders wait in a queue, which is also the list of those that were seen: not by recursion, since
 * what is on the disk decides the depth. */
#include "switch/vae_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/path_error.h"
#include "base/xdg.h"
#include "weights/hub_cache.h"

enum {
    MOST_LEVELS = 6,
    MOST_LOOKED_AT = 20000
};

/* ---- what counts as a VAE ---------------------------------------------------------------- */

static const char *const extensions[] = {".safetensors", ".sft", ".ckpt",
                                         ".pt",          ".pth", ".bin"};

const char *vae_extension(const char *name)
{
    const char *const dot = strrchr(name, '.');
    if (!dot || dot == name) return NULL;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; ++i)
        if (strcasecmp(dot, extensions[i]) == 0) return dot;
    return NULL;
}

bool vae_is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? S_ISREG(status.st_mode) : path_is_broken(path);
}

static bool has_file(const char *folder, const char *name)
{
    char path[DR_PATH_BYTES];
    struct stat status;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && lstat(path, &status) == 0 &&
           vae_is_file(path);
}

static int is_diffusers_file(const struct dirent *entry)
{
    return strncmp(entry->d_name, "diffusion_pytorch_model", 23) == 0;
}

/* A config.json alone may be a note that a download program left beside other files. */
static bool has_network(const char *folder)
{
    struct dirent **entries = NULL;
    if (!has_file(folder, "config.json")) return false;
    const int count = scandir(folder, &entries, is_diffusers_file, NULL);
    for (int i = 0; i < count; ++i)
        free(entries[i]);
    free(entries);
    return count > 0;
}

bool vae_find_in(const char *folder, char path[static DR_PATH_BYTES])
{
    if (hub_cache_resolve(folder, path, DR_PATH_BYTES, NULL) != DR_OK) return false;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        --length;
    if (length + sizeof "/vae" > DR_PATH_BYTES) return false;
    path[length] = '\0';
    if (has_network(path)) return true;
    memcpy(path + length, "/vae", sizeof "/vae");
    return has_network(path);
}

/* ---- the walk ---------------------------------------------------------------------------- */

struct place { /* a folder to look into, or that was looked into */
    char *path;
    int level;
    dev_t device;
    ino_t inode;
};

struct walk {
    struct vae_folder *folder;
    const struct cancel *cancel;
    struct place *places;
    size_t place_count, place_capacity, entry_capacity;
    size_t looked_at;
    struct dr_error *err;
};

static enum dr_code no_memory(const struct walk *walk)
{
    return error_set(walk->err, DR_NOMEM,
                     "no memory for the list of the VAE "
                     "directory");
}

/* The array with room for one more, or NULL: then it is as it was. */
static void *make_room(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity) return items;
    const size_t more = *capacity ? 2 * *capacity : 16;
    void *const grown = realloc(items, more * item_bytes);
    if (grown) *capacity = more;
    return grown;
}

/* Queue a folder, unless it was seen. */
static enum dr_code add_place(struct walk *walk, const char *path, int level,
                              const struct stat *status)
{
    for (size_t i = 0; i < walk->place_count; ++i)
        if (walk->places[i].inode == status->st_ino &&
            walk->places[i].device == status->st_dev)
            return DR_OK;
    if (level > MOST_LEVELS) {
        walk->folder->has_deeper = true;
        return DR_OK;
    }
    struct place *const places = make_room(walk->places, &walk->place_capacity,
                                           walk->place_count, sizeof *places);
    if (!places) return no_memory(walk);
    walk->places = places;
    char *const copy = strdup(path);
    if (!copy) return no_memory(walk);
    walk->places[walk->place_count++] =
        (struct place){copy, level, status->st_dev, status->st_ino};
    return DR_OK;
}

static enum dr_code add_entry(struct walk *walk, const char *path, const char *name,
                              bool is_folder)
{
    struct vae_folder *const folder = walk->folder;
    struct vae_entry *const entries = make_room(folder->entries, &walk->entry_capacity,
                                                folder->count, sizeof *entries);
    if (!entries) return no_memory(walk);
    folder->entries = entries;
    struct vae_entry *const entry = &entries[folder->count++];
    *entry = (struct vae_entry){strdup(path), strdup(name), is_folder};
    return entry->path && entry->name ? DR_OK : no_memory(walk);
}

/* One VAE, or a folder to look into. A pipeline's other networks are no VAEs. */
static enum dr_code look_at_folder(struct walk *walk, const char *path,
                                   const char *name, int level,
                                   const struct stat *status)
{
    char vae[DR_PATH_BYTES];
    if (hub_cache_is_top(path) && vae_find_in(path, vae))
        return add_entry(walk, vae, name, true);
    const bool is_vae = has_network(path) || has_file(path, "model_index.json");
    if (!is_vae) return add_place(walk, path, level + 1, status);
    return vae_find_in(path, vae) ? add_entry(walk, vae, name, true) : DR_OK;
}

static enum dr_code look_at(struct walk *walk, const struct place *place,
                            const char *name)
{
    char path[DR_PATH_BYTES];
    struct stat status;
    if (cancel_requested(walk->cancel))
        return error_set(walk->err, DR_CANCELLED,
                         "searching the VAE directory was cancelled");
    if (++walk->looked_at > MOST_LOOKED_AT) {
        walk->folder->has_more = true;
        return DR_OK;
    }
    const int length = snprintf(path, sizeof path, "%s/%s", place->path, name);
    if (length <= 0 || (size_t)length >= sizeof path) return DR_OK;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return look_at_folder(walk, path, name, place->level, &status);
    return vae_extension(name) && vae_is_file(path) ? add_entry(walk, path, name, false)
                                                    : DR_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static enum dr_code look_into(struct walk *walk, size_t at)
{
    const struct place place = walk->places[at]; /* the queue may move */
    struct vae_folder *const folder = walk->folder;
    struct dirent **names = NULL;
    enum dr_code code = DR_OK;
    const int count = scandir(place.path, &names, not_hidden, by_name);
    if (count < 0 && !folder->refused) {
        folder->refused = errno;
        (void)snprintf(folder->refused_path, sizeof folder->refused_path, "%s",
                       place.path);
    }
    for (int i = 0; i < count; ++i) {
        if (code == DR_OK && !folder->has_more)
            code = look_at(walk, &place, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return code;
}

enum dr_code vae_folder_read(struct vae_folder *folder, const char *path,
                             const struct cancel *cancel, struct dr_error *err)
{
    struct walk walk = {.folder = folder, .cancel = cancel, .err = err};
    struct stat status = {0};
    *folder = (struct vae_folder){0};
    if (!path || !*path) return DR_OK;
    (void)stat(path, &status); /* scandir says what is wrong with it */
    enum dr_code code = add_place(&walk, path, 0, &status);
    for (size_t at = 0; code == DR_OK && !folder->has_more && at < walk.place_count;
         ++at)
        code = look_into(&walk, at);
    for (size_t i = 0; i < walk.place_count; ++i)
        free(walk.places[i].path);
    free(walk.places);
    if (code != DR_OK) vae_folder_free(folder);
    return code;
}

void vae_folder_free(struct vae_folder *folder)
{
    for (size_t i = 0; i < folder->count; ++i) {
        free(folder->entries[i].path);
        free(folder->entries[i].name);
    }
    free(folder->entries);
    *folder = (struct vae_folder){0};
}

const char *vae_folder_left_out(const struct vae_folder *folder,
                                char text[static DR_TEXT_BYTES])
{
    text[0] = '\0';
    if (folder->has_more)
        (void)snprintf(text, DR_TEXT_BYTES,
                       "only the first %d files and directories of the VAE directory "
                       "were searched",
                       MOST_LOOKED_AT);
    else if (folder->has_deeper)
        (void)snprintf(text, DR_TEXT_BYTES,
                       "the VAE directory was searched down to %d levels below it",
                       MOST_LEVELS);
    return text;
}

void vae_folder_find(const char *option, const char *setting, char *folder,
                     size_t folder_bytes)
{
    const char *const said = option ? option : getenv("DARKROOM_VAE_DIR");
    if (said && *said)
        (void)snprintf(folder, folder_bytes, "%s", said);
    else if (*setting)
        (void)snprintf(folder, folder_bytes, "%s", setting);
    else
        (void)xdg_path(XDG_DATA, "vae", folder, folder_bytes);
}
