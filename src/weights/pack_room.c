#define _DEFAULT_SOURCE /* flock */

#include "weights/pack_room.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/size.h"

enum {
    LIMIT_SHARE = 4,      /* of the free space and the packs together */
    LEFT_FREE_SHARE = 20, /* of the disk ... */
    LOCK_TRIES = 200,     /* of LOCK_NS each: then without */
    LOCK_NS = 50000000
};
#define LEFT_FREE_MOST ((uint64_t)1 << 30) /* ... but no more than this */

/* ---- the disk ---- */

struct disk {
    uint64_t free_bytes;   /* for this user */
    uint64_t usable_bytes; /* without what is always left free */
};

static bool look_at_disk(const char *folder, struct disk *disk)
{
    struct statvfs status;
    *disk = (struct disk){0};
    if (statvfs(folder, &status)) return false;
    const uint64_t share =
        (uint64_t)status.f_blocks * status.f_frsize / LEFT_FREE_SHARE;
    const uint64_t kept = share < LEFT_FREE_MOST ? share : LEFT_FREE_MOST;
    disk->free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    disk->usable_bytes = disk->free_bytes > kept ? disk->free_bytes - kept : 0;
    return true;
}

static const char *words(uint64_t bytes, char text[static 16])
{
    return size_format((size_t)bytes, text);
}

uint64_t pack_room_limit(const struct pack_store *store, uint64_t packs_bytes,
                         char text[static PACK_ROOM_TEXT_BYTES])
{
    struct disk disk;
    char size[16];
    if (store->limit_bytes) {
        (void)snprintf(text, PACK_ROOM_TEXT_BYTES, "%s, as the settings have it",
                       words(store->limit_bytes, size));
        return store->limit_bytes;
    }
    (void)look_at_disk(store->folder, &disk);
    const uint64_t share = (disk.free_bytes + packs_bytes) / LIMIT_SHARE;
    const bool is_most = share > PACK_ROOM_LIMIT_MOST;
    const uint64_t limit = is_most ? PACK_ROOM_LIMIT_MOST : share;
    (void)snprintf(text, PACK_ROOM_TEXT_BYTES, "%s, %s", words(limit, size),
                   is_most ? "the default"
                           : "a quarter of the free space and the packs together");
    return limit;
}

/* ---- who goes ---- */

static bool is_bad(const struct pack_listing *item)
{
    return item->is_leftover || item->is_damaged || item->is_outdated;
}

uint64_t pack_room_choose(struct pack_listing *list, size_t count,
                          uint64_t needed_bytes)
{
    uint64_t going = 0;
    for (size_t i = 0; i < count; ++i) {
        list[i].goes = is_bad(&list[i]);
        if (list[i].goes) going += list[i].bytes;
    }
    for (size_t i = count; i-- > 0 && going < needed_bytes;) {
        struct pack_listing *const item = &list[i]; /* used longest ago first */
        if (item->goes || item->is_in_use || item->is_being_made) continue;
        item->goes = true;
        going += item->bytes;
    }
    return going;
}

/* Under the lock of who makes or uses it: one may have begun to since it was listed. */
static enum dr_code remove_open(const struct pack_listing *item, int descriptor,
                                struct dr_error *err)
{
    struct stat open_one, named;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, DR_BUSY,
                         "%.600s is in use by a process; it can be removed when that "
                         "process has ended or has unloaded the model",
                         item->path);
    if (fstat(descriptor, &open_one) != 0 || lstat(item->path, &named) != 0 ||
        open_one.st_ino != named.st_ino || open_one.st_dev != named.st_dev)
        return error_set(err, DR_NOT_FOUND, "%.600s is gone", item->path);
    if (unlink(item->path) == 0) return DR_OK;
    return error_set_errno(err, DR_IO, errno, "cannot remove %.600s", item->path);
}

enum dr_code pack_room_remove(const struct pack_listing *item, struct dr_error *err)
{
    enum dr_code code;
    const int descriptor = open(item->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW |
                                                O_NONBLOCK); /* as is_locked */
    if (descriptor >= 0) {
        code = remove_open(item, descriptor, err);
        (void)close(descriptor);
    } else if (errno == ENOENT) {
        code = error_set(err, DR_NOT_FOUND, "%.600s is gone", item->path);
    } else { /* a link, or not ours to read */
        code = unlink(item->path) == 0
                   ? DR_OK
                   : error_set_errno(err, DR_IO, errno, "cannot remove %.600s",
                                     item->path);
    }
    if (code == DR_OK && !item->is_leftover) pack_store_forget(item->path);
    return code;
}

/* What goes, in the order in which it goes. Returns the bytes that became free. */
static uint64_t remove_chosen(const struct pack_listing *list, size_t count,
                              size_t *removed_count)
{
    uint64_t freed = 0;
    *removed_count = 0;
    for (size_t i = count; i-- > 0;) {
        if (!list[i].goes) continue;
        const enum dr_code code = pack_room_remove(&list[i], NULL);
        if (code == DR_OK) ++*removed_count;
        if (code == DR_OK || code == DR_NOT_FOUND) freed += list[i].bytes;
    }
    return freed;
}

/* ---- one at a time ---- */

/* For close; -1 where there is no lock to be had: then without. */
static int lock_folder(const struct pack_store *store)
{
    const struct timespec pause = {.tv_nsec = LOCK_NS};
    const int descriptor = open(store->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; descriptor >= 0 && i < LOCK_TRIES; ++i) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
        if (errno != EWOULDBLOCK && errno != EINTR) break;
        (void)nanosleep(&pause, NULL);
    }
    return descriptor;
}

static void unlock_folder(int descriptor)
{
    if (descriptor >= 0) (void)close(descriptor);
}

/* ---- room for one more ---- */

static uint64_t excess(uint64_t have, uint64_t most)
{
    return have > most ? have - most : 0;
}

static enum dr_code beyond_limit(uint64_t file_bytes, uint64_t in_use_bytes,
                                 const char *limit, struct dr_error *err)
{
    char need[16], used[16], beside[64] = "";
    if (in_use_bytes)
        (void)snprintf(beside, sizeof beside, " beside %s of packs that are in use",
                       words(in_use_bytes, used));
    return error_set(err, DR_IO,
                     "no space for a pack: %s%s exceeds the limit on packs (%.200s); "
                     "darkroom settings --packs-limit SIZE changes it",
                     words(file_bytes, need), beside, limit);
}

static enum dr_code disk_is_full(uint64_t file_bytes, uint64_t usable_bytes,
                                 struct dr_error *err)
{
    char need[16], have[16];
    return error_set(err, DR_IO,
                     "no space for a pack: it needs %s (%" PRIu64
                     " bytes), the disk can spare %s (%" PRIu64 " bytes)",
                     words(file_bytes, need), file_bytes, words(usable_bytes, have),
                     usable_bytes);
}

static void say_removed(const struct pack_store *store, size_t count, uint64_t bytes,
                        const char *limit)
{
    char line[PACK_ROOM_TEXT_BYTES + 200], size[16];
    if (!store->note || count == 0) return;
    (void)snprintf(line, sizeof line,
                   "removed %zu pack%s used least recently (%s) to make room; the "
                   "limit on packs is %.300s",
                   count, count == 1 ? "" : "s", words(bytes, size), limit);
    store->note(store->say_cookie, line);
}

/* With the folder locked: remove what has to go. */
static enum dr_code make_room(const struct pack_store *store, struct pack_listing *list,
                              size_t count, uint64_t file_bytes, struct dr_error *err)
{
    struct disk disk;
    char limit_text[PACK_ROOM_TEXT_BYTES];
    uint64_t total = 0;
    size_t removed_count;
    for (size_t i = 0; i < count; ++i)
        total += list[i].bytes;
    const uint64_t limit = pack_room_limit(store, total, limit_text);
    if (!look_at_disk(store->folder, &disk))
        return error_set_errno(err, DR_IO, errno, "cannot look at the disk of %.600s",
                               store->folder);
    if (file_bytes > limit) return beyond_limit(file_bytes, 0, limit_text, err);
    const uint64_t over_limit = excess(total + file_bytes, limit);
    const uint64_t over_disk = excess(file_bytes, disk.usable_bytes);
    const uint64_t needed = over_limit > over_disk ? over_limit : over_disk;
    if (needed == 0) return DR_OK;
    const uint64_t going = pack_room_choose(list, count, needed);
    if (going < over_disk) return disk_is_full(file_bytes, disk.usable_bytes, err);
    if (going < over_limit)
        return beyond_limit(file_bytes, total - going, limit_text, err);
    const uint64_t freed = remove_chosen(list, count, &removed_count);
    say_removed(store, removed_count, freed, limit_text);
    if (freed >= needed) return DR_OK;
    return beyond_limit(file_bytes, total - freed, limit_text, err);
}

static enum dr_code allocate(const struct pack_draft *draft, uint64_t file_bytes,
                             struct dr_error *err)
{
    struct rlimit most;
    char need[16];
    /* Asked here, since the system would send SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
        file_bytes > most.rlim_cur)
        return error_set(err, DR_IO,
                         "no space for a pack: %" PRIu64
                         " bytes exceed the limit on file sizes (ulimit -f)",
                         file_bytes);
    const int refused = fault_strikes(FAULT_WRITE)
                            ? ENOSPC
                            : posix_fallocate(draft->descriptor, 0, (off_t)file_bytes);
    if (refused)
        return error_set_errno(err, DR_IO, refused, "no space for a pack of %s",
                               words(file_bytes, need));
    return DR_OK;
}

enum dr_code pack_room_take(const struct pack_store *store,
                            const struct pack_draft *draft, uint64_t file_bytes,
                            struct dr_error *err)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    if (ftruncate(draft->descriptor, 0))
        return error_set_errno(err, DR_IO, errno, "cannot write %.600s", draft->path);
    const int lock = lock_folder(store);
    enum dr_code code = pack_store_list(store, &list, &count, err);
    if (code == DR_OK) code = make_room(store, list, count, file_bytes, err);
    if (code == DR_OK) code = allocate(draft, file_bytes, err);
    free(list);
    unlock_folder(lock);
    return code;
}

bool pack_room_would_take(const struct pack_store *store, uint64_t held_bytes,
                          uint64_t new_bytes)
{
    struct pack_listing *list = NULL;
    struct disk disk;
    char text[PACK_ROOM_TEXT_BYTES];
    size_t count = 0;
    uint64_t total = 0, staying = held_bytes;
    if (pack_store_list(store, &list, &count, NULL) != DR_OK) return false;
    for (size_t i = 0; i < count; ++i) {
        total += list[i].bytes;
        if (list[i].is_being_made) staying += list[i].bytes;
    }
    free(list);
    /* What other processes use may be what this job has: it is not counted a second time. */
    const uint64_t going = excess(total, staying);
    return look_at_disk(store->folder, &disk) &&
           staying + new_bytes <= pack_room_limit(store, total, text) &&
           new_bytes <= disk.usable_bytes + going;
}

/* ---- by hand ---- */

void pack_room_plan_prune(struct pack_listing *list, size_t count, uint64_t keep_bytes)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; ++i)
        if (!list[i].is_being_made) total += list[i].bytes;
    (void)pack_room_choose(list, count, excess(total, keep_bytes));
}

enum dr_code pack_room_prune(const struct pack_store *store, uint64_t keep_bytes,
                             struct pack_prune *result, struct dr_error *err)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    *result = (struct pack_prune){0};
    const int lock = pack_store_is_on(store) ? lock_folder(store) : -1;
    const enum dr_code code = pack_store_list(store, &list, &count, err);
    pack_room_plan_prune(list, count, keep_bytes);
    for (size_t i = count; i-- > 0;) {
        const struct pack_listing *const item = &list[i];
        if (item->is_being_made) continue;
        if (item->goes && pack_room_remove(item, NULL) == DR_OK) {
            result->removed_bytes += item->bytes;
            ++result->removed_count;
        } else {
            result->kept_bytes += item->bytes;
            ++result->kept_count;
        }
        if (item->is_in_use) {
            result->in_use_bytes += item->bytes;
            ++result->in_use_count;
        }
    }
    free(list);
    if (code == DR_OK) pack_store_remove_orphans(store, keep_bytes == 0);
    unlock_folder(lock);
    return code;
}

/* ---- before they are made ---- */

/* A file of this name: it was said what the packs of earlier versions take. */
#define TOLD_NAME "outdated.told"

static uint64_t outdated_bytes(const struct pack_store *store)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    uint64_t bytes = 0;
    if (pack_store_list(store, &list, &count, NULL) != DR_OK) return 0;
    for (size_t i = 0; i < count; ++i)
        if (list[i].is_outdated) bytes += list[i].bytes;
    free(list);
    return bytes;
}

static void tell_of_outdated(const struct pack_store *store)
{
    char path[PACK_PATH_BYTES], size[16], line[PACK_PATH_BYTES + 300];
    (void)snprintf(path, sizeof path, "%s/" TOLD_NAME, store->folder);
    if (access(path, F_OK) == 0) return;
    const uint64_t bytes = outdated_bytes(store);
    if (bytes < PACK_ROOM_QUIET_BYTES) return;
    const int mark = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (mark >= 0) (void)close(mark);
    (void)snprintf(line, sizeof line,
                   "%s of packs in %s were made by an earlier version and are not "
                   "used any more. They are removed when new packs need the room, "
                   "or now by darkroom packs prune",
                   words(bytes, size), store->folder);
    store->note(store->say_cookie, line);
}

void pack_room_announce(const struct pack_store *store, const char *model,
                        uint64_t bytes)
{
    char limit[PACK_ROOM_TEXT_BYTES], size[16], line[PACK_PATH_BYTES + 900];
    if (!pack_store_is_on(store) || !store->note) return;
    tell_of_outdated(store);
    if (bytes < PACK_ROOM_QUIET_BYTES) return;
    (void)pack_room_limit(store, bytes, limit);
    (void)snprintf(line, sizeof line,
                   "%s of weights are cached as packs in %s, so that later runs of "
                   "%.200s start at once. All packs together take at most %.200s. "
                   "--packs off does without them; darkroom packs lists them",
                   words(bytes, size), store->folder, model, limit);
    store->note(store->say_cookie, line);
}
