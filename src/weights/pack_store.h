/* pack_store — the folder of packs ($XDG_CACHE_HOME/darkroom/packs), shared by every process of a
 * user.
 *
 *     KEY.pack          weights, ready to be mapped (pack.h); KEY is a digest of the pack's key
 *     KEY.checked       "this very file was read whole and found right, since this machine started"
 *     ORIGIN.origin     "these files, as they were then, hold a component of this digest"
 *     ORIGIN.building   a pack that a process is making, which holds a lock on it
 *
 * So that a switch need not read gigabytes, two things are taken on trust, each on a stated ground:
 * the digest of a checkpoint's component, while device, inode, size, modification and change time of
 * its files and their headers are what they were when it was digested; and the data of a pack, while
 * the same holds for the pack's file and the machine has not been started anew since. (The change
 * time is the kernel's own and cannot be set, so a rewrite that restores the modification time shows.
 * Kernels before 6.13 count it in ticks of up to 10 ms: nothing is noted of a file that changed less
 * than 20 ms ago.)
 * After a restart each pack is read whole once. pack_store_distrust ends the trust for a pack.
 *
 * Files are made under a name of their own and renamed; a process that is killed leaves a .building
 * file behind that the next one takes over. Nothing here is worth an error to the user: where the
 * folder can't be used the weights are private memory, and it is said.
 *
 * Threads: one at a time a store; any number of processes.
 */
#ifndef WEIGHTS_PACK_STORE_H
#define WEIGHTS_PACK_STORE_H

#include <limits.h>

#include "weights/checkpoint.h"
#include "weights/pack.h"

enum {
    PACK_NAME_DIGITS =
        40, /* hexadecimal: what the name of each file here begins with */
    PACK_NAME_BYTES = 48,
    PACK_PATH_BYTES = 4096
};

struct pack_store {
    char folder[PACK_PATH_BYTES - 64]; /* "": packs are off */
    char boot[40];                     /* which start of the machine this is */
    char off_reason[256];              /* why packs are off; "" where they are on */
    /* Told in a sentence what happened to a pack: "the pack of unet is damaged ...". May be NULL. */
    void (*say)(void *cookie, const char *line);
    void *say_cookie;
};

/* Make the folder where it is not. It must be the user's own, closed to the writing of others, and
 * on a disk: a folder in memory (tmpfs) would cost what packs are to save. Where any of this fails
 * the store is off, with the reason. folder NULL or "": off. */
void pack_store_open(struct pack_store *store, const char *folder);
bool pack_store_is_on(const struct pack_store *store);

/* ---- what a checkpoint's component was ---- */

/* The digest that the component had when these very files were last read. False: not known. */
bool pack_store_recall(const struct pack_store *store,
                       const struct component_index *index,
                       uint8_t digest[DIGEST_BYTES]);
void pack_store_remember(const struct pack_store *store,
                         const struct component_index *index,
                         const uint8_t digest[DIGEST_BYTES]);

/* ---- packs that are there ---- */

void pack_store_path(const struct pack_store *store, const struct pack_key *key,
                     char path[static PACK_PATH_BYTES]);

/* Open the pack of this key. *is_checked: its data need not be read before they are used. Errors:
 * DR_NOT_FOUND; DR_CORRUPT: it was damaged and is removed; DR_IO. */
enum dr_code pack_store_find(const struct pack_store *store, const struct pack_key *key,
                             struct pack *pack, bool *is_checked,
                             struct dr_error *err) DR_MUST_CHECK;
/* Is there one, by its head? Only looks: nothing is read but that, removed or marked. */
bool pack_store_has(const struct pack_store *store, const struct pack_key *key,
                    size_t data_bytes);
/* Its data were read and are right: note that for later openings. Also marks it as used now. */
void pack_store_trust(const struct pack_store *store, const struct pack *pack);
/* Was it noted so, since the machine started, of this very file? */
bool pack_store_trusts(const struct pack_store *store, const struct pack *pack);
/* The next opening has to read it. */
void pack_store_distrust(const struct pack_store *store, const struct pack_key *key);
void pack_store_remove(const struct pack_store *store, const struct pack_key *key);

/* ---- making one ---- */

struct pack_draft {
    int descriptor; /* -1: closed; for region_map_writable at data_offset */
    size_t data_offset, data_bytes;
    char path[PACK_PATH_BYTES];
};
#define PACK_DRAFT_INIT ((struct pack_draft){.descriptor = -1})

/* Take the lock, and the room on the disk: once this has succeeded writing the data cannot fail for
 * lack of it. A twentieth of the disk, at most 1 GiB, is left free. Errors: DR_BUSY (another process
 * is making a pack from this component: wait, then look again), DR_IO (no room: need and free). */
enum dr_code pack_store_draft(const struct pack_store *store,
                              const struct component_index *index,
                              const uint8_t layout[DIGEST_BYTES], size_t data_bytes,
                              struct pack_draft *draft,
                              struct dr_error *err) DR_MUST_CHECK;
/* The data are in place, `digests` are those of their sections: write head and table, give it its name,
 * open it, trust it. A good pack that has the name by now stays, and is the one that is opened. The
 * draft is closed; a mapping of it stays good. On error *pack is open all the same where that is
 * possible: without a name, for this process alone. index: for the words of `source`. */
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
    uint64_t bytes; /* of the file */
    int64_t used_s; /* when it was used last: seconds since 1970 */
    bool is_checked;
    bool is_leftover; /* a draft that nobody is making any more */
    bool is_being_made;
    bool
        is_damaged; /* it was read, and is no good; a problem alone may be the disk's */
    struct pack_key key; /* zeros for drafts and damaged ones */
    char problem[256];   /* "" or why it is no good */
};

/* All packs and drafts, the one used last first. *list is to be freed. Errors: DR_IO, DR_NOMEM,
 * DR_NOT_FOUND where the store is off (why). */
enum dr_code pack_store_list(const struct pack_store *store, struct pack_listing **list,
                             size_t *count, struct dr_error *err) DR_MUST_CHECK;

/* Read the whole pack of a listing: trusted from then on, or `problem` says what is wrong with it,
 * and it is trusted no more. progress may be NULL. Errors: DR_CORRUPT; DR_CANCELLED, and it is as it was;
 * DR_IO, DR_NOMEM, DR_NOT_FOUND (gone since it was listed): it could not be read. */
enum dr_code pack_store_verify(const struct pack_store *store,
                               struct pack_listing *item,
                               const struct component_progress *progress,
                               struct dr_error *err) DR_MUST_CHECK;

/* Remove leftovers, damaged packs, and of the rest those used longest ago until at most keep_bytes
 * remain; also marks without a pack, and origins that are older than 90 days (with keep_bytes 0: all). A pack that a process has mapped
 * stays readable to that process. */
struct pack_prune {
    uint64_t removed_bytes, kept_bytes;
    size_t removed_count, kept_count;
};
enum dr_code pack_store_prune(const struct pack_store *store, uint64_t keep_bytes,
                              struct pack_prune *result,
                              struct dr_error *err) DR_MUST_CHECK;

#endif
