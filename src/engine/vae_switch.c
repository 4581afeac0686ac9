#include "engine/vae_switch.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/vae_choice.h"

void vae_switch_apply_setting(const struct dr_engine *engine, struct pipeline *pipeline)
{
    struct vae_choice choice;
    vae_choice_setting(engine, pipeline->path, &pipeline->said);
    /* A setting never fails: what is wrong with it is in the resolution's reason. */
    (void)!vae_choice_open(&choice, engine, pipeline, pipeline->said.choice,
                           VAE_SETTING, NULL);
    vae_choice_explain(&choice.resolution, pipeline->said.note);
    pipeline->resolution = choice.resolution;
    (void)pipeline_exchange_vae(pipeline, vae_choice_take(&choice));
}

/* Bring the slot in line with the choice. A VAE that has no room beside the components that are
 * loaded is left to the job that needs it, which can release those. */
static enum dr_code load_vae(struct dr_engine *engine, struct dr_error *err)
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
        .progress = &(struct component_progress){.cancel = &engine->cancel},
    };
    return slot_load(slot, &options, err);
}

/* Make `file` (taken, NULL: base) the override, saving the original first and putting back what
 * was there if anything fails. */
static enum dr_code switch_vae(struct dr_engine *engine, struct vae_file *file_take,
                               struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    enum dr_code code = DR_OK;
    if (file_take) {
        if (!engine_fits_beside(engine, source_save_bytes(slot->base)))
            (void)pipeline_release(pipeline);
        code = source_save(slot->base, &engine->ledger, err);
    }
    struct vae_file *const before = pipeline_exchange_vae(pipeline, file_take);
    if (code == DR_OK) code = load_vae(engine, err);
    struct vae_file *unwanted = before;
    if (code != DR_OK) unwanted = pipeline_exchange_vae(pipeline, before);
    if (unwanted && slot->resident == &unwanted->source) slot_release(slot);
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
    code = choice.is_present ? load_vae(engine, err)
                             : switch_vae(engine, vae_choice_take(&choice), err);
    if (code != DR_OK) return code;
    engine->pipeline->resolution = choice.resolution;
    engine->pipeline->said = vae_said_by(VAE_SAID_SETTING, said);
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
