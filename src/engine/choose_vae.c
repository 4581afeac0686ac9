/* The public calls that choose a VAE and describe the active one (switch/vae_switch.h). */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "switch/vae_switch.h"

static void describe_switch(const struct dr_engine *engine, bool was_active,
                            char note[static DR_REASON_BYTES])
{
    struct dr_vae_info info;
    engine_describe_setting(engine, &info);
    (void)snprintf(note, DR_REASON_BYTES, "%.1500s%s%s%.400s",
                   engine->model.pipeline->resolution.reason,
                   was_active ? "; it is already the active VAE" : "",
                   info.probe[0] ? "; " : "", info.probe);
}

enum dr_code dr_engine_choose_vae(struct dr_engine *engine, const char *choice,
                                  unsigned flags, struct dr_vae_info *info,
                                  struct dr_receipt *receipt, struct dr_error *err)
{
    const struct vae_choice_words words = {.said = choice,
                                           .kind = VAE_REQUEST,
                                           .force = flags & DR_VAE_FORCE};
    char note[DR_REASON_BYTES] = "a setting, checked when a model is loaded";
    if (!choice || !*choice || strlen(choice) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is %s; give automatic, none, a name or a path",
                         choice && *choice ? "too long for a path" : "empty");
    enum dr_code code = engine_enter(engine, "vae", err);
    if (code != DR_OK) return code;
    bool was_active = false;
    const struct receipt_start start = receipt_begin(engine);
    code = vae_switch(&engine->model, &words, &was_active, err);
    if (code == DR_OK && engine->model.pipeline)
        describe_switch(engine, was_active, note);
    if (code == DR_OK && info) engine_describe_setting(engine, info);
    receipt_end(engine, &start, note, code == DR_OK ? receipt : NULL);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_vae(struct dr_engine *engine, struct dr_vae_info *info,
                           struct dr_error *err)
{
    (void)err; /* nothing can go wrong by now */
    engine_lock(engine);
    engine_describe_setting(engine, info);
    engine_unlock(engine);
    return DR_OK;
}
