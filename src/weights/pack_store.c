#define _DEFAULT_SOURCE /* flock, f_type */

#include "weights/pack_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xdg.h"
#include "weights/pack_room.h"

#define PACK_END     ".pack"
#define CHECKED_END  ".checked"
#define ORIGIN_END   ".origin"
#define BUILDING_END ".building"
#define NEW_END      ".new" /* of a record that is being written */

enum {
    RECORD_BYTES = 512,
    TICK_NS = 20000000, /* more than the coarsest of the kernel's clocks for files */
    HOLD_TRIES = 100,   /* of HOLD_NS each: whoever removes a pack is done by then */
    HOLD_NS = 5000000,
    MAKE_TRIES =
        4, /* of HOLD_NS each: whoever lists the folder looks at the lock for a moment */
};

static_assert((int)PACK_NAME_DIGITS < (int)PACK_NAME_BYTES, "a name and its end");

/* File systems whose files are memory. */
#define TMPFS_KIND 0x01021994
#define RAMFS_KIND 0x858458f6

/* ---- names ---- */

static void name_of(struct digest *digest, char name[static PACK_NAME_BYTES])
{
    uint8_t out[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    digest_end(digest, out);
    (void)snprintf(name, PACK_NAME_BYTES, "%.*s", PACK_NAME_DIGITS,
                   digest_hex(out, hex));
}

static void key_name(const struct pack_key *key, char name[static PACK_NAME_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, key->content, sizeof key->content);
    digest_add(&digest, key->layout, sizeof key->layout);
    name_of(&digest, name);
}

static void add_number(struct digest *digest, uint64_t number)
{
    digest_add(digest, &number, sizeof number);
}

static void add_identity(struct digest *digest, const struct file_identity *identity)
{
    add_number(digest, identity->device);
    add_number(digest, identity->inode);
    add_number(digest, identity->bytes);
    add_number(digest, (uint64_t)identity->modified_ns);
    add_number(digest, (uint64_t)identity->changed_ns);
    digest_add(digest, identity->header, sizeof identity->header);
}

/* The files as they are now, and which component; with a layout also what is made of it. */
static void origin_name(const struct component_index *index, const uint8_t *layout,
                        char name[static PACK_NAME_BYTES])
{
    const struct tensor_file *const file = index->file;
    struct digest digest;
    digest_init(&digest);
    add_number(&digest, (uint64_t)index->role);
    add_number(&digest, index->count);
    for (size_t i = 0; i < file->shard_count; ++i)
        add_identity(&digest, &file->shards[i].identity);
    if (index->meaning && *index->meaning) /* it is in the component's digest */
        digest_add(&digest, index->meaning, strlen(index->meaning));
    if (layout) digest_add(&digest, layout, DIGEST_BYTES);
    name_of(&digest, name);
}

/* A complete file as it is now: a role that no component has. */
static void file_name(const struct tensor_shard *file,
                      char name[static PACK_NAME_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    add_number(&digest, ROLE_COUNT);
    add_identity(&digest, &file->identity);
    name_of(&digest, name);
}

static void path_in(const struct pack_store *store, const char *name, const char *end,
                    char path[static PACK_PATH_BYTES])
{
    (void)snprintf(path, PACK_PATH_BYTES, "%s/%s%s", store->folder, name, end);
}

void pack_store_path(const struct pack_store *store, const struct pack_key *key,
                     char path[static PACK_PATH_BYTES])
{
    char name[PACK_NAME_BYTES];
    key_name(key, name);
    path_in(store, name, PACK_END, path);
}

/* ---- the folder ---- */

static void turn_off(struct pack_store *store, const char *why)
{
    (void)snprintf(store->off_reason, sizeof store->off_reason, "%.120s: %s",
                   store->folder, why);
    store->folder[0] = '\0';
}

static bool make_folder(char *folder)
{
    return xdg_make_above(folder) && (mkdir(folder, 0700) == 0 || errno == EEXIST);
}

static const char *folder_problem(const char *folder)
{
    struct stat status;
    struct statfs system;
    if (stat(folder, &status) || statfs(folder, &system)) return strerror(errno);
    if (!S_ISDIR(status.st_mode)) return "it is not a directory";
    if (status.st_uid != geteuid()) return "it belongs to another user";
    if (status.st_mode & (S_IWGRP | S_IWOTH)) return "other users may write to it";
    if (access(folder, R_OK | W_OK | X_OK)) return strerror(errno);
    if (system.f_type == TMPFS_KIND || system.f_type == RAMFS_KIND)
        return "it is on a file system in memory, where packs would use the memory "
               "that they should save";
    return NULL;
}

/* Which start of the machine this is; "" where the kernel does not say: then nothing is trusted. */
static void read_boot(char boot[static 40])
{
    boot[0] = '\0';
    FILE *const file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file) return;
    if (!fgets(boot, 40, file)) boot[0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    (void)fclose(file);
}

void pack_store_open(struct pack_store *store, const char *folder)
{
    *store = (struct pack_store){0};
    read_boot(store->boot);
    if (!folder || !*folder) {
        (void)snprintf(store->off_reason, sizeof store->off_reason,
                       "packs are turned off");
        return;
    }
    if (strlen(folder) >= sizeof store->folder) {
        turn_off(store, "the path of the directory is too long");
        return;
    }
    (void)snprintf(store->folder, sizeof store->folder, "%s", folder);
    if (!make_folder(store->folder)) {
        turn_off(store, strerror(errno));
        return;
    }
    const char *const problem = folder_problem(store->folder);
    if (problem) turn_off(store, problem);
}

bool pack_store_is_on(const struct pack_store *store)
{
    return store && store->folder[0];
}

/* ---- records: a line or two of text, written under another name and renamed ---- */

static bool write_record(const struct pack_store *store, const char *name,
                         const char *end, const char *text)
{
    char path[PACK_PATH_BYTES], fresh[PACK_PATH_BYTES], own_end[64];
    path_in(store, name, end, path);
    (void)snprintf(own_end, sizeof own_end, "%s.%ld" NEW_END, end, (long)getpid());
    path_in(store, name, own_end, fresh);
    if (fault_strikes(FAULT_WRITE)) return false;
    const int descriptor =
        open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) return false;
    const size_t length = strlen(text);
    const bool written = write(descriptor, text, length) == (ssize_t)length;
    const bool closed = close(descriptor) == 0;
    if (written && closed && rename(fresh, path) == 0) return true;
    (void)unlink(fresh);
    return false;
}

static bool read_record(const struct pack_store *store, const char *name,
                        const char *end, char text[static RECORD_BYTES])
{
    char path[PACK_PATH_BYTES];
    path_in(store, name, end, path);
    if (fault_strikes(FAULT_READ)) return false;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) return false;
    const ssize_t got = read(descriptor, text, RECORD_BYTES - 1);
    (void)close(descriptor);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static void remove_record(const struct pack_store *store, const char *name,
                          const char *end)
{
    char path[PACK_PATH_BYTES];
    path_in(store, name, end, path);
    (void)unlink(path);
}

/* A file that was written to a moment ago may be written to again within the same tick of its change
 * time: what is noted of it then would be true of other bytes. */
static bool is_settled(int64_t changed_ns)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return false;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - changed_ns >= TICK_NS;
}

/* ---- what a checkpoint's component was ---- */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

static bool parse_digest(const char *text, uint8_t digest[DIGEST_BYTES])
{
    for (int i = 0; i < DIGEST_BYTES; ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (low < 0) return false;
        digest[i] = (uint8_t)(high * 16 + low);
    }
    return text[DIGEST_HEX - 1] == '\n';
}

static bool recall(const struct pack_store *store, const char *name,
                   uint8_t digest[DIGEST_BYTES])
{
    char text[RECORD_BYTES];
    uint8_t found[DIGEST_BYTES];
    if (!read_record(store, name, ORIGIN_END, text) || !parse_digest(text, found))
        return false;
    memcpy(digest, found, sizeof found);
    return true;
}

bool pack_store_recall(const struct pack_store *store,
                       const struct component_index *index,
                       uint8_t digest[DIGEST_BYTES])
{
    char name[PACK_NAME_BYTES];
    if (!pack_store_is_on(store)) return false;
    origin_name(index, NULL, name);
    return recall(store, name, digest);
}

bool pack_store_recall_file(const struct pack_store *store,
                            const struct tensor_shard *file,
                            uint8_t digest[DIGEST_BYTES])
{
    char name[PACK_NAME_BYTES];
    if (!pack_store_is_on(store)) return false;
    file_name(file, name);
    return recall(store, name, digest);
}

void pack_store_remember(const struct pack_store *store,
                         const struct component_index *index,
                         const uint8_t digest[DIGEST_BYTES])
{
    char name[PACK_NAME_BYTES], hex[DIGEST_HEX], text[RECORD_BYTES];
    if (!pack_store_is_on(store)) return;
    for (size_t i = 0; i < index->file->shard_count; ++i)
        if (!is_settled(index->file->shards[i].identity.changed_ns)) return;
    origin_name(index, NULL, name);
    char *const whole = realpath(index->file->path, NULL);
    (void)snprintf(text, sizeof text, "%s\n%s of %.420s\n", digest_hex(digest, hex),
                   component_role_name(index->role), whole ? whole : index->file->path);
    free(whole);
    (void)write_record(store, name, ORIGIN_END, text);
}

void pack_store_remember_file(const struct pack_store *store,
                              const struct tensor_shard *file,
                              const uint8_t digest[DIGEST_BYTES])
{
    char name[PACK_NAME_BYTES], hex[DIGEST_HEX], text[RECORD_BYTES];
    if (!pack_store_is_on(store) || !is_settled(file->identity.changed_ns)) return;
    file_name(file, name);
    char *const whole = realpath(file->path, NULL);
    (void)snprintf(text, sizeof text, "%s\nfile of %.420s\n", digest_hex(digest, hex),
                   whole ? whole : file->path);
    free(whole);
    (void)write_record(store, name, ORIGIN_END, text);
}

/* ---- packs that are there ---- */

static void identity_text(const struct pack_store *store, const struct pack *pack,
                          char text[static RECORD_BYTES])
{
    const struct file_identity *const is = &pack->identity;
    (void)snprintf(text, RECORD_BYTES,
                   "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 "\n",
                   store->boot, is->device, is->inode, is->bytes, is->modified_ns,
                   is->changed_ns);
}

bool pack_store_trusts(const struct pack_store *store, const struct pack *pack)
{
    char name[PACK_NAME_BYTES], kept[RECORD_BYTES], now[RECORD_BYTES];
    key_name(&pack->key, name);
    identity_text(store, pack, now);
    return store->boot[0] && read_record(store, name, CHECKED_END, kept) &&
           strcmp(kept, now) == 0;
}

/* Is the open file the one that has this name? */
static bool has_name(int descriptor, const char *path)
{
    struct stat open_one, named;
    return fstat(descriptor, &open_one) == 0 && lstat(path, &named) == 0 &&
           open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

/* The lock of who uses a pack. False: it was removed. Where the file system has no locks, who uses it
 * is protected by the mapping alone. */
static bool hold(int descriptor, const char *path)
{
    const struct timespec pause = {.tv_nsec = HOLD_NS};
    for (int i = 0; i < HOLD_TRIES; ++i) {
        if (flock(descriptor, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return has_name(descriptor, path);
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

enum dr_code pack_store_find(const struct pack_store *store, const struct pack_key *key,
                             struct pack *pack, bool *is_checked, struct dr_error *err)
{
    char path[PACK_PATH_BYTES];
    *pack = PACK_INIT;
    if (!pack_store_is_on(store))
        return error_set(err, DR_NOT_FOUND, "%s",
                         store ? store->off_reason : "no packs");
    pack_store_path(store, key, path);
    const enum dr_code code = pack_open(pack, path, key, err);
    if (code == DR_OK && !hold(pack->descriptor, path)) {
        pack_close(pack);
        return error_set(err, DR_NOT_FOUND, "%.600s was removed", path);
    }
    if (code == DR_OK) {
        *is_checked = pack_store_trusts(store, pack);
        if (*is_checked) pack_store_trust(store, pack);
    } else if (code == DR_CORRUPT) {
        pack_store_remove(store, key);
    }
    return code;
}

bool pack_store_has(const struct pack_store *store, const struct pack_key *key,
                    size_t data_bytes)
{
    char path[PACK_PATH_BYTES];
    struct pack pack;
    if (!pack_store_is_on(store)) return false;
    pack_store_path(store, key, path);
    if (pack_open(&pack, path, key, NULL) != DR_OK) return false;
    const bool fits = pack.data_bytes == data_bytes;
    pack_close(&pack);
    return fits;
}

void pack_store_trust(const struct pack_store *store, const struct pack *pack)
{
    char name[PACK_NAME_BYTES], text[RECORD_BYTES], path[PACK_PATH_BYTES];
    key_name(&pack->key, name);
    path_in(store, name, CHECKED_END, path);
    /* The mark's own time says when the pack was used last. */
    if (pack_store_trusts(store, pack) && utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return;
    if (!is_settled(pack->identity.changed_ns)) return;
    identity_text(store, pack, text);
    (void)write_record(store, name, CHECKED_END, text);
}

void pack_store_distrust(const struct pack_store *store, const struct pack_key *key)
{
    char name[PACK_NAME_BYTES];
    key_name(key, name);
    remove_record(store, name, CHECKED_END);
}

void pack_store_remove(const struct pack_store *store, const struct pack_key *key)
{
    char name[PACK_NAME_BYTES];
    key_name(key, name);
    remove_record(store, name, CHECKED_END);
    remove_record(store, name, PACK_END);
}

/* ---- making one ---- */

/* As a maker. False, with errno set. */
static bool lock_to_make(int descriptor)
{
    const struct timespec pause = {.tv_nsec = HOLD_NS};
    for (int i = 1; flock(descriptor, LOCK_EX | LOCK_NB) != 0; ++i) {
        if (errno != EWOULDBLOCK || i == MAKE_TRIES) return false;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

static enum dr_code lock_draft(struct pack_draft *draft, struct dr_error *err)
{
    draft->descriptor =
        open(draft->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (draft->descriptor < 0)
        return error_set_errno(err, DR_IO, errno, "cannot make %.600s", draft->path);
    const bool locked = lock_to_make(draft->descriptor);
    /* Whoever held the lock may have renamed or removed it in the meantime. */
    if (locked && has_name(draft->descriptor, draft->path)) return DR_OK;
    const int refused = locked ? EWOULDBLOCK : errno;
    (void)close(draft->descriptor);
    draft->descriptor = -1;
    if (refused == EWOULDBLOCK)
        return error_set(err, DR_BUSY, "another process is making %.600s", draft->path);
    return error_set_errno(err, DR_IO, refused, "cannot lock %.600s", draft->path);
}

enum dr_code pack_store_draft(const struct pack_store *store,
                              const struct component_index *index,
                              const uint8_t layout[DIGEST_BYTES], size_t data_bytes,
                              struct pack_draft *draft, struct dr_error *err)
{
    char name[PACK_NAME_BYTES];
    size_t file_bytes;
    *draft = PACK_DRAFT_INIT;
    if (!pack_store_is_on(store)) return error_set(err, DR_IO, "%s", store->off_reason);
    if (!pack_extent(data_bytes, &draft->data_offset, &file_bytes))
        return error_set(err, DR_UNSUPPORTED, "a pack of %zu bytes", data_bytes);
    draft->data_bytes = data_bytes;
    origin_name(index, layout, name);
    path_in(store, name, BUILDING_END, draft->path);
    const enum dr_code code = lock_draft(draft, err);
    if (code != DR_OK) return code;
    const enum dr_code room = pack_room_take(store, draft, file_bytes, err);
    if (room != DR_OK) pack_draft_discard(draft);
    return room;
}

static void describe_source(const struct component_index *index, const char *precision,
                            char text[static PACK_SOURCE_BYTES])
{
    char *const whole = realpath(index->file->path, NULL);
    (void)snprintf(text, PACK_SOURCE_BYTES, "%s%s%.40s%s of %.430s",
                   component_role_name(index->role), precision[0] ? " (" : "",
                   precision, precision[0] ? ")" : "",
                   whole ? whole : index->file->path);
    free(whole);
}

/* Is a good pack of this key there by now? Then it is opened. */
static bool find_good(const struct pack_store *store, const struct pack_key *key,
                      struct pack *pack)
{
    bool is_checked = false;
    if (pack_store_find(store, key, pack, &is_checked, NULL) == DR_OK && is_checked)
        return true;
    pack_close(pack);
    return false;
}

enum dr_code pack_store_commit(const struct pack_store *store, struct pack_draft *draft,
                               const struct pack_key *key,
                               const uint8_t (*digests)[DIGEST_BYTES],
                               const struct component_index *index, struct pack *pack,
                               struct dr_error *err)
{
    char path[PACK_PATH_BYTES], source[PACK_SOURCE_BYTES];
    const struct timespec tick = {.tv_nsec = TICK_NS};
    if (find_good(store, key, pack)) {
        pack_draft_discard(draft);
        return DR_OK;
    }
    pack_store_path(store, key, path);
    describe_source(index, draft->precision, source);
    enum dr_code code = pack_write_head(draft->descriptor, draft->path, key,
                                        draft->data_bytes, digests, source, err);
    if (code == DR_OK && !has_name(draft->descriptor, draft->path))
        code = error_set(err, DR_IO, "%.600s was removed while it was being written",
                         draft->path);
    if (code == DR_OK && (fault_strikes(FAULT_WRITE) || rename(draft->path, path)))
        code = error_set_errno(err, DR_IO, errno, "cannot name %.600s", path);
    if (code != DR_OK) {
        const struct pack_draft kept = *draft;
        if (has_name(kept.descriptor, kept.path)) (void)unlink(kept.path);
        *draft = PACK_DRAFT_INIT;
        (void)!pack_adopt(pack, kept.descriptor, key, kept.data_bytes, NULL);
        return code;
    }
    /* Its maker's lock becomes that of a user, and stays until the pack is open. */
    (void)flock(draft->descriptor, LOCK_SH | LOCK_NB);
    (void)nanosleep(&tick, NULL);
    code = pack_open(pack, path, key, err);
    if (code == DR_OK) (void)flock(pack->descriptor, LOCK_SH | LOCK_NB);
    if (code == DR_OK) pack_store_trust(store, pack);
    (void)close(draft->descriptor);
    *draft = PACK_DRAFT_INIT;
    return code;
}

void pack_draft_discard(struct pack_draft *draft)
{
    if (draft->descriptor >= 0) {
        if (has_name(draft->descriptor, draft->path)) (void)unlink(draft->path);
        (void)close(draft->descriptor);
    }
    *draft = PACK_DRAFT_INIT;
}
