#include "switch/vae_trial.h"

#include "switch/vae_choice.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Weights that are loaded for one step, and the step's region. */
static size_t alone_bytes(const struct source *source, size_t region_bytes)
{
    return source_weights_bytes(source) +
           larger(source_scratch_bytes(source), region_bytes);
}

static size_t reference_bytes(const struct latent_probe *probe, const struct slot *slot)
{
    return slot->resident == slot->base
               ? probe->reference_bytes
               : alone_bytes(slot->base, probe->reference_bytes);
}

static void make_room(struct current_model *model, size_t bytes,
                      enum vae_trial_room room)
{
    if (room == VAE_TRIAL_MAKES_ROOM && !resources_fit(model->resources, bytes))
        (void)pipeline_release_weights(model->pipeline);
}

/* Let the base encode the probe image, unless its result is stored. If there is not enough memory, the
 * trial ends, and the next job does it, because a job plans memory for it. */
static enum dr_code take_reference(struct vae_trial *trial, struct current_model *model,
                                   const struct slot *slot, enum vae_trial_room room,
                                   struct dr_error *err)
{
    struct latent_probe *const probe = &trial->probe;
    struct latent_probe_result result;
    if (!probe->wants_reference) return DR_OK;
    make_room(model, reference_bytes(probe, slot), room);
    if (!resources_fit(model->resources, reference_bytes(probe, slot))) {
        vae_trial_end(trial);
        return DR_OK;
    }
    const enum dr_code code = latent_probe_reference(probe, slot, &trial->work, err);
    /* If the base cannot reproduce the image, the verdict is known, and the trial ends. */
    if (code != DR_OK || latent_probe_find(&model->probes, &probe->pair, &result))
        vae_trial_end(trial);
    return code;
}

enum dr_code vae_trial_begin(struct vae_trial *trial, struct current_model *model,
                             struct pipeline *pipeline, struct vae_file *file,
                             enum vae_trial_room room, struct load_progress *progress,
                             struct dr_error *err)
{
    struct slot *const slot = pipeline->vae_slot;
    struct latent_probe_result result;
    struct latent_pair pair;
    *trial = (struct vae_trial){
        .work = {.ledger = &model->resources->ledger,
                 .cancel = model->resources->cancel}
    };
    if (!file) return DR_OK;
    make_room(model, source_save_bytes(slot->base), room);
    const uint64_t unsaved_bytes = source_unsaved_bytes(slot->base);
    enum dr_code code =
        source_save(slot->base, &model->resources->ledger,
                    load_progress_part(progress, slot->name, unsaved_bytes), err);
    if (code != DR_OK || !vae_choice_pair(pipeline, file, &pair)) return code;
    if (latent_probe_find(&model->probes, &pair, &result))
        return latent_probe_refuse(&pair, &result, err);
    code = latent_probe_prepare(&trial->probe, &model->probes, &pair,
                                model->resources->cancel, err);
    return code == DR_OK ? take_reference(trial, model, slot, room, err) : code;
}

static enum dr_code accept(void *cookie, const struct region *weights,
                           struct dr_error *err)
{
    struct vae_trial *const trial = cookie;
    struct latent_probe *const probe = &trial->probe;
    struct latent_probe_result result;
    /* The digest is known now: the same VAE may have been probed under another name. */
    if (latent_probe_find(probe->memory, &probe->pair, &result))
        return latent_probe_refuse(&probe->pair, &result, err);
    return latent_probe_check(probe, weights, &trial->work, err);
}

void vae_trial_watch(struct vae_trial *trial, struct slot_load_options *options)
{
    if (!trial->probe.memory) return;
    options->accept = accept;
    options->accept_cookie = trial;
}

void vae_trial_end(struct vae_trial *trial)
{
    latent_probe_finish(&trial->probe);
}

enum dr_code vae_trial_alone(struct vae_trial *trial, struct current_model *model,
                             struct dr_error *err)
{
    const struct latent_probe *const probe = &trial->probe;
    if (!probe->memory) return DR_OK;
    const size_t bytes = alone_bytes(probe->pair.other_source, probe->check_bytes);
    make_room(model, bytes, VAE_TRIAL_MAKES_ROOM);
    if (!resources_fit(model->resources, bytes)) return DR_OK;
    return latent_probe_try(&trial->probe, &trial->work, err);
}

size_t vae_trial_bytes(const struct vae_trial *trial, const struct source *active)
{
    return alone_bytes(active, trial->probe.check_bytes);
}
