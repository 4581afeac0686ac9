#include "engine/vae_switch.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/vae_choice.h"
#include "engine/vae_trial.h"

enum dr_code vae_switch_apply_setting(const struct dr_engine *engine,
                                      struct pipeline *pipeline, struct dr_error *err)
{
    struct vae_choice choice;
    vae_choice_setting(engine, pipeline->path, &pipeline->said);
    const struct vae_choice_words words = {.said = pipeline->said.choice,
                                           .kind = VAE_SETTING,
                                           .force = pipeline->said.forced};
    /* A setting never fails: what is wrong with it is in the resolution's reason. */
    const enum dr_code code = vae_choice_open(&choice, engine, pipeline, &words, err);
    if (code != DR_OK) return code;
    vae_choice_explain(&choice.resolution, pipeline->said.note);
    pipeline->resolution = choice.resolution;
    (void)pipeline_exchange_vae(pipeline, vae_choice_take(&choice));
    return DR_OK;
}

void vae_switch_fall_back(struct dr_engine *engine, struct pipeline *pipeline,
                          const struct dr_error *why)
{
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    struct vae_file *unusable = pipeline_exchange_vae(pipeline, NULL);
    if (unusable && slot->resident == &unusable->source) slot_release(slot);
    vae_file_close(&unusable);
    vae_choice_fall_back(engine, &pipeline->resolution, why);
    vae_choice_explain(&pipeline->resolution, pipeline->said.note);
}

/* Bring the slot in line with the choice. A VAE that has no room beside the components that are
 * loaded is left to the job that needs it, which can release those. */
static enum dr_code load_vae(struct dr_engine *engine, struct vae_trial *trial,
                             struct load_progress *progress, struct dr_error *err)
{
    struct slot *const slot = &engine->pipeline->slots[ROLE_VAE];
    const struct source *const active = slot_active(slot);
    if (active && slot->resident == active) return DR_OK;
    const size_t bytes = vae_trial_bytes(trial, active);
    const bool is_wanted = active && (engine->eager || slot->resident);
    const size_t limit = engine->ledger.limit_bytes;
    const size_t others =
        engine->ledger.private_bytes - region_private_bytes(&slot->weights);
    if (!is_wanted || (limit && (bytes > limit || others > limit - bytes))) {
        const enum dr_code code = vae_trial_alone(trial, engine, err);
        if (code == DR_OK) slot_release(slot);
        return code;
    }
    struct slot_load_options options = {
        .ledger = &engine->ledger,
        .order = engine_fits_beside(engine, bytes) ? SLOT_SWAP : SLOT_RELEASE_FIRST,
        .progress = load_progress_part(progress, slot->name, source_file_bytes(active)),
    };
    vae_trial_watch(trial, &options);
    return slot_load(slot, &options, err);
}

/* The bytes of its file that load_vae reads where there is room. */
static uint64_t load_bytes(const struct dr_engine *engine, const struct source *wanted)
{
    const struct slot *const slot = &engine->pipeline->slots[ROLE_VAE];
    const bool is_read = engine->eager || slot->resident;
    return is_read && slot->resident != wanted ? source_file_bytes(wanted) : 0;
}

/* The active VAE is what was asked for: only its weights may be missing. */
static enum dr_code load_present(struct dr_engine *engine, struct dr_error *err)
{
    struct vae_trial nothing = {0};
    struct load_progress progress;
    const enum dr_code code =
        engine_settle(engine, engine->pipeline, 1U << ROLE_VAE, NULL, err);
    if (code != DR_OK) return code;
    engine_begin_progress(engine, &progress,
                          load_bytes(engine,
                                     slot_active(&engine->pipeline->slots[ROLE_VAE])));
    return load_vae(engine, &nothing, &progress, err);
}

/* Make `file` (taken, NULL: base) the override, saving the original first and putting back what
 * was there if anything fails. */
static enum dr_code switch_vae(struct dr_engine *engine, struct vae_file *file_take,
                               struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    const struct source *const wanted = file_take ? &file_take->source : slot->base;
    struct load_progress progress;
    struct vae_trial trial;
    const unsigned resident = pipeline_resident_roles(pipeline);
    enum dr_code code = engine_settle(engine, pipeline, 1U << ROLE_VAE,
                                      file_take ? &file_take->source : NULL, err);
    if (code != DR_OK) {
        struct vae_file *unwanted_file = file_take;
        vae_file_close(&unwanted_file);
        return code;
    }
    const uint64_t save_bytes = file_take ? source_unsaved_bytes(slot->base) : 0;
    engine_begin_progress(engine, &progress, save_bytes + load_bytes(engine, wanted));
    code = vae_trial_begin(&trial, engine, pipeline, file_take, VAE_TRIAL_MAKES_ROOM,
                           &progress, err);
    struct vae_file *const before = pipeline_exchange_vae(pipeline, file_take);
    if (code == DR_OK) code = load_vae(engine, &trial, &progress, err);
    struct vae_file *unwanted = before;
    if (code != DR_OK) unwanted = pipeline_exchange_vae(pipeline, before);
    if (unwanted && slot->resident == &unwanted->source) slot_release(slot);
    vae_trial_end(&trial);
    if (code == DR_OK && unwanted)
        cache_drop_file(&engine->cache, &unwanted->checkpoint.file, pipeline,
                        CACHE_KEEP_NAMED);
    vae_file_close(&unwanted);
    if (code != DR_OK &&
        pipeline_load_again(pipeline, resident, &engine->ledger, NULL) != DR_OK)
        error_prefix(err, "what had to make room is read again when it is needed");
    return code;
}

static enum dr_code open_and_switch(struct dr_engine *engine,
                                    const struct vae_choice_words *words,
                                    struct vae_choice *choice, struct dr_error *err)
{
    struct dr_error why;
    enum dr_code code = vae_choice_open(choice, engine, engine->pipeline, words, err);
    if (code != DR_OK) return code;
    if (choice->is_present) {
        if (words->force) engine->pipeline->override->forced = true;
        return load_present(engine, err);
    }
    code = switch_vae(engine, vae_choice_take(choice), &why);
    if (code == DR_FOREIGN && !choice->resolution.is_explicit) {
        /* A neighbour is no request. */
        vae_choice_fall_back(engine, &choice->resolution, &why);
        return switch_vae(engine, NULL, err);
    }
    if (code != DR_OK && err) *err = why;
    return code;
}

static enum dr_code choose_vae(struct dr_engine *engine,
                               const struct vae_choice_words *words, char *note,
                               size_t note_bytes, struct dr_error *err)
{
    struct vae_choice choice;
    struct dr_vae_info info;
    const enum dr_code code = open_and_switch(engine, words, &choice, err);
    if (code != DR_OK) return code;
    engine->pipeline->resolution = choice.resolution;
    engine->pipeline->said = vae_said_by(VAE_SAID_SETTING, words->said);
    engine->pipeline->said.forced = words->force;
    engine_describe_setting(engine, &info);
    (void)snprintf(note, note_bytes, "%.300s%s%s%.160s", choice.resolution.reason,
                   choice.is_present ? "; it is the active VAE already" : "",
                   info.probe[0] ? "; " : "", info.probe);
    return DR_OK;
}

enum dr_code dr_engine_choose_vae(struct dr_engine *engine, const char *choice,
                                  unsigned flags, struct dr_vae_info *info,
                                  struct dr_receipt *receipt, struct dr_error *err)
{
    const struct vae_choice_words words = {.said = choice,
                                           .kind = VAE_REQUEST,
                                           .force = flags & DR_VAE_FORCE};
    char note[DR_TEXT_BYTES] = "a setting, looked at when a model is loaded";
    if (!choice || !*choice || strlen(choice) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is %s; give automatic, none, a name or a path",
                         choice && *choice ? "longer than any path" : "empty");
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    if (engine->pipeline) code = choose_vae(engine, &words, note, sizeof note, err);
    if (code == DR_OK) {
        (void)snprintf(engine->vae_choice, sizeof engine->vae_choice, "%s", choice);
        engine->vae_forced = words.force;
        if (info) engine_describe_setting(engine, info);
    }
    receipt_end(engine, &start, note, code == DR_OK ? receipt : NULL);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_vae(struct dr_engine *engine, struct dr_vae_info *info,
                           struct dr_error *err)
{
    const enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    engine_describe_setting(engine, info);
    engine_leave(engine);
    return code;
}
