/* pack_room — how much of the disk packs may take, and which of them go when there is no room.
 *
 *     the limit      that of the settings; else a quarter of the free space and the packs together,
 *                    at most 40 GiB
 *     left free      a twentieth of the disk, at most 1 GiB
 *     who goes       leftovers, damaged packs and those of earlier versions, then the packs used least recently
 *     who never      a pack that a process has open (pack_store.h), a draft that is being made
 *
 * So a job never loses what it needs: it holds the packs that are there before it makes others. Where
 * removing all that may go would not make enough room, nothing is removed, and the job works without
 * that pack.
 *
 * A process that is killed while it removes packs leaves some removed and the others whole; at worst a
 * mark without its pack, which pack_store_remove_orphans takes away. Making room is serialised by a
 * lock on the folder, which ends with its process.
 *
 * Threads: as the store.
 */
#ifndef WEIGHTS_PACK_ROOM_H
#define WEIGHTS_PACK_ROOM_H

#include "weights/pack_store.h"

enum {
    PACK_ROOM_TEXT_BYTES = 160
};
#define PACK_ROOM_LIMIT_MOST  ((uint64_t)40 << 30) /* of the default */
#define PACK_ROOM_QUIET_BYTES ((uint64_t)32 << 20) /* fewer are not worth a message */

/* The limit on all packs together, where they take packs_bytes now; in words, with its reason, into
 * text. */
uint64_t pack_room_limit(const struct pack_store *store, uint64_t packs_bytes,
                         char text[static PACK_ROOM_TEXT_BYTES]);

/* Mark with `goes` what would go so that `needed_bytes` become free: what is no good always, then from
 * the end of the list. Returns the bytes of all that goes: fewer than needed where no more may go. */
uint64_t pack_room_choose(struct pack_listing *list, size_t count,
                          uint64_t needed_bytes);

/* Remove a listed file now, with its mark. Errors: DR_BUSY (a process uses or makes it), DR_NOT_FOUND
 * (it is gone already), DR_IO. */
enum dr_code pack_room_remove(const struct pack_listing *item,
                              struct dr_error *err) DR_MUST_CHECK;

/* Make room for a draft's file and allocate it. Errors: DR_IO (needed and free bytes, or the limit). */
enum dr_code pack_room_take(const struct pack_store *store,
                            const struct pack_draft *draft, uint64_t file_bytes,
                            struct dr_error *err) DR_MUST_CHECK;

/* Would pack_room_take make room for all of these, in a job that has packs of held_bytes? Only looks. */
bool pack_room_would_take(const struct pack_store *store, uint64_t held_bytes,
                          uint64_t new_bytes);

/* Mark with `goes` what pack_room_prune would remove of the list. */
void pack_room_plan_prune(struct pack_listing *list, size_t count, uint64_t keep_bytes);

/* Removes leftovers and damaged packs, then the packs used least recently until at most keep_bytes
 * remain, or only packs that are in use; also orphans (with keep_bytes 0 all origins). */
struct pack_prune {
    uint64_t removed_bytes, kept_bytes, in_use_bytes; /* kept: with those in use */
    size_t removed_count, kept_count, in_use_count;
};
enum dr_code pack_room_prune(const struct pack_store *store, uint64_t keep_bytes,
                             struct pack_prune *result,
                             struct dr_error *err) DR_MUST_CHECK;

/* Say that packs of so many bytes are about to be made for a model of this name: how large, where, and how to do
 * without. Nothing is said of less than PACK_ROOM_QUIET_BYTES. Once for a directory it is also said how much the
 * packs of earlier versions in it take. */
void pack_room_announce(const struct pack_store *store, const char *model,
                        uint64_t bytes);

#endif
