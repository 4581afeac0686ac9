/* pack_store — the pack directory ($XDG_CACHE_HOME/darkroom/packs), shared by all processes of a
 * user.
 *
 *     KEY.pack          weights, ready to be mapped (pack.h); KEY is a digest of the pack's key
 *     KEY.checked       "this very file was read whole and found right, since this machine started"
 *     ORIGIN.origin     "these files, as they were then, hold a component of this digest", or "this
 *                       file, as it was then, has this SHA-256"
 *     ORIGIN.building   a pack that a process is making, which holds a lock on it
 *
 * Whoever has a pack open for its weights holds a shared lock on it (flock), for as long as it is open:
 * no process removes it to make room meanwhile. Who removes one takes the lock for itself first.
 *
 * So that a switch need not read gigabytes, two things are trusted under stated conditions: the
 * digest of a checkpoint's component, while device, inode, size, modification and change time of its
 * files and their headers are the same as when it was digested; and the data of a pack, while the
 * same holds for the pack's file and the machine has not been restarted. (The kernel sets the change
 * time and programs cannot, so a rewrite that restores the modification time is detected. Kernels
 * before 6.13 count it in ticks of up to 10 ms, so nothing is recorded for a file that changed less
 * than 20 ms ago.) After a restart each pack is read completely once. pack_store_distrust ends the
 * trust in a pack.
 *
 * Files are written under a temporary name and renamed; a process that is killed leaves a .building
 * file, which the next one reuses. No failure here is an error for the user: if the directory cannot
 * be used, the weights are private memory, and the log says so.
 *
 * Threads: one at a time a store; any number of processes.
 */
#ifndef WEIGHTS_PACK_STORE_H
#define WEIGHTS_PACK_STORE_H

#include <limits.h>

#include "weights/checkpoint.h"
#include "weights/pack.h"

enum {
    PACK_NAME_DIGITS = 40, /* hexadecimal: the beginning of each file's name */
    PACK_NAME_BYTES = 48,
    PACK_PATH_BYTES = 4096
};

struct pack_store {
    char folder[PACK_PATH_BYTES - 64]; /* "": packs are off */
    char boot[40];                     /* identifies the current start of the machine */
    char off_reason[256];              /* why packs are off; "" where they are on */
    uint64_t limit_bytes;              /* of all packs; 0: pack_room.h's default */
    /* Receives a sentence about what happened to a pack: "the pack of unet is damaged
     * ...". May be NULL. */
    void (*say)(void *cookie, const char *line);
    /* The same for what is no trouble: packs are made, or make room. May be NULL. */
    void (*note)(void *cookie, const char *line);
    void *say_cookie;
};

/* Creates the directory if it is missing. It must belong to the user, must not be writable for
 * others, and must be on a disk: a directory in memory (tmpfs) would use the memory that packs
 * should save. If any of this fails, the store is off, with the reason. folder NULL or "": off. */
void pack_store_open(struct pack_store *store, const char *folder);
bool pack_store_is_on(const struct pack_store *store);

/* ---- what a checkpoint's component was ---- */

/* The digest that the component had when exactly these files were last read. False:
 * unknown. */
bool pack_store_recall(const struct pack_store *store,
                       const struct component_index *index,
                       uint8_t digest[DIGEST_BYTES]);
void pack_store_remember(const struct pack_store *store,
                         const struct component_index *index,
                         const uint8_t digest[DIGEST_BYTES]);

/* The same for the SHA-256 of a complete file (file_hash.h). */
bool pack_store_recall_file(const struct pack_store *store,
                            const struct tensor_shard *file,
                            uint8_t digest[DIGEST_BYTES]);
void pack_store_remember_file(const struct pack_store *store,
                              const struct tensor_shard *file,
                              const uint8_t digest[DIGEST_BYTES]);

/* ---- packs that are there ---- */

void pack_store_path(const struct pack_store *store, const struct pack_key *key,
                     char path[static PACK_PATH_BYTES]);

/* Open the pack of this key, and hold it until it is closed: it is not removed to make room meanwhile.
 * *is_checked: its data need not be read before they are used. Errors: DR_NOT_FOUND; DR_CORRUPT: it
 * was damaged and is removed; DR_IO. */
enum dr_code pack_store_find(const struct pack_store *store, const struct pack_key *key,
                             struct pack *pack, bool *is_checked,
                             struct dr_error *err) DR_MUST_CHECK;
/* Does a pack with this key exist, by its header? Reads only the header; removes and
 * marks nothing. */
bool pack_store_has(const struct pack_store *store, const struct pack_key *key,
                    size_t data_bytes);
/* Its data were read and are correct: records this for later openings. Also marks it as
 * used now. */
void pack_store_trust(const struct pack_store *store, const struct pack *pack);
/* Was this recorded for exactly this file since the machine started? */
bool pack_store_trusts(const struct pack_store *store, const struct pack *pack);
/* The next opening has to read it. */
void pack_store_distrust(const struct pack_store *store, const struct pack_key *key);
void pack_store_remove(const struct pack_store *store, const struct pack_key *key);

/* ---- making one ---- */

struct pack_draft {
    int descriptor; /* -1: closed; for region_map_writable at data_offset */
    size_t data_offset, data_bytes;
    char precision[40]; /* "f32, weights in f16", for the pack's source; or "" */
    char path[PACK_PATH_BYTES];
};
#define PACK_DRAFT_INIT ((struct pack_draft){.descriptor = -1})

/* Takes the lock, makes room (pack_room.h) and allocates the disk space; after that, writing the data
 * cannot fail for lack of space. Errors: DR_BUSY (another process is making a pack from this component:
 * wait, then try again), DR_IO (no space, or beyond the limit: needed and free bytes). */
enum dr_code pack_store_draft(const struct pack_store *store,
                              const struct component_index *index,
                              const uint8_t layout[DIGEST_BYTES], size_t data_bytes,
                              struct pack_draft *draft,
                              struct dr_error *err) DR_MUST_CHECK;
/* Called when the data are in place; `digests` are those of their sections. Writes header and table,
 * renames the file, opens and trusts it. If a good pack with this name exists by now, it stays and is
 * opened instead. The draft is closed; a mapping of it stays valid. On error *pack is still opened if
 * possible: without a name, for this process only. index: used in the text of `source`. */
enum dr_code pack_store_commit(const struct pack_store *store, struct pack_draft *draft,
                               const struct pack_key *key,
                               const uint8_t (*digests)[DIGEST_BYTES],
                               const struct component_index *index, struct pack *pack,
                               struct dr_error *err) DR_MUST_CHECK;
void pack_draft_discard(struct pack_draft *draft); /* a closed one is fine */

/* ---- looking after the folder ---- */

struct pack_listing {
    char path[PACK_PATH_BYTES];
    char source[PACK_SOURCE_BYTES];
    uint64_t bytes;  /* of the file */
    int64_t used_ns; /* when it was used last: since 1970 */
    bool is_checked;
    bool is_leftover; /* a draft that no process is writing any more */
    bool is_being_made;
    bool is_in_use;   /* a process has it open for its weights */
    bool is_outdated; /* an earlier version's, of no use */
    bool is_damaged; /* it was read and is damaged; a problem without this may be a read
                     * error */
    bool goes;       /* pack_room_choose's */
    struct pack_key key; /* zeros for drafts and damaged ones */
    char problem[256];   /* "" or its defect */
};

/* All packs and drafts, most recently used first. The caller frees *list. Errors: DR_IO,
 * DR_NOMEM, DR_NOT_FOUND where the store is off (why). */
enum dr_code pack_store_list(const struct pack_store *store, struct pack_listing **list,
                             size_t *count, struct dr_error *err) DR_MUST_CHECK;

/* Reads a listed pack completely. It is trusted from then on; or `problem` describes its defect, and it
 * is no longer trusted. progress may be NULL. Errors: DR_CORRUPT; DR_CANCELLED (its state is unchanged);
 * DR_IO, DR_NOMEM, DR_NOT_FOUND (removed since it was listed): it could not be read. */
enum dr_code pack_store_verify(const struct pack_store *store,
                               struct pack_listing *item,
                               const struct component_progress *progress,
                               struct dr_error *err) DR_MUST_CHECK;

/* The paths that were noted for files, or for their UNets, whose digest begins with these digits. They may be gone, or
 * be other files by now: pack_store_recall and _recall_file tell. */
void pack_store_visit_origins(const struct pack_store *store, const char *digits,
                              void (*visit)(void *cookie, const char *path),
                              void *cookie);

/* The pack of this path is gone: so is what was recorded of it. */
void pack_store_forget(const char *pack_path);

/* Removes marks without a pack, unfinished records, and origins that are older than 90 days, or all. */
void pack_store_remove_orphans(const struct pack_store *store, bool all_origins);

#endif
