/* Folders wait in a queue, which is also the list of those that were seen: not by recursion, since
 * what is on the disk decides the depth. */
#include "switch/folder_listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

enum {
    MOST_LEVELS = 6,
    MOST_LOOKED_AT = 20000
};

struct place { /* a folder to look into, or that was looked into */
    char *path;
    int level;
    dev_t device;
    ino_t inode;
};

struct walk {
    struct folder_listing *folder;
    const struct folder_walk *how;
    struct place *places;
    size_t place_count, place_capacity, entry_capacity;
    size_t looked_at;
    struct dr_error *err;
};

static enum dr_code no_memory(const struct walk *walk)
{
    return error_set(walk->err, DR_NOMEM, "no memory for the list of the %s",
                     walk->how->what);
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
    struct folder_listing *const folder = walk->folder;
    struct folder_entry *const entries =
        make_room(folder->entries, &walk->entry_capacity, folder->count,
                  sizeof *entries);
    if (!entries) return no_memory(walk);
    folder->entries = entries;
    struct folder_entry *const entry = &entries[folder->count++];
    *entry = (struct folder_entry){strdup(path), strdup(name), is_folder};
    return entry->path && entry->name ? DR_OK : no_memory(walk);
}

static enum dr_code look_at_folder(struct walk *walk, const char *path,
                                   const char *name, int level,
                                   const struct stat *status)
{
    char taken[DR_PATH_BYTES];
    const struct folder_walk *const how = walk->how;
    switch (how->judge_folder ? how->judge_folder(path, taken) : FOLDER_ENTER) {
    case FOLDER_ENTER: return add_place(walk, path, level + 1, status);
    case FOLDER_TAKE: return add_entry(walk, taken, name, true);
    case FOLDER_SKIP: break;
    }
    return DR_OK;
}

static enum dr_code look_at(struct walk *walk, const struct place *place,
                            const char *name)
{
    char path[DR_PATH_BYTES];
    struct stat status;
    if (cancel_requested(walk->how->cancel))
        return error_set(walk->err, DR_CANCELLED, "searching the %s was cancelled",
                         walk->how->what);
    if (++walk->looked_at > MOST_LOOKED_AT) {
        walk->folder->has_more = true;
        return DR_OK;
    }
    const int length = snprintf(path, sizeof path, "%s/%s", place->path, name);
    if (length <= 0 || (size_t)length >= sizeof path) return DR_OK;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return look_at_folder(walk, path, name, place->level, &status);
    return walk->how->is_file(path, name) ? add_entry(walk, path, name, false) : DR_OK;
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
    struct folder_listing *const folder = walk->folder;
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

static enum dr_code add_root(struct walk *walk, const char *path)
{
    struct stat status = {0};
    (void)stat(path, &status); /* scandir says what is wrong with it */
    return add_place(walk, path, 0, &status);
}

static enum dr_code add_roots(struct walk *walk, const char *list)
{
    enum dr_code code = DR_OK;
    while (*list && code == DR_OK) {
        char path[DR_PATH_BYTES];
        const size_t length = strcspn(list, ":");
        (void)snprintf(path, sizeof path, "%.*s", (int)length, list);
        if (length > 0 && length < sizeof path) code = add_root(walk, path);
        list += length + (list[length] == ':');
    }
    return code;
}

enum dr_code folder_listing_read(struct folder_listing *folder, const char *path,
                                 const struct folder_walk *how, struct dr_error *err)
{
    struct walk walk = {.folder = folder, .how = how, .err = err};
    *folder = (struct folder_listing){0};
    if (!path || !*path) return DR_OK;
    enum dr_code code =
        how->takes_several ? add_roots(&walk, path) : add_root(&walk, path);
    for (size_t at = 0; code == DR_OK && !folder->has_more && at < walk.place_count;
         ++at)
        code = look_into(&walk, at);
    for (size_t i = 0; i < walk.place_count; ++i)
        free(walk.places[i].path);
    free(walk.places);
    if (code != DR_OK) folder_listing_free(folder);
    return code;
}

void folder_listing_free(struct folder_listing *folder)
{
    for (size_t i = 0; i < folder->count; ++i) {
        free(folder->entries[i].path);
        free(folder->entries[i].name);
    }
    free(folder->entries);
    *folder = (struct folder_listing){0};
}

const char *folder_listing_below(const char *directories, const char *path)
{
    while (*directories) {
        const size_t entry = strcspn(directories, ":");
        size_t length = entry;
        while (length > 0 && directories[length - 1] == '/')
            --length;
        if (length > 0 && strncmp(path, directories, length) == 0 &&
            path[length] == '/')
            return path + length + strspn(path + length, "/");
        directories += entry + (directories[entry] == ':');
    }
    return path;
}

const char *folder_listing_left_out(const struct folder_listing *folder,
                                    const char *what, char text[static DR_TEXT_BYTES])
{
    text[0] = '\0';
    if (folder->has_more)
        (void)snprintf(
            text, DR_TEXT_BYTES,
            "only the first %d files and directories of the %s were searched",
            MOST_LOOKED_AT, what);
    else if (folder->has_deeper)
        (void)snprintf(text, DR_TEXT_BYTES,
                       "the %s was searched down to %d levels below it", what,
                       MOST_LEVELS);
    return text;
}
