/* pipeline — an opened checkpoint: its specs, and a slot for each of its components.
 *
 * The slots are a list, in the order in which they are loaded and reported: the text
 * encoders of the family, the UNet, the VAE. A slot is found by its kind and its index among those of
 * its kind. A set of slots is a mask: bit i stands for slots[i].
 *
 * Opening a pipeline reads only the file's header (names and shapes), so that a bad file is refused before
 * the running model is changed. Weights are read when slots are loaded.
 *
 * The pipeline also owns the VAE override that the setting resolved to, and the prompts that its text
 * encoders encoded: both belong to this checkpoint and are released with it.
 *
 * Threads: one thread changes a pipeline. Another thread may read it while it holds the lock of the ledger
 * that counts the pipeline's regions; `said`, `resolution` and `override` change only with that lock held.
 */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "darkroom/darkroom.h"
#include "model/clip_text.h"
#include "model/unet.h"
#include "model/vae.h"
#include "pipeline/prompt_cache.h"
#include "pipeline/slot.h"
#include "pipeline/vae_file.h"
#include "pipeline/vae_said.h"
#include "sampling/sampler.h"
#include "weights/adapter_file.h"

enum {
    PIPELINE_TEXTS = PROMPT_CACHE_TEXTS,
    PIPELINE_SLOTS = 24,    /* at most */
    PIPELINE_ADAPTERS = 16, /* of them, at most */
    PIPELINE_ALL_SLOTS = (1 << PIPELINE_SLOTS) - 1
};

struct pipeline {
    char path[DR_PATH_BYTES];
    char name[256];                 /* stem of the path */
    const struct pack_store *packs; /* borrowed; NULL: none */
    struct checkpoint checkpoint;
    /* The model whose text encoders and VAE stand in for those that the checkpoint does not have. */
    char base_path[DR_PATH_BYTES]; /* as asked for; "": none */
    struct checkpoint base;        /* open if a part of it is used: base.file.path */
    /* The SHA-256 of the checkpoint's complete file, where a job has computed it. */
    uint8_t file_digest[DIGEST_BYTES];
    bool file_digest_known;
    /* By the text encoder's index. NULL: the checkpoint has none that is usable. */
    struct clip_text_spec *text[PIPELINE_TEXTS];
    int32_t text_count; /* that the family has */
    struct unet_spec *unet;
    struct vae_spec *vae; /* its own; NULL: none */
    struct slot *slots;   /* owned; room for PIPELINE_SLOTS, so that they never move */
    int32_t slot_count;
    struct slot *vae_slot; /* the first VAE's, whose override the setting chooses */
    struct source sources[PIPELINE_SLOTS]; /* of the checkpoint: the base of slots[i] */
    struct prompt_cache prompts;
    /* The hashes of LoRAs that jobs computed for their pictures' texts: a ring. */
    struct pipeline_hash {
        struct file_identity identity;
        char hash[ADAPTER_HASH_BYTES]; /* "": none */
    } lora_hashes[PIPELINE_ADAPTERS];
    int32_t next_hash;
    struct vae_said said;             /* of the VAE, for this checkpoint */
    struct vae_resolution resolution; /* what it means */
    struct vae_file *override;        /* owned; NULL: base */
    char problems
        [DR_TEXT_BYTES]; /* message about components that exist but cannot be used */
    char warnings
        [DR_TEXT_BYTES]; /* entries of the checkpoint that darkroom does not support; "" for none */
};

struct pipeline_options {
    enum dtype dtype;
    enum component_storage storage; /* of all weights */
    const struct pack_store *packs; /* borrowed; NULL: none */
    const char *base; /* the path of a model, or NULL, or "": see struct pipeline */
    bool
        force; /* an entry that would change the picture but is not supported (meaning.h) is only a warning */
};
/* The base is opened only if the checkpoint is a UNet without text encoders or VAE; it must be of the same
 * family, and its own findings count as the checkpoint's do.
 * Errors: checkpoint_open's, of either file; DR_BAD_INPUT (a base of another family); DR_UNSUPPORTED (a family or UNet that is not run yet, a finding of
 * meaning.h); DR_INCOMPLETE where nothing of it is usable. A component that is missing or broken
 * leaves its slot without a base; pipeline_lacks says which. */
enum dr_code pipeline_open(struct pipeline **out, const char *path,
                           const struct pipeline_options *options,
                           struct dr_error *err) DR_MUST_CHECK;

/* Releases weights, override and files. NULL and *pipeline == NULL are fine. */
void pipeline_close(struct pipeline **pipeline);

/* A part of the model: the checkpoint's own, else the base's. count 0: neither has it. */
const struct component_index *pipeline_part(const struct pipeline *pipeline,
                                            enum component_role role);
/* Are the files, and the configs beside them, still those that were opened? */
bool pipeline_is_current(const struct pipeline *pipeline);

/* The slot of this kind with this index among those of its kind; NULL where there is none. */
struct slot *pipeline_slot(const struct pipeline *pipeline, enum dr_component_kind kind,
                           int32_t kind_idx);
/* The mask of this slot alone. */
unsigned pipeline_slot_bit(const struct pipeline *pipeline, const struct slot *slot);
/* Append a slot without a base. name: static. There are fewer than PIPELINE_SLOTS. */
struct slot *pipeline_add_slot(struct pipeline *pipeline, enum dr_component_kind kind,
                               const char *name);

/* Find or reserve the packs of the slots in the mask `slots`, base and override, and of `other`, a
 * source that may be put into vae_slot. pipeline_unsettle releases those that were not used. Errors:
 * DR_CANCELLED. */
struct pipeline_settle {
    unsigned slots;
    struct source *other; /* may be NULL */
    enum component_pack_manner manner;
    struct ledger *ledger;
    const struct component_progress *progress; /* may be NULL */
};
enum dr_code pipeline_settle(struct pipeline *pipeline,
                             const struct pipeline_settle *settle,
                             struct dr_error *err) DR_MUST_CHECK;
void pipeline_unsettle(struct pipeline *pipeline); /* NULL is fine */

/* Does it have all text encoders of its family, and can they be used? */
bool pipeline_has_text(const struct pipeline *pipeline);

/* "" or a message: which components are missing in the checkpoint, and what to do. */
void pipeline_lacks(const struct pipeline *pipeline, char *text, size_t text_bytes);

/* Make `file` (taken; NULL: base) the setting's override, in vae_slot. Returns the one before, now the
 * caller's. The slot's weights are not touched: slot_load does that. */
struct vae_file *pipeline_exchange_vae(struct pipeline *pipeline,
                                       struct vae_file *file_take);

/* Private bytes of all resident weights; of the active weights that are not; the most that
 * loading those, and saving the original where there is an override, takes beside them. */
struct pipeline_bytes {
    size_t resident, missing, scratch;
};
struct pipeline_bytes pipeline_measure(const struct pipeline *pipeline);

/* Release all weights and prompts, or the weights alone; returns the bytes. Idempotent. */
size_t pipeline_release(struct pipeline *pipeline);
size_t pipeline_release_weights(struct pipeline *pipeline);

/* Undo a switch that had to release weights first: a mask of the slots that are resident, and loading
 * those slots again. Loading again reports no progress, and a cancel of the switch does not stop it. If a
 * slot cannot be loaded, the others still are, and a job reads the missing one when it needs it. Errors:
 * slot_load's, the first. */
unsigned pipeline_resident_slots(const struct pipeline *pipeline);
enum dr_code pipeline_load_again(struct pipeline *pipeline, unsigned slots,
                                 struct ledger *ledger,
                                 struct dr_error *err) DR_MUST_CHECK;

#endif
