/* Looking after the folder of packs: what is there, and whether it is right. */
#define _DEFAULT_SOURCE /* flock */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "mem/region.h"
#include "weights/pack_store.h"

enum {
    ORIGIN_DAYS = 90
};

struct listing {
    struct pack_listing *items;
    size_t count, capacity;
};

/* What follows the 40 digits of a name that this folder's files have; NULL: a stranger's file. */
static const char *end_of(const char *name)
{
    const size_t digits = strspn(name, "0123456789abcdef");
    return digits == PACK_NAME_DIGITS ? name + digits : NULL;
}

static bool has_end(const char *name, const char *end)
{
    const char *const is = end_of(name);
    return is && strcmp(is, end) == 0;
}

/* "....checked.4711.new" */
static bool is_unfinished_record(const char *name)
{
    const char *const end = end_of(name);
    const size_t length = end ? strlen(end) : 0;
    return length > 4 && length < 23 && strcmp(end + length - 4, ".new") == 0;
}

static struct pack_listing *add_item(struct listing *listing)
{
    if (listing->count == listing->capacity) {
        const size_t capacity = listing->capacity ? 2 * listing->capacity : 16;
        struct pack_listing *const grown =
            realloc(listing->items, capacity * sizeof *grown);
        if (!grown) return NULL;
        listing->items = grown;
        listing->capacity = capacity;
    }
    struct pack_listing *const item = &listing->items[listing->count++];
    *item = (struct pack_listing){0};
    return item;
}

/* Does a process hold the lock of who makes or uses a pack? Opened for writing, which NFS wants of such a lock. */
static bool is_locked(const char *path)
{
    const int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) return false;
    const bool locked = flock(descriptor, LOCK_EX | LOCK_NB) != 0;
    (void)close(descriptor);
    return locked;
}

static int64_t modified_ns(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static void mark_path(const char *pack_path, char path[static PACK_PATH_BYTES + 8])
{
    (void)snprintf(path, PACK_PATH_BYTES, "%s", pack_path);
    char *const end = strrchr(path, '.');
    (void)snprintf(end, 16, ".checked");
}

void pack_store_forget(const char *pack_path)
{
    char path[PACK_PATH_BYTES + 8];
    mark_path(pack_path, path);
    (void)unlink(path);
}

static void describe_pack(const struct pack_store *store, struct pack_listing *item)
{
    struct pack pack;
    struct dr_error problem;
    struct stat mark;
    char checked[PACK_PATH_BYTES + 8];
    const enum dr_code code = pack_open(&pack, item->path, NULL, &problem);
    if (code == DR_OK) {
        char path[PACK_PATH_BYTES];
        item->key = pack.key;
        (void)snprintf(item->source, sizeof item->source, "%s", pack.source);
        pack_store_path(store, &pack.key, path);
        item->is_damaged = strcmp(path, item->path) != 0;
        if (item->is_damaged)
            (void)snprintf(item->problem, sizeof item->problem,
                           "it contains other weights than its name says");
        item->is_checked = pack_store_trusts(store, &pack);
        pack_close(&pack);
    } else {
        item->is_outdated = code == DR_CORRUPT && pack_is_outdated(item->path);
        item->is_damaged = code == DR_CORRUPT && !item->is_outdated;
        (void)snprintf(item->problem, sizeof item->problem, "%.255s",
                       item->is_outdated
                           ? "it was made by an earlier version, and is not used"
                           : problem.message);
    }
    mark_path(item->path, checked);
    if (stat(checked, &mark) == 0) item->used_ns = modified_ns(&mark);
    item->is_in_use = is_locked(item->path);
}

static enum dr_code add_file(const struct pack_store *store, struct listing *listing,
                             const char *name, struct dr_error *err)
{
    const bool is_pack = has_end(name, ".pack"), is_draft = has_end(name, ".building");
    struct stat status;
    if (!is_pack && !is_draft) return DR_OK;
    struct pack_listing *const item = add_item(listing);
    if (!item) return error_set(err, DR_NOMEM, "no memory for the list of packs");
    (void)snprintf(item->path, sizeof item->path, "%s/%.63s", store->folder, name);
    if (lstat(item->path, &status)) { /* gone in the meantime */
        --listing->count;
        return DR_OK;
    }
    item->bytes = (uint64_t)status.st_size;
    item->used_ns = modified_ns(&status);
    item->is_being_made = is_draft && is_locked(item->path);
    item->is_leftover = is_draft && !item->is_being_made;
    if (is_pack) describe_pack(store, item);
    return DR_OK;
}

static int by_use(const void *a, const void *b)
{
    const struct pack_listing *const one = a, *const other = b;
    if (one->used_ns != other->used_ns) return one->used_ns > other->used_ns ? -1 : 1;
    return strcmp(one->path, other->path);
}

enum dr_code pack_store_list(const struct pack_store *store, struct pack_listing **list,
                             size_t *count, struct dr_error *err)
{
    struct listing listing = {0};
    if (!pack_store_is_on(store))
        return error_set(err, DR_NOT_FOUND, "%s", store->off_reason);
    DIR *const folder = opendir(store->folder);
    if (!folder)
        return error_set_errno(err, DR_IO, errno, "cannot list %.600s", store->folder);
    enum dr_code code = DR_OK;
    for (const struct dirent *entry = readdir(folder); entry && code == DR_OK;
         entry = readdir(folder))
        code = add_file(store, &listing, entry->d_name, err);
    (void)closedir(folder);
    if (code != DR_OK) {
        free(listing.items);
        return code;
    }
    if (listing.count)
        qsort(listing.items, listing.count, sizeof *listing.items, by_use);
    *list = listing.items;
    *count = listing.count;
    return DR_OK;
}

/* Tell how far it is. Cancelled? */
static enum dr_code look_up(const struct component_progress *progress, const char *path,
                            double share_done, struct dr_error *err)
{
    if (!progress) return DR_OK;
    if (progress->report) progress->report(progress->cookie, share_done);
    if (!cancel_requested(progress->cancel)) return DR_OK;
    return error_set(err, DR_CANCELLED, "reading %s was cancelled", path);
}

static enum dr_code read_whole(const struct pack *pack, const char *path,
                               const struct component_progress *progress,
                               struct dr_error *err)
{
    struct ledger ledger = {0};
    struct region region = {0};
    const struct region_options options = {.bytes = pack->data_bytes,
                                           .tag = REGION_WEIGHTS,
                                           .component = "pack"};
    uint8_t(*const digests)[DIGEST_BYTES] = malloc(pack->section_count * DIGEST_BYTES);
    enum dr_code code =
        digests ? DR_OK : error_set(err, DR_NOMEM, "no memory to check %s", path);
    if (code == DR_OK)
        code = region_map(&region, &ledger, pack->descriptor, pack->data_offset,
                          &options, err);
    for (size_t i = 0; code == DR_OK && i < pack->section_count; ++i) {
        code = look_up(progress, path, (double)i / (double)pack->section_count, err);
        if (code == DR_OK)
            pack_section_digest(region.data, pack->data_bytes, i, digests[i]);
    }
    if (code == DR_OK && region_lost_page(&region))
        code = error_set(err, DR_CORRUPT, "%s is truncated", path);
    if (code == DR_OK)
        code = pack_check(pack, path, (const uint8_t(*)[DIGEST_BYTES])digests, err);
    region_close(&region);
    free(digests);
    return code;
}

enum dr_code pack_store_verify(const struct pack_store *store,
                               struct pack_listing *item,
                               const struct component_progress *progress,
                               struct dr_error *err)
{
    struct pack pack;
    struct dr_error problem;
    enum dr_code code = pack_open(&pack, item->path, &item->key, &problem);
    if (code == DR_OK) code = read_whole(&pack, item->path, progress, &problem);
    if (code == DR_OK) code = look_up(progress, item->path, 1.0, &problem);
    if (code == DR_OK && !pack_store_trusts(store, &pack)) /* looking is no use of it */
        pack_store_trust(store, &pack);
    pack_close(&pack);
    if (code != DR_OK && err) *err = problem;
    if (code == DR_CANCELLED) return code; /* which says nothing about it */
    item->is_checked = code == DR_OK;
    item->is_damaged = code == DR_CORRUPT;
    if (code == DR_OK) return DR_OK;
    pack_store_distrust(store, &item->key);
    (void)snprintf(item->problem, sizeof item->problem, "%.255s", problem.message);
    return code;
}

/* Nobody says when the file of an origin is gone. */
static bool is_outdated(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 &&
           status.st_mtime + (time_t)ORIGIN_DAYS * 24 * 3600 < time(NULL);
}

/* ---- origins ---- */

/* The path in a record, zero-terminated within text; NULL: it is of another digest, or of another component. */
static const char *path_in_record(char *text, const char *digits)
{
    static const char *const kinds[] = {"file of ", "unet of "};
    char *const line = strchr(text, '\n');
    if (!line || strncmp(text, digits, strlen(digits)) != 0) return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        char *const path = line + 1 + strlen(kinds[i]);
        if (strncmp(line + 1, kinds[i], strlen(kinds[i])) != 0) continue;
        path[strcspn(path, "\n")] = '\0';
        return path;
    }
    return NULL;
}

void pack_store_visit_origins(const struct pack_store *store, const char *digits,
                              void (*visit)(void *cookie, const char *path),
                              void *cookie)
{
    DIR *const folder = pack_store_is_on(store) ? opendir(store->folder) : NULL;
    if (!folder) return;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char path[PACK_PATH_BYTES], text[1024];
        if (!has_end(entry->d_name, ".origin")) continue;
        (void)snprintf(path, sizeof path, "%s/%.63s", store->folder, entry->d_name);
        FILE *const file = fopen(path, "re");
        if (!file) continue;
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        (void)fclose(file);
        const char *const found = path_in_record(text, digits);
        if (found) visit(cookie, found);
    }
    (void)closedir(folder);
}

/* Marks without a pack, records that were not finished, old origins. What is missing is found again
 * by reading. */
void pack_store_remove_orphans(const struct pack_store *store, bool all_origins)
{
    DIR *const folder = opendir(store->folder);
    if (!folder) return;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char path[PACK_PATH_BYTES], pack[PACK_PATH_BYTES + 8];
        const bool is_mark = has_end(entry->d_name, ".checked");
        const bool is_origin = has_end(entry->d_name, ".origin");
        if (!is_mark && !is_origin && !is_unfinished_record(entry->d_name)) continue;
        (void)snprintf(path, sizeof path, "%s/%.63s", store->folder, entry->d_name);
        (void)snprintf(pack, sizeof pack, "%s", path);
        char *const end = strrchr(pack, '.');
        (void)snprintf(end, sizeof pack - (size_t)(end - pack), ".pack");
        if (is_mark     ? access(pack, F_OK) != 0
            : is_origin ? all_origins || is_outdated(path)
                        : true)
            (void)unlink(path);
    }
    (void)closedir(folder);
}
