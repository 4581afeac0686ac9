#include "switch/model_switch.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "switch/vae_switch.h"
#include "switch/vae_trial.h"

/* The slots of the mask, in the order of the list. */
static enum dr_code load_slots(struct current_model *model, struct pipeline *pipeline,
                               unsigned slots, struct load_progress *progress,
                               struct dr_error *err)
{
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        const struct source *const active = slot_active(slot);
        if (!(slots & 1U << i) || !active || slot->resident == active) continue;
        const struct slot_load_options options = {
            .ledger = &model->resources->ledger,
            .order = SLOT_SWAP,
            .progress =
                load_progress_part(progress, slot->name, source_file_bytes(active))};
        const enum dr_code code = slot_load(slot, &options, err);
        if (code != DR_OK) return code;
    }
    return DR_OK;
}

/* The bytes of the files that load_or_fall_back reads where nothing goes wrong. */
static uint64_t bytes_to_read(const struct pipeline *pipeline)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        const struct source *const active = slot_active(slot);
        if (active && slot->resident != active) bytes += source_file_bytes(active);
    }
    if (pipeline->override) bytes += source_unsaved_bytes(pipeline->vae_slot->base);
    return bytes;
}

/* Load the last component (the VAE), and probe it while it is loaded. If there is not enough memory for the probe beside
 * the loaded components, the next job does it. */
static enum dr_code load_vae(struct current_model *model, struct pipeline *pipeline,
                             struct vae_trial *trial, struct load_progress *progress,
                             struct dr_error *err)
{
    struct slot *const slot = pipeline->vae_slot;
    const struct source *const active = slot_active(slot);
    if (!active || slot->resident == active) return DR_OK;
    struct slot_load_options options = {
        .ledger = &model->resources->ledger,
        .order = SLOT_SWAP,
        .progress =
            load_progress_part(progress, slot->name, source_file_bytes(active))};
    if (resources_fit(model->resources,
                      source_weights_bytes(active) + trial->probe.check_bytes))
        vae_trial_watch(trial, &options);
    return slot_load(slot, &options, err);
}

/* Load a pipeline's weights. If the override comes from the settings and cannot be read, the checkpoint's own
 * VAE is used instead, as for any setting that cannot be used. */
static enum dr_code load_or_fall_back(struct current_model *model,
                                      struct pipeline *pipeline, struct dr_error *err)
{
    const unsigned vae = pipeline_slot_bit(pipeline, pipeline->vae_slot);
    struct vae_trial trial;
    struct dr_error why = {0};
    struct load_progress progress;
    resources_begin_progress(model->resources, &progress, bytes_to_read(pipeline));
    enum dr_code code = vae_trial_begin(&trial, model, pipeline, pipeline->override,
                                        VAE_TRIAL_BESIDE, &progress, &why);
    if (code == DR_FOREIGN) {
        vae_switch_fall_back(model, pipeline, &why);
        load_progress_replace(&progress, bytes_to_read(pipeline));
        code = DR_OK;
    }
    if (code == DR_OK)
        code = load_slots(model, pipeline, PIPELINE_ALL_SLOTS & ~vae, &progress, &why);
    if (code == DR_OK) {
        code = load_vae(model, pipeline, &trial, &progress, &why);
        if (code != DR_OK && code != DR_CANCELLED && pipeline->override) {
            vae_trial_end(&trial);
            vae_switch_fall_back(model, pipeline, &why);
            load_progress_replace(&progress, bytes_to_read(pipeline));
            code = load_slots(model, pipeline, vae, &progress, &why);
        }
    }
    vae_trial_end(&trial);
    if (code != DR_OK && err) *err = why;
    return code;
}

static bool fits_whole(const struct current_model *model,
                       const struct pipeline *pipeline)
{
    const struct pipeline_bytes bytes = pipeline_measure(pipeline);
    return resources_fit(model->resources, bytes.missing + bytes.scratch);
}

/* Load the new pipeline's weights: while the old ones are still in memory if both fit, else after the old ones
 * are released. On error the old weights are read again, as far as possible; the cancel that stopped the
 * switch does not stop that. */
static enum dr_code load_beside_or_after(struct current_model *model,
                                         struct pipeline *fresh, char *note,
                                         size_t note_bytes, struct dr_error *err)
{
    struct pipeline *const old = model->pipeline;
    unsigned released = 0;
    if (!fits_whole(model, fresh) && old) {
        released = pipeline_resident_slots(old);
        (void)pipeline_release_weights(old);
    }
    if (!fits_whole(model, fresh) && old) prompt_cache_close(&old->prompts);
    if (!fits_whole(model, fresh)) {
        (void)snprintf(
            note, note_bytes,
            "its components do not fit the budget together, so each is loaded when a "
            "job needs it; ");
        return DR_OK;
    }
    const enum dr_code code = load_or_fall_back(model, fresh, err);
    if (code != DR_OK && released) {
        (void)pipeline_release(fresh);
        (void)!pipeline_load_again(old, released, &model->resources->ledger, NULL);
    }
    return code;
}

/* Load the components of the model that are not in memory. On error nothing changes. */
static enum dr_code load_rest(struct current_model *model, struct dr_error *err)
{
    struct pipeline *const pipeline = model->pipeline;
    const unsigned before = pipeline_resident_slots(pipeline);
    enum dr_code code =
        resources_settle(model->resources, pipeline, PIPELINE_ALL_SLOTS, NULL, err);
    if (code != DR_OK) return code;
    if (!fits_whole(model, pipeline)) return DR_OK;
    code = load_or_fall_back(model, pipeline, err);
    for (int32_t i = 0; code != DR_OK && i < pipeline->slot_count; ++i)
        if (!(before & 1U << i)) (void)slot_release(&pipeline->slots[i]);
    return code;
}

static bool is_loaded_already(const struct current_model *model, const char *path)
{
    const struct pipeline *const pipeline = model->pipeline;
    return pipeline && path_is_same(pipeline->path, path) &&
           strcmp(pipeline->base_path, model->base) == 0 &&
           pipeline_is_current(pipeline);
}

/* Release a pipeline's weights, and drop its files from the page cache; the pipeline stays open. */
static size_t let_go(struct current_model *model, struct pipeline *pipeline,
                     enum cache_keep keep)
{
    if (!pipeline) return 0;
    const size_t bytes = pipeline_release(pipeline);
    cache_drop_file(&model->resources->cache, &pipeline->checkpoint.file,
                    model->pipeline, keep);
    cache_drop_file(&model->resources->cache, &pipeline->base.file, model->pipeline,
                    keep);
    if (pipeline->override)
        cache_drop_file(&model->resources->cache, &pipeline->override->checkpoint.file,
                        model->pipeline, keep);
    return bytes;
}

static enum dr_code load_model(struct current_model *model,
                               const struct model_switch_options *options, char *note,
                               size_t note_bytes, struct dr_error *err)
{
    if (is_loaded_already(model, options->path)) {
        (void)snprintf(note, note_bytes, "this model is already loaded; ");
        return model->eager ? load_rest(model, err) : DR_OK;
    }
    struct pipeline *fresh = NULL;
    enum dr_code code =
        pipeline_open(&fresh, options->path,
                      &(struct pipeline_options){.dtype = model->resources->dtype,
                                                 .storage = model->resources->storage,
                                                 .packs = &model->resources->packs,
                                                 .base = model->base,
                                                 .force = options->force},
                      err);
    if (code != DR_OK) return code;
    if (fresh->warnings[0])
        resources_log(model->resources, DR_LOG_WARNING, "%s", fresh->warnings);
    code = vae_switch_apply_setting(model, fresh, err);
    if (model->eager && code == DR_OK)
        code = resources_settle(model->resources, fresh, PIPELINE_ALL_SLOTS, NULL, err);
    if (model->eager && code == DR_OK)
        code = load_beside_or_after(model, fresh, note, note_bytes, err);
    if (code != DR_OK) {
        pipeline_close(&fresh);
        return code;
    }
    struct pipeline *old = model->pipeline;
    ledger_lock(&model->resources->ledger);
    model->pipeline = fresh;
    ledger_unlock(&model->resources->ledger);
    let_go(model, old, CACHE_KEEP_NAMED);
    pipeline_close(&old);
    return DR_OK;
}

enum dr_code model_switch(struct current_model *model,
                          const struct model_switch_options *options, char *note,
                          size_t note_bytes, struct dr_error *err)
{
    const bool was_eager = model->eager;
    model->eager = options->eager;
    const enum dr_code code = load_model(model, options, note, note_bytes, err);
    if (code != DR_OK) model->eager = was_eager;
    return code;
}

size_t model_switch_release(struct current_model *model)
{
    const size_t bytes = let_go(model, model->pipeline, CACHE_KEEP_RESIDENT);
    tokenizers_close(&model->tokenizers);
    return bytes;
}

size_t model_switch_release_vae(struct current_model *model)
{
    struct pipeline *const pipeline = model->pipeline;
    if (!pipeline) return 0;
    struct slot *const slot = pipeline->vae_slot;
    const struct source *const active = slot_active(slot);
    const size_t bytes = slot_release(slot);
    if (active)
        cache_drop_file(&model->resources->cache, active->spec->index->file, pipeline,
                        CACHE_KEEP_RESIDENT);
    return bytes;
}
