/* Switching between checkpoints, and letting go of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/vae_switch.h"
#include "engine/vae_trial.h"

/* Which roles: a bit each. */
static enum dr_code load_slots(struct dr_engine *engine, struct pipeline *pipeline,
                               unsigned roles, struct load_progress *progress,
                               struct dr_error *err)
{
    for (int role = 0; role < ROLE_COUNT; ++role) {
        struct slot *const slot = &pipeline->slots[role];
        const struct source *const active = slot_active(slot);
        if (!(roles & 1U << role) || !active || slot->resident == active) continue;
        const struct slot_load_options options = {
            .ledger = &engine->ledger,
            .order = SLOT_SWAP,
            .progress =
                load_progress_part(progress, slot->name, source_file_bytes(active))};
        const enum dr_code code = slot_load(slot, &options, err);
        if (code != DR_OK) return code;
    }
    return DR_OK;
}

enum {
    ALL_ROLES = (1 << ROLE_COUNT) - 1
};

/* The bytes of the files that load_or_fall_back reads where nothing goes wrong. */
static uint64_t bytes_to_read(const struct pipeline *pipeline)
{
    uint64_t bytes = 0;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const struct slot *const slot = &pipeline->slots[role];
        const struct source *const active = slot_active(slot);
        if (active && slot->resident != active) bytes += source_file_bytes(active);
    }
    if (pipeline->override)
        bytes += source_unsaved_bytes(pipeline->slots[ROLE_VAE].base);
    return bytes;
}

/* Its last component, asked on the way in. An override that has no room for that beside what is
 * loaded by now is asked by the next job. */
static enum dr_code load_vae(struct dr_engine *engine, struct pipeline *pipeline,
                             struct vae_trial *trial, struct load_progress *progress,
                             struct dr_error *err)
{
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    const struct source *const active = slot_active(slot);
    if (!active || slot->resident == active) return DR_OK;
    struct slot_load_options options = {
        .ledger = &engine->ledger,
        .order = SLOT_SWAP,
        .progress =
            load_progress_part(progress, slot->name, source_file_bytes(active))};
    if (engine_fits_beside(engine,
                           source_weights_bytes(active) + trial->probe.check_bytes))
        vae_trial_watch(trial, &options);
    return slot_load(slot, &options, err);
}

/* Load a pipeline's weights; an override that came from the setting and cannot be read falls
 * back to base, as any setting that does not fit. */
static enum dr_code load_or_fall_back(struct dr_engine *engine,
                                      struct pipeline *pipeline, struct dr_error *err)
{
    const unsigned others = ALL_ROLES & ~(1U << ROLE_VAE);
    struct vae_trial trial;
    struct dr_error why = {0};
    struct load_progress progress;
    engine_begin_progress(engine, &progress, bytes_to_read(pipeline));
    enum dr_code code = vae_trial_begin(&trial, engine, pipeline, pipeline->override,
                                        VAE_TRIAL_BESIDE, &progress, &why);
    if (code == DR_FOREIGN) {
        vae_switch_fall_back(engine, pipeline, &why);
        load_progress_replace(&progress, bytes_to_read(pipeline));
        code = DR_OK;
    }
    if (code == DR_OK) code = load_slots(engine, pipeline, others, &progress, &why);
    if (code == DR_OK) {
        code = load_vae(engine, pipeline, &trial, &progress, &why);
        if (code != DR_OK && code != DR_CANCELLED && pipeline->override) {
            vae_trial_end(&trial);
            vae_switch_fall_back(engine, pipeline, &why);
            load_progress_replace(&progress, bytes_to_read(pipeline));
            code = load_slots(engine, pipeline, 1U << ROLE_VAE, &progress, &why);
        }
    }
    vae_trial_end(&trial);
    if (code != DR_OK && err) *err = why;
    return code;
}

static bool fits_whole(const struct dr_engine *engine, const struct pipeline *pipeline)
{
    const struct pipeline_bytes bytes = pipeline_measure(pipeline);
    return engine_fits_beside(engine, bytes.missing + bytes.scratch);
}

/* The weights of the new pipeline, beside the old one's where both fit, else after them. On
 * error what the old one had loaded is read again, as far as that goes; a cancel that stopped
 * the way there does not stop the way back. */
static enum dr_code load_beside_or_after(struct dr_engine *engine,
                                         struct pipeline *fresh, char *note,
                                         size_t note_bytes, struct dr_error *err)
{
    struct pipeline *const old = engine->pipeline;
    unsigned released = 0;
    if (!fits_whole(engine, fresh) && old) {
        released = pipeline_resident_roles(old);
        (void)pipeline_release_weights(old);
    }
    if (!fits_whole(engine, fresh) && old) prompt_cache_close(&old->prompts);
    if (!fits_whole(engine, fresh)) {
        (void)snprintf(
            note, note_bytes,
            "its components do not fit the budget all at once, each is read when a "
            "job needs it; ");
        return DR_OK;
    }
    const enum dr_code code = load_or_fall_back(engine, fresh, err);
    if (code != DR_OK && released) {
        (void)pipeline_release(fresh);
        (void)!pipeline_load_again(old, released, &engine->ledger, NULL);
    }
    return code;
}

/* What the model lacks in memory; on error it is as it was. */
static enum dr_code load_rest(struct dr_engine *engine, struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    const unsigned before = pipeline_resident_roles(pipeline);
    enum dr_code code = engine_settle(engine, pipeline, ALL_ROLES, NULL, err);
    if (code != DR_OK) return code;
    if (!fits_whole(engine, pipeline)) return DR_OK;
    code = load_or_fall_back(engine, pipeline, err);
    for (int role = 0; code != DR_OK && role < ROLE_COUNT; ++role)
        if (!(before & 1U << role)) (void)slot_release(&pipeline->slots[role]);
    return code;
}

static bool is_loaded_already(const struct dr_engine *engine, const char *path)
{
    const struct pipeline *const pipeline = engine->pipeline;
    return pipeline && path_is_same(pipeline->path, path) &&
           tensor_file_check(&pipeline->checkpoint.file, NULL) == DR_OK &&
           meaning_is_current(&pipeline->checkpoint);
}

/* A pipeline's weights, and what the kernel keeps of its files; it stays open. */
static size_t let_go(struct dr_engine *engine, struct pipeline *pipeline,
                     enum cache_keep keep)
{
    if (!pipeline) return 0;
    const size_t bytes = pipeline_release(pipeline);
    cache_drop_file(&engine->cache, &pipeline->checkpoint.file, engine->pipeline, keep);
    if (pipeline->override)
        cache_drop_file(&engine->cache, &pipeline->override->checkpoint.file,
                        engine->pipeline, keep);
    return bytes;
}

static size_t let_go_of_vae(struct dr_engine *engine)
{
    struct pipeline *const pipeline = engine->pipeline;
    if (!pipeline) return 0;
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    const struct source *const active = slot_active(slot);
    const size_t bytes = slot_release(slot);
    if (active)
        cache_drop_file(&engine->cache, active->spec->index->file, pipeline,
                        CACHE_KEEP_RESIDENT);
    return bytes;
}

static enum dr_code load_model(struct dr_engine *engine, const char *path, bool force,
                               char *note, size_t note_bytes, struct dr_error *err)
{
    if (is_loaded_already(engine, path)) {
        (void)snprintf(note, note_bytes, "this model is loaded already; ");
        return engine->eager ? load_rest(engine, err) : DR_OK;
    }
    struct pipeline *fresh = NULL;
    enum dr_code code =
        pipeline_open(&fresh, path,
                      &(struct pipeline_options){.dtype = engine->dtype,
                                                 .packs = &engine->packs,
                                                 .force = force},
                      err);
    if (code != DR_OK) return code;
    if (fresh->warnings[0]) engine_log(engine, DR_LOG_WARNING, "%s", fresh->warnings);
    code = vae_switch_apply_setting(engine, fresh, err);
    if (engine->eager && code == DR_OK)
        code = engine_settle(engine, fresh, ALL_ROLES, NULL, err);
    if (engine->eager && code == DR_OK)
        code = load_beside_or_after(engine, fresh, note, note_bytes, err);
    if (code != DR_OK) {
        pipeline_close(&fresh);
        return code;
    }
    struct pipeline *old = engine->pipeline;
    engine->pipeline = fresh;
    let_go(engine, old, CACHE_KEEP_NAMED);
    pipeline_close(&old);
    return DR_OK;
}

enum dr_code dr_engine_load(struct dr_engine *engine, const char *path, unsigned mode,
                            struct dr_load_result *result, struct dr_error *err)
{
    char note[DR_TEXT_BYTES] = "", reason[DR_TEXT_BYTES];
    if (!path || !*path) return error_set(err, DR_BAD_INPUT, "no model path was given");
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    const bool was_eager = engine->eager;
    engine->eager = !(mode & DR_LOAD_LAZY);
    code = load_model(engine, path, mode & DR_LOAD_FORCE, note, sizeof note, err);
    if (code != DR_OK) engine->eager = was_eager;
    if (code == DR_OK) {
        struct dr_vae_info vae;
        engine_describe_setting(engine, &vae);
        (void)snprintf(reason, sizeof reason, "%.130sVAE: %.230s%s%.130s", note,
                       vae.reason, vae.probe[0] ? "; " : "", vae.probe);
        engine_log(engine, DR_LOG_INFO, "model %s", path);
    }
    if (code == DR_OK && result)
        engine_describe_pipeline(engine->pipeline, &result->model);
    receipt_end(engine, &start, code == DR_OK ? reason : "",
                code == DR_OK && result ? &result->receipt : NULL);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_model(struct dr_engine *engine, struct dr_model_info *model,
                             struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    if (engine->pipeline)
        engine_describe_pipeline(engine->pipeline, model);
    else
        code = error_set(err, DR_NOT_FOUND, "no model is loaded");
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_unload(struct dr_engine *engine, unsigned what,
                              struct dr_receipt *receipt, struct dr_error *err)
{
    const unsigned which = what & ~(unsigned)DR_UNLOAD_DROP_CACHE;
    if (which != DR_UNLOAD_VAE && which != DR_UNLOAD_MODEL)
        return error_set(err, DR_BAD_INPUT,
                         "unload of %u: give DR_UNLOAD_VAE or DR_UNLOAD_MODEL", what);
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    if (what & DR_UNLOAD_DROP_CACHE) engine->cache.is_wanted = true;
    const size_t bytes = which == DR_UNLOAD_VAE
                             ? let_go_of_vae(engine)
                             : let_go(engine, engine->pipeline, CACHE_KEEP_RESIDENT);
    if (which == DR_UNLOAD_MODEL) tokenizers_close(&engine->tokenizers);
    receipt_end(engine, &start,
                bytes ? "released; what a job needs is read again"
                      : "nothing was loaded",
                receipt);
    engine_leave(engine);
    return code;
}
