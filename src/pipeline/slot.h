/* slot — the place of one component in the running engine.
 *
 *        base      a source: the checkpoint's own tensors (index and digest; no tensor memory)
 *        override  another source, chosen explicitly; NULL most of the time
 *        weights   one region: the packed weights of the source named by `resident`, private or
 *                  mapped from a pack
 *
 *              slot_load                      slot_load
 *     released ----------> resident(base)   <-----------> resident(override)
 *         ^                     |               (after slot_set_override)
 *         +----- slot_release --+
 *
 * The network runs with the active source: the override if there is one, else the base. Saving the
 * original keeps no weights: `base` is a reference to bytes in a file, and their digest. To restore it, the
 * bytes are read again; if the digest differs, that is an error. So a slot holds the weights of one
 * source, except during a switch, if both fit the budget.
 *
 * If a source is taken out of the slot while its weights are resident (a job's own VAE at the end of the
 * job), `resident` still points to it until the next load or release. The caller that takes it out must do
 * one of these before it destroys the source.
 *
 * Invariants (slot_check): weights is open if and only if resident is set; a resident source has
 * a known digest.
 *
 * Threads: one thread changes a slot. Another thread may read override, resident, weights and a source's
 * digest while it holds the ledger's lock. These change only with the lock held, which is never held while
 * weights are read.
 */
#ifndef PIPELINE_SLOT_H
#define PIPELINE_SLOT_H

#include "darkroom/darkroom.h"
#include "model/component_pack.h"

struct unet_spec;

/* Where a component's weights come from. Owned by whoever opened the file. */
struct source {
    const char *name; /* its region's component: "vae (override)"; static */
    const struct component_spec *spec; /* names, shapes, file; borrowed */
    const struct unet_spec *unet;      /* of a UNet: the network; else NULL; borrowed */
    const char *path;                  /* borrowed */
    uint8_t digest[DIGEST_BYTES];      /* of the bytes as stored */
    bool digest_known;
    struct component_pack pack; /* the memory that its weights are loaded into */
};

struct slot {
    enum dr_component_kind kind;
    int32_t kind_idx;    /* among the slots of its kind: the second text encoder is 1 */
    const char *name;    /* "unet": the region's component, static */
    struct source *base; /* NULL: the checkpoint has no such component */
    struct source *override; /* NULL: none */
    struct source *resident; /* whose weights are in memory; NULL: released */
    struct region weights;
};

/* How to load while another source is resident. */
enum slot_order {
    SLOT_SWAP,          /* load, verify, then release the old: both fit */
    SLOT_RELEASE_FIRST, /* release, then load; on failure the old is read again */
};

struct source *slot_active(const struct slot *slot);

/* Find or reserve the pack of a source (component_pack.h), so that the figures below are exact.
 * source_unsettle releases a pack that was reserved and not used. Both accept NULL. Errors:
 * DR_CANCELLED. */
enum dr_code source_settle(struct source *source, struct ledger *ledger,
                           enum component_pack_manner manner,
                           const struct component_progress *progress,
                           struct dr_error *err) DR_MUST_CHECK;
void source_unsettle(struct source *source);
/* Release the pack: the source is about to be destroyed. */
void source_finish(struct source *source);

/* Private bytes of a source's weights when resident (0 if they are mapped), and the bytes that loading
 * takes in addition (0 if nothing is read). */
size_t source_weights_bytes(const struct source *source);
size_t source_scratch_bytes(const struct source *source);
/* Bytes of the weights in memory, private or not. */
size_t source_memory_bytes(const struct source *source);

/* Make the active source resident. Does nothing if it is. On error the slot is unchanged. With
 * SLOT_RELEASE_FIRST, if reading the old weights again fails too, the slot is released, keeps its base, and
 * the message says so. Errors: DR_NOT_FOUND (no active source), component_load's, accept's. */
struct slot_load_options {
    struct ledger *ledger;
    enum slot_order order;
    const struct component_progress *progress; /* may be NULL */
    /* Called when the weights are read and verified, before they replace the old ones (which with
     * SLOT_SWAP are still in memory). If it returns an error, the new weights are refused. May be NULL. */
    enum dr_code (*accept)(void *cookie, const struct region *weights,
                           struct dr_error *err);
    void *accept_cookie;
};
enum dr_code slot_load(struct slot *slot, const struct slot_load_options *options,
                       struct dr_error *err) DR_MUST_CHECK;

/* Make it the override, or none (NULL). The weights are not touched: slot_load does that. */
void slot_set_override(struct slot *slot, const struct ledger *ledger,
                       struct source *override);

/* Unmap the weights; returns the bytes released (0 if nothing was resident). */
size_t slot_release(struct slot *slot);

/* Compute a source's digest if it is not known, by reading its file (with a small scratch
 * region). This is what "saving the original" means. progress may be NULL. */
enum dr_code source_save(struct source *source, struct ledger *ledger,
                         const struct component_progress *progress,
                         struct dr_error *err) DR_MUST_CHECK;
/* The bytes of the file that are read to make it resident or to save it; 0 for NULL. */
uint64_t source_file_bytes(const struct source *source);
/* The bytes that source_save would read: 0 if it is saved already (also for NULL). */
uint64_t source_unsaved_bytes(const struct source *source);
/* Private bytes that source_save takes while it reads; 0 if it is saved already (also for NULL). */
size_t source_save_bytes(const struct source *source);

/* Was a page of the resident weights lost because their file changed? Then release the weights; results that
 * were computed from them are invalid. Errors: DR_IO names the pack. */
enum dr_code slot_check_pages(struct slot *slot, struct dr_error *err) DR_MUST_CHECK;

void slot_check(const struct slot *slot);

#endif
