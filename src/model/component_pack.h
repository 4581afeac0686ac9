/* component_pack — where a component's weights are loaded: into a pack's file, or into private memory.
 *
 *     UNSETTLED --settle--> READY     a pack exists: loading maps it, and takes no private memory
 *                       --> DRAFTED   space for a new pack is reserved: loading fills it, then it is READY
 *                       --> PRIVATE   packs are off, or there is no space on the disk
 *                       --> WANTED    forecast only (nothing is held): a pack would be created
 *                       --> FOUND     forecast only: a pack exists, and is checked when it is used
 *
 * Settling (finding or reserving the pack) is done before a plan is made, so that the plan knows which bytes
 * will be private. component_pack_unsettle releases what was reserved and not filled, at the end of the
 * call.
 *
 * Threads: one at a time uses a pack.
 */
#ifndef MODEL_COMPONENT_PACK_H
#define MODEL_COMPONENT_PACK_H

#include "mem/region.h"
#include "model/component.h"
#include "weights/pack_store.h"

enum component_pack_state {
    COMPONENT_PACK_UNSETTLED,
    COMPONENT_PACK_READY,
    COMPONENT_PACK_DRAFTED,
    COMPONENT_PACK_PRIVATE,
    COMPONENT_PACK_WANTED,
    COMPONENT_PACK_FOUND,
};

struct component_pack {
    const struct pack_store *store; /* borrowed; NULL: no packs */
    enum component_pack_state state;
    struct pack pack;        /* READY */
    struct pack_draft draft; /* DRAFTED */
    uint8_t layout[DIGEST_BYTES];
    bool layout_known;
};

/* store NULL: no packs. */
void component_pack_init(struct component_pack *pack, const struct pack_store *store);
void component_pack_finish(struct component_pack *pack); /* zeroed is fine */

/* After settling: how many bytes of the component's weights will be private? */
size_t component_pack_private_bytes(const struct component_pack *pack,
                                    const struct component_spec *spec);
/* Will loading read the checkpoint (and take the spec's scratch)? */
bool component_pack_reads(const struct component_pack *pack);

enum component_pack_manner {
    COMPONENT_PACK_LOOK, /* hold nothing, read no pack, remove and mark none */
    COMPONENT_PACK_HOLD, /* one that is there; where there is none it stays UNSETTLED */
    COMPONENT_PACK_WAIT, /* while another process makes the pack */
    COMPONENT_PACK_NO_WAIT, /* not while holding a draft: two processes could wait for each other */
};

struct component_pack_settle {
    struct ledger *ledger; /* a pack that has to be checked is mapped for that time */
    const char *name;      /* of the component, for that mapping and for messages */
    enum component_pack_manner manner;
    const struct component_progress *progress; /* may be NULL */
};

/* digest: of the component's tensors; NULL: not known. A pack that was not checked since the
 * machine started is read completely, except for a forecast. A damaged pack is removed with a warning, and counts
 * as missing. Errors: only DR_CANCELLED, and a pack whose check was stopped is not changed. Any other error
 * results in PRIVATE, with a warning. */
enum dr_code component_pack_settle(struct component_pack *pack,
                                   const struct component_spec *spec,
                                   const uint8_t *digest,
                                   const struct component_pack_settle *how,
                                   struct dr_error *err) DR_MUST_CHECK;

/* Are the loaded weights unchanged? Private ones always are; mapped ones as long as nobody wrote to
 * the pack's file. */
bool component_pack_is_sound(const struct component_pack *pack,
                             const struct region *weights);

/* Release a draft. READY is kept: while the file is open it is known to be the same file. */
void component_pack_unsettle(struct component_pack *pack);

/* READY: map it. Errors: DR_CHANGED (the pack is not what it was when it was settled; it is
 * unsettled then), region_map's. */
enum dr_code component_pack_map(struct component_pack *pack,
                                const struct component_spec *spec,
                                struct ledger *ledger, const char *name,
                                struct region *weights,
                                struct dr_error *err) DR_MUST_CHECK;

/* DRAFTED: map the draft to be filled; then, filled and sealed, make it the pack of this digest.
 * Where that fails the weights stay as they are, the file has no name and serves this process alone,
 * and it is said. Also remembers the digest. */
enum dr_code component_pack_map_draft(struct component_pack *pack,
                                      const struct component_spec *spec,
                                      struct ledger *ledger, const char *name,
                                      struct region *weights,
                                      struct dr_error *err) DR_MUST_CHECK;
void component_pack_commit(struct component_pack *pack,
                           const struct component_spec *spec,
                           const uint8_t digest[DIGEST_BYTES],
                           const struct region *weights);

/* WANTED: there is not enough space for it after all, so its weights will be private. */
void component_pack_give_up(struct component_pack *pack);

/* The file of the pack that is there (FOUND, READY), of a component with this digest. False: there is none. */
bool component_pack_path(const struct component_pack *pack,
                         const uint8_t digest[DIGEST_BYTES],
                         char path[static PACK_PATH_BYTES]);

/* The size of the file that its draft becomes; 0 where it holds none. */
uint64_t component_pack_draft_bytes(const struct component_pack *pack);

/* Store the digest of the component of these files, so that it is known without reading them. */
void component_pack_remember(const struct component_pack *pack,
                             const struct component_spec *spec,
                             const uint8_t digest[DIGEST_BYTES]);
bool component_pack_recall(const struct component_pack *pack,
                           const struct component_spec *spec,
                           uint8_t digest[DIGEST_BYTES]);

/* The file lost a page while its weights were mapped: remove the pack. Always returns
 * DR_IO, with the file's name. */
enum dr_code component_pack_lost(struct component_pack *pack, const char *name,
                                 struct dr_error *err);

#endif
