/* slot — the place of one component in the running engine.
 *
 *        base      a source: the checkpoint's own tensors (index and digest; no tensor memory)
 *        override  another source, chosen explicitly; NULL most of the time
 *        weights   one region: the packed weights of the source named by `resident`
 *
 *              slot_load                      slot_load
 *     released ----------> resident(base)   <-----------> resident(override)
 *         ^                     |               (after slot_set_override)
 *         +----- slot_release --+
 *
 * What runs is the active source: the override where there is one, else the base. A saved
 * original is nothing but `base`: a reference to bytes in a file and the digest they had. It is
 * restored by reading them again, and a read whose digest differs is an error. So a slot never
 * holds the weights of two sources, but for the moment of a switch that fits the budget.
 *
 * A source that leaves the slot while its weights are resident (a job's own VAE at the end of the
 * job) stays named by `resident` until the next load or release; whoever takes it away sees to
 * that before the source dies.
 *
 * Invariants (slot_check): weights is open if and only if resident is set; a resident source has
 * a known digest.
 *
 * Threads: the engine's lock is held around every call.
 */
#ifndef ENGINE_SLOT_H
#define ENGINE_SLOT_H

#include "model/component.h"

/* Where a component's weights come from. Lies with whoever opened the file. */
struct source {
    const char *name; /* its region's component: "vae (override)"; static */
    const struct component_spec *spec; /* names, shapes, file; borrowed */
    const char *path;                  /* borrowed */
    uint8_t digest[DIGEST_BYTES];      /* of the bytes as stored */
    bool digest_known;
};

struct slot {
    const char *name;        /* "unet": the region's component, static */
    struct source *base;     /* NULL: the checkpoint has no such component */
    struct source *override; /* NULL: none */
    struct source *resident; /* whose weights are in memory; NULL: released */
    struct region weights;
};

/* How a load goes when another source is resident. */
enum slot_order {
    SLOT_SWAP,          /* load, verify, then release the old: both fit */
    SLOT_RELEASE_FIRST, /* release, then load; on failure the old is read again */
};

struct source *slot_active(const struct slot *slot);

/* Private bytes of a source's weights once resident, and what its load takes beside them. */
size_t source_weights_bytes(const struct source *source);
size_t source_scratch_bytes(const struct source *source);

/* Make the active source resident. Does nothing where it is. On error the slot is as before;
 * with SLOT_RELEASE_FIRST and a second failure it is released, its base still referenced, and
 * the message says so. Errors: DR_NOT_FOUND (no active source), component_load's, accept's. */
struct slot_load_options {
    struct ledger *ledger;
    enum slot_order order;
    const struct component_progress *progress; /* may be NULL */
    /* Asked when the weights are read and verified, before they take the slot (and, with
     * SLOT_SWAP, while the old ones are still there). Its error refuses them. May be NULL. */
    enum dr_code (*accept)(void *cookie, const void *weights, struct dr_error *err);
    void *accept_cookie;
};
enum dr_code slot_load(struct slot *slot, const struct slot_load_options *options,
                       struct dr_error *err) DR_MUST_CHECK;

/* Unmap the weights; returns the bytes released (0 where nothing was resident). */
size_t slot_release(struct slot *slot);

/* Make sure that a source's digest is known, by reading its file (with a small scratch
 * region). This is what "saving the original's state" is. progress may be NULL. */
enum dr_code source_save(struct source *source, struct ledger *ledger,
                         const struct component_progress *progress,
                         struct dr_error *err) DR_MUST_CHECK;
/* The bytes of the file that making it resident, or saving it, reads; 0 for NULL. */
uint64_t source_file_bytes(const struct source *source);
/* Those that source_save would read: 0 where nothing is left to save (also for NULL). */
uint64_t source_unsaved_bytes(const struct source *source);
/* Private bytes that source_save takes for the time of the reading; 0 where nothing is left to
 * save (also for NULL). */
size_t source_save_bytes(const struct source *source);

void slot_check(const struct slot *slot);

#endif
