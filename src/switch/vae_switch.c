#include "switch/vae_switch.h"

#include <stdio.h>

#include "base/error.h"
#include "switch/vae_trial.h"

enum dr_code vae_switch_apply_setting(const struct current_model *model,
                                      struct pipeline *pipeline, struct dr_error *err)
{
    struct vae_choice choice;
    vae_choice_setting(model, pipeline->path, &pipeline->said);
    const struct vae_choice_words words = {.said = pipeline->said.choice,
                                           .kind = VAE_SETTING,
                                           .force = pipeline->said.forced};
    /* A setting never fails: the resolution's reason has the problem. */
    const enum dr_code code = vae_choice_open(&choice, model, pipeline, &words, err);
    if (code != DR_OK) return code;
    vae_choice_explain(&choice.resolution, pipeline->said.note);
    pipeline->resolution = choice.resolution;
    (void)pipeline_exchange_vae(pipeline, vae_choice_take(&choice));
    return DR_OK;
}

void vae_switch_fall_back(struct current_model *model, struct pipeline *pipeline,
                          const struct dr_error *why)
{
    const struct ledger *const ledger = &model->resources->ledger;
    struct slot *const slot = pipeline->vae_slot;
    struct vae_resolution resolution;
    vae_choice_fall_back(model, &resolution, why);
    vae_choice_explain(&resolution, pipeline->said.note);
    ledger_lock(ledger);
    struct vae_file *unusable = pipeline_exchange_vae(pipeline, NULL);
    if (unusable && slot->resident == &unusable->source) slot_release(slot);
    pipeline->resolution = resolution;
    ledger_unlock(ledger);
    vae_file_close(&unusable);
}

/* The choice and its result. */
struct outcome {
    const struct vae_choice_words *words;
    struct vae_resolution resolution;
};

/* Complete the switch: the override, the choice and its resolution change together, with the lock
 * held. Returns the old override, which the caller then owns. */
static struct vae_file *commit(struct current_model *model, struct vae_file *file_take,
                               const struct outcome *outcome)
{
    struct pipeline *const pipeline = model->pipeline;
    ledger_lock(&model->resources->ledger);
    struct vae_file *const before = pipeline_exchange_vae(pipeline, file_take);
    pipeline->resolution = outcome->resolution;
    pipeline->said = vae_said_by(VAE_SAID_SETTING, outcome->words->said);
    pipeline->said.forced = outcome->words->force;
    ledger_unlock(&model->resources->ledger);
    return before;
}

/* Load the chosen VAE into the slot. If it does not fit beside the loaded components, the next job
 * loads it: a job can release them. */
static enum dr_code load_vae(struct current_model *model, struct vae_trial *trial,
                             struct load_progress *progress, struct dr_error *err)
{
    struct slot *const slot = model->pipeline->vae_slot;
    const struct source *const active = slot_active(slot);
    if (active && slot->resident == active) return DR_OK;
    const size_t bytes = vae_trial_bytes(trial, active);
    const bool is_wanted = active && (model->eager || slot->resident);
    const size_t limit = model->resources->ledger.limit_bytes;
    const size_t others =
        model->resources->ledger.private_bytes - region_private_bytes(&slot->weights);
    if (!is_wanted || (limit && (bytes > limit || others > limit - bytes))) {
        const enum dr_code code = vae_trial_alone(trial, model, err);
        if (code == DR_OK) slot_release(slot);
        return code;
    }
    struct slot_load_options options = {
        .ledger = &model->resources->ledger,
        .order =
            resources_fit(model->resources, bytes) ? SLOT_SWAP : SLOT_RELEASE_FIRST,
        .progress = load_progress_part(progress, slot->name, source_file_bytes(active)),
    };
    vae_trial_watch(trial, &options);
    return slot_load(slot, &options, err);
}

/* The bytes of its file that load_vae reads if there is enough memory. */
static uint64_t load_bytes(const struct current_model *model,
                           const struct source *wanted)
{
    const struct slot *const slot = model->pipeline->vae_slot;
    const bool is_read = model->eager || slot->resident;
    return is_read && slot->resident != wanted ? source_file_bytes(wanted) : 0;
}

/* The requested VAE is active already: only its weights may be missing. */
static enum dr_code load_present(struct current_model *model, struct dr_error *err)
{
    struct vae_trial nothing = {0};
    struct load_progress progress;
    struct pipeline *const pipeline = model->pipeline;
    const struct slot *const slot = pipeline->vae_slot;
    const enum dr_code code =
        resources_settle(model->resources, pipeline, pipeline_slot_bit(pipeline, slot),
                         NULL, err);
    if (code != DR_OK) return code;
    resources_begin_progress(model->resources, &progress,
                             load_bytes(model, slot_active(slot)));
    return load_vae(model, &nothing, &progress, err);
}

/* Make `file` (taken, NULL: base) the override. The original is saved first; if anything fails, the
 * old state is restored. */
static enum dr_code switch_vae(struct current_model *model, struct vae_file *file_take,
                               const struct outcome *outcome, struct dr_error *err)
{
    struct pipeline *const pipeline = model->pipeline;
    const struct ledger *const ledger = &model->resources->ledger;
    struct slot *const slot = pipeline->vae_slot;
    struct source *const before = slot->override;
    const struct source *const wanted = file_take ? &file_take->source : slot->base;
    struct load_progress progress;
    struct vae_trial trial;
    const unsigned resident = pipeline_resident_slots(pipeline);
    enum dr_code code =
        resources_settle(model->resources, pipeline, pipeline_slot_bit(pipeline, slot),
                         file_take ? &file_take->source : NULL, err);
    if (code != DR_OK) {
        struct vae_file *unwanted_file = file_take;
        vae_file_close(&unwanted_file);
        return code;
    }
    const uint64_t save_bytes = file_take ? source_unsaved_bytes(slot->base) : 0;
    resources_begin_progress(model->resources, &progress,
                             save_bytes + load_bytes(model, wanted));
    code = vae_trial_begin(&trial, model, pipeline, file_take, VAE_TRIAL_MAKES_ROOM,
                           &progress, err);
    slot_set_override(slot, ledger, file_take ? &file_take->source : NULL);
    if (code == DR_OK) code = load_vae(model, &trial, &progress, err);
    struct vae_file *unwanted = file_take;
    if (code == DR_OK)
        unwanted = commit(model, file_take, outcome);
    else
        slot_set_override(slot, ledger, before);
    if (unwanted && slot->resident == &unwanted->source) slot_release(slot);
    vae_trial_end(&trial);
    if (code == DR_OK && unwanted)
        cache_drop_file(&model->resources->cache, &unwanted->checkpoint.file, pipeline,
                        CACHE_KEEP_NAMED);
    vae_file_close(&unwanted);
    if (code != DR_OK && pipeline_load_again(pipeline, resident,
                                             &model->resources->ledger, NULL) != DR_OK)
        error_prefix(err, "components that were released for lack of memory are "
                          "loaded again when they are needed");
    return code;
}

/* The override does not change. */
static enum dr_code keep_present(struct current_model *model,
                                 const struct outcome *outcome, struct dr_error *err)
{
    struct vae_file *const override = model->pipeline->override;
    if (outcome->words->force) {
        ledger_lock(&model->resources->ledger);
        override->forced = true;
        ledger_unlock(&model->resources->ledger);
    }
    const enum dr_code code = load_present(model, err);
    if (code == DR_OK) (void)commit(model, override, outcome);
    return code;
}

static enum dr_code open_and_switch(struct current_model *model,
                                    const struct vae_choice_words *words,
                                    struct vae_choice *choice, struct dr_error *err)
{
    struct dr_error why;
    enum dr_code code = vae_choice_open(choice, model, model->pipeline, words, err);
    if (code != DR_OK) return code;
    struct outcome outcome = {words, choice->resolution};
    if (choice->is_present) return keep_present(model, &outcome, err);
    code = switch_vae(model, vae_choice_take(choice), &outcome, &why);
    if (code == DR_FOREIGN && !outcome.resolution.is_explicit) {
        /* A VAE file beside the model was not requested explicitly. */
        vae_choice_fall_back(model, &outcome.resolution, &why);
        return switch_vae(model, NULL, &outcome, err);
    }
    if (code != DR_OK && err) *err = why;
    return code;
}

enum dr_code vae_switch(struct current_model *model,
                        const struct vae_choice_words *words, bool *was_active,
                        struct dr_error *err)
{
    struct vae_choice choice = {0};
    if (model->pipeline) {
        const enum dr_code code = open_and_switch(model, words, &choice, err);
        if (code != DR_OK) return code;
    }
    ledger_lock(&model->resources->ledger);
    (void)snprintf(model->vae.choice, sizeof model->vae.choice, "%s", words->said);
    model->vae.forced = words->force;
    ledger_unlock(&model->resources->ledger);
    *was_active = choice.is_present;
    return DR_OK;
}
