#include "engine/vae_switch.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/vae_choice.h"

void vae_switch_apply_setting(const struct dr_engine *engine, struct pipeline *pipeline)
{
    struct vae_choice choice;
    /* A setting never fails: what is wrong with it is in the resolution's reason. */
    (void)!vae_choice_open(&choice, engine, pipeline, engine_vae_setting(engine),
                           VAE_SETTING, NULL);
    pipeline->resolution = choice.resolution;
    (void)pipeline_exchange_vae(pipeline, vae_choice_take(&choice));
}

/* Bring the slot in line with the choice. A VAE that has no room beside the components that are
 * loaded is left to the job that needs it, which can release those. */
static enum dr_code load_vae(struct dr_engine *engine, struct load_progress *progress,
                             struct dr_error *err)
{
    struct slot *const slot = &engine->pipeline->slots[ROLE_VAE];
    const struct source *const active = slot_active(slot);
    if (active && slot->resident == active) return DR_OK;
    const size_t bytes = source_weights_bytes(active) + source_scratch_bytes(active);
    const bool is_wanted = active && (engine->eager || slot->resident);
    const size_t limit = engine->ledger.limit_bytes;
    const size_t others = engine->ledger.private_bytes - slot->weights.bytes;
    if (!is_wanted || (limit && (bytes > limit || others > limit - bytes))) {
        slot_release(slot);
        return DR_OK;
    }
    const struct slot_load_options options = {
        .ledger = &engine->ledger,
        .order = engine_fits_beside(engine, bytes) ? SLOT_SWAP : SLOT_RELEASE_FIRST,
        .progress = load_progress_part(progress, slot->name, source_file_bytes(active)),
    };
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
    struct load_progress progress;
    engine_begin_progress(engine, &progress,
                          load_bytes(engine,
                                     slot_active(&engine->pipeline->slots[ROLE_VAE])));
    return load_vae(engine, &progress, err);
}

/* Make `file` (taken, NULL: base) the override, saving the original first and putting back what
 * was there if anything fails. */
static enum dr_code switch_vae(struct dr_engine *engine, struct vae_file *file_take,
                               struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    enum dr_code code = DR_OK;
    const struct source *const base = slot->base;
    const uint64_t save_bytes =
        file_take && base && !base->digest_known ? source_file_bytes(base) : 0;
    const struct source *const wanted = file_take ? &file_take->source : base;
    struct load_progress progress;
    engine_begin_progress(engine, &progress, save_bytes + load_bytes(engine, wanted));
    if (file_take) {
        if (!engine_fits_beside(engine, source_save_bytes(slot->base)))
            (void)pipeline_release(pipeline);
        code = source_save(slot->base, &engine->ledger,
                           load_progress_part(&progress, slot->name, save_bytes), err);
    }
    struct vae_file *const before = pipeline_exchange_vae(pipeline, file_take);
    if (code == DR_OK) code = load_vae(engine, &progress, err);
    struct vae_file *unwanted = before;
    if (code != DR_OK) unwanted = pipeline_exchange_vae(pipeline, before);
    if (unwanted && slot->resident == &unwanted->source) slot_release(slot);
    if (code == DR_OK && unwanted)
        cache_drop_file(&engine->cache, &unwanted->checkpoint.file, pipeline,
                        CACHE_KEEP_NAMED);
    vae_file_close(&unwanted);
    return code;
}

static enum dr_code choose_vae(struct dr_engine *engine, const char *said, char *note,
                               size_t note_bytes, struct dr_error *err)
{
    struct vae_choice choice;
    enum dr_code code =
        vae_choice_open(&choice, engine, engine->pipeline, said, VAE_REQUEST, err);
    if (code != DR_OK) return code;
    code = choice.is_present ? load_present(engine, err)
                             : switch_vae(engine, vae_choice_take(&choice), err);
    if (code != DR_OK) return code;
    engine->pipeline->resolution = choice.resolution;
    (void)snprintf(note, note_bytes, "%.400s%s", choice.resolution.reason,
                   choice.is_present ? "; it is the active VAE already" : "");
    return DR_OK;
}

enum dr_code dr_engine_choose_vae(struct dr_engine *engine, const char *choice,
                                  unsigned flags, struct dr_vae_info *info,
                                  struct dr_receipt *receipt, struct dr_error *err)
{
    (void)
        flags; /* DR_VAE_FORCE allows what the latent probe refuses; nothing is refused yet */
    char note[DR_TEXT_BYTES] = "a setting, looked at when a model is loaded";
    if (!choice || !*choice || strlen(choice) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is %s; give automatic, none, a name or a path",
                         choice && *choice ? "longer than any path" : "empty");
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    if (engine->pipeline) code = choose_vae(engine, choice, note, sizeof note, err);
    if (code == DR_OK) {
        (void)snprintf(engine->vae_choice, sizeof engine->vae_choice, "%s", choice);
        if (info && engine->pipeline) {
            engine_describe_setting(engine, info);
        } else if (info) {
            *info = (struct dr_vae_info){0};
            (void)snprintf(info->choice, sizeof info->choice, "%s", choice);
            (void)snprintf(info->source, sizeof info->source, "setting");
            (void)snprintf(info->reason, sizeof info->reason, "%s", note);
        }
    }
    receipt_end(engine, &start, note, code == DR_OK ? receipt : NULL);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_vae(struct dr_engine *engine, struct dr_vae_info *info,
                           struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    if (engine->pipeline)
        engine_describe_setting(engine, info);
    else
        code = error_set(err, DR_NOT_FOUND, "no model is loaded");
    engine_leave(engine);
    return code;
}
