#include "weights/hub_cache.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path_error.h"

enum {
    NAME_BYTES = 256,
    LISTED_SNAPSHOTS = 6
};

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool join(char out[static PATH_MAX], const char *folder, const char *name)
{
    const int length = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

bool hub_cache_is_top(const char *path)
{
    char snapshots[PATH_MAX], blobs[PATH_MAX], refs[PATH_MAX];
    return join(snapshots, path, "snapshots") && is_folder(snapshots) &&
           ((join(blobs, path, "blobs") && is_folder(blobs)) ||
            (join(refs, path, "refs") && is_folder(refs)));
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The directories below snapshots/, by name. */
struct snapshots {
    char names[LISTED_SNAPSHOTS][NAME_BYTES]; /* the first of them */
    size_t count;
};

static enum dr_code list_snapshots(const char *folder, struct snapshots *list,
                                   struct dr_error *err)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, not_hidden, alphasort);
    if (count < 0) return path_error_set(err, errno, "cannot read directory", folder);
    *list = (struct snapshots){0};
    for (int i = 0; i < count; ++i) {
        char path[PATH_MAX];
        if (join(path, folder, entries[i]->d_name) && is_folder(path)) {
            if (list->count < LISTED_SNAPSHOTS)
                (void)snprintf(list->names[list->count], NAME_BYTES, "%s",
                               entries[i]->d_name);
            ++list->count;
        }
        free(entries[i]);
    }
    free(entries);
    if (list->count > 0) return DR_OK;
    return error_set(err, DR_NOT_FOUND,
                     "%.600s contains no snapshot: download the model again", folder);
}

/* What refs/main says; "" where it says nothing that can be a name. */
static void read_main(const char *top, char name[static NAME_BYTES])
{
    char path[PATH_MAX];
    *name = '\0';
    FILE *const file = join(path, top, "refs/main") ? fopen(path, "re") : NULL;
    if (!file) return;
    if (!fgets(name, NAME_BYTES, file)) *name = '\0';
    (void)fclose(file);
    name[strcspn(name, " \t\r\n")] = '\0';
    if (name[0] == '.' || strchr(name, '/')) *name = '\0';
}

static enum dr_code refuse_several(const char *top, const struct snapshots *list,
                                   const char *main_name, struct dr_error *err)
{
    char names[512] = "";
    for (size_t i = 0; i < list->count && i < LISTED_SNAPSHOTS; ++i)
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.64s",
                       i ? ", " : "", list->names[i]);
    return error_set(err, DR_BAD_INPUT,
                     "%.400s contains %zu snapshots, and refs/main %s%.64s: give one "
                     "of them, snapshots/NAME: %s%s",
                     top, list->count,
                     *main_name ? "names another, " : "does not name one", main_name,
                     names, list->count > LISTED_SNAPSHOTS ? ", ..." : "");
}

enum dr_code hub_cache_resolve(const char *path, char *out, size_t out_bytes,
                               struct dr_error *err)
{
    char folder[PATH_MAX], chosen[PATH_MAX], name[NAME_BYTES];
    struct snapshots list = {0};
    const char *meant = path;
    if (hub_cache_is_top(path) && join(folder, path, "snapshots")) {
        read_main(path, name);
        meant = chosen;
        if (!*name || !join(chosen, folder, name) || !is_folder(chosen)) {
            const enum dr_code code = list_snapshots(folder, &list, err);
            if (code) return code;
            if (list.count > 1) return refuse_several(path, &list, name, err);
            if (!join(chosen, folder, list.names[0])) meant = NULL;
        }
    }
    if (!meant || strlen(meant) >= out_bytes)
        return error_set(err, DR_BAD_INPUT, "%.200s...: the path is too long", path);
    (void)snprintf(out, out_bytes, "%s", meant);
    return DR_OK;
}
