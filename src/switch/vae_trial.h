/* vae_trial — the latent probe of an override, before it is used.
 *
 * In a switch the latent probe (latent_probe.h) has this order: the original is saved and
 * encodes the probe image while it is still in memory; the override is probed as soon as its weights are
 * read; only then do they replace the old weights. So after a refusal nothing must be restored.
 *
 *     vae_trial_begin(&trial, model, pipeline, file, room, err)
 *     ... make file the override ...
 *     vae_trial_watch(&trial, &options), slot_load(slot, &options, err)
 *     vae_trial_end(&trial)
 *
 * A job does the same by its list of actions (job.h). If there is not enough memory here, the next job does it.
 *
 * Threads: of the call that is running.
 */
#ifndef SWITCH_VAE_TRIAL_H
#define SWITCH_VAE_TRIAL_H

#include "switch/current_model.h"
#include "switch/latent_probe.h"

struct vae_trial {
    struct latent_probe probe; /* prepared if a probe is needed */
    struct latent_probe_work work;
};

enum vae_trial_room {
    VAE_TRIAL_BESIDE, /* beside what is held, else the next job asks */
    VAE_TRIAL_MAKES_ROOM /* weights are released where there is no room beside them; whoever
                          * wants that loads them again where the override is refused */
};

/* Save the original (its digest) and let it encode the probe image; `file` is the new VAE. progress
 * reports the saving; if the base is read again for the image, that is not counted. On error the trial
 * is finished. Errors: DR_FOREIGN, where it is known; source_save's, latent_probe_prepare's and
 * latent_probe_reference's. */
enum dr_code vae_trial_begin(struct vae_trial *trial, struct current_model *model,
                             struct pipeline *pipeline, struct vae_file *file,
                             enum vae_trial_room room, struct load_progress *progress,
                             struct dr_error *err) DR_MUST_CHECK;

/* Let the load of the override do the rest of the probe. Does nothing if no probe is needed. */
void vae_trial_watch(struct vae_trial *trial, struct slot_load_options *options);

void vae_trial_end(struct vae_trial *trial);

/* Probe an override that is not loaded now: it is read only for the probe. If there is not enough
 * memory, loaded components are released; if that is not enough, the next job does the probe. Does
 * nothing if no probe is needed. Errors: latent_probe_try's. */
enum dr_code vae_trial_alone(struct vae_trial *trial, struct current_model *model,
                             struct dr_error *err) DR_MUST_CHECK;

/* Private bytes of the active source's weights, and what reading or asking it takes beside. */
size_t vae_trial_bytes(const struct vae_trial *trial, const struct source *active);

#endif
