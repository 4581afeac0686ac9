/* vae_trial — what is asked of an override before it takes the slot.
 *
 * The latent probe (latent_probe.h) in the order that a switch has: the original is saved and
 * encodes the picture while it is still there, the override is asked as soon as its weights are
 * read, and only then does the slot change hands. So a refusal has nothing to put back.
 *
 *     vae_trial_begin(&trial, model, pipeline, file, room, err)
 *     ... make file the override ...
 *     vae_trial_watch(&trial, &options), slot_load(slot, &options, err)
 *     vae_trial_end(&trial)
 *
 * A job does the same by its list of actions (job.h). What has no room here is left to it.
 *
 * Threads: of the call that is running.
 */
#ifndef SWITCH_VAE_TRIAL_H
#define SWITCH_VAE_TRIAL_H

#include "switch/current_model.h"
#include "switch/latent_probe.h"

struct vae_trial {
    struct latent_probe probe; /* prepared where there is something to ask */
    struct latent_probe_work work;
};

enum vae_trial_room {
    VAE_TRIAL_BESIDE, /* beside what is held, else the next job asks */
    VAE_TRIAL_MAKES_ROOM /* weights are released where there is no room beside them; whoever
                          * wants that loads them again where the override is refused */
};

/* Save the original (its digest) and let it encode the probe's picture; `file` is what is to
 * take the slot. progress is told of the saving; a base that is read again for the picture is not
 * counted. On error the trial is finished. Errors: DR_FOREIGN, where it is known;
 * source_save's, latent_probe_prepare's and latent_probe_reference's. */
enum dr_code vae_trial_begin(struct vae_trial *trial, struct current_model *model,
                             struct pipeline *pipeline, struct vae_file *file,
                             enum vae_trial_room room, struct load_progress *progress,
                             struct dr_error *err) DR_MUST_CHECK;

/* Let a load of the override ask the rest. Nothing where there is nothing to ask. */
void vae_trial_watch(struct vae_trial *trial, struct slot_load_options *options);

void vae_trial_end(struct vae_trial *trial);

/* Ask an override that is not to be resident now: it is read for this alone. What is loaded is
 * released where there is no room beside it; where that is not enough the next job asks. Nothing
 * where there is nothing to ask. Errors: latent_probe_try's. */
enum dr_code vae_trial_alone(struct vae_trial *trial, struct current_model *model,
                             struct dr_error *err) DR_MUST_CHECK;

/* Private bytes of the active source's weights, and what reading or asking it takes beside. */
size_t vae_trial_bytes(const struct vae_trial *trial, const struct source *active);

#endif
