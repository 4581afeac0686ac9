/* The public calls that load a model, describe it and release its weights (switch/model_switch.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/engine.h"
#include "switch/model_switch.h"

enum dr_code dr_engine_load(struct dr_engine *engine, const char *path, unsigned mode,
                            struct dr_load_result *result, struct dr_error *err)
{
    char note[DR_TEXT_BYTES] = "", reason[DR_REASON_BYTES];
    if (result) *result = (struct dr_load_result){0};
    if (!path || !*path) return error_set(err, DR_BAD_INPUT, "no model path was given");
    enum dr_code code = engine_enter(engine, "load", err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    const struct model_switch_options options = {.path = path,
                                                 .eager = !(mode & DR_LOAD_LAZY),
                                                 .force = mode & DR_LOAD_FORCE};
    if (result) code = engine_model_info_create(&result->model, err);
    if (code == DR_OK)
        code = model_switch(&engine->model, &options, note, sizeof note, err);
    if (code == DR_OK) {
        struct dr_vae_info vae;
        engine_describe_setting(engine, &vae);
        (void)snprintf(reason, sizeof reason, "%.400sVAE: %.1200s%s%.400s", note,
                       vae.reason, vae.probe[0] ? "; " : "", vae.probe);
        resources_log(&engine->resources, DR_LOG_INFO, "model %s", path);
    }
    if (code == DR_OK && result)
        engine_describe_pipeline(engine->model.pipeline, &result->model);
    receipt_end(engine, &start, code == DR_OK ? reason : "",
                code == DR_OK && result ? &result->receipt : NULL);
    if (code != DR_OK) dr_load_result_free(result);
    engine_leave(engine);
    return code;
}

/* A path that is there is one; all else may be the name of a model. */
static enum dr_code find_base(const char *base, char path[static DR_PATH_BYTES],
                              struct dr_error *err)
{
    const size_t bytes = strlen(base);
    if (bytes >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the base's path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    if (access(base, F_OK) != 0) return dr_find_model(base, NULL, path, err);
    memcpy(path, base, bytes + 1);
    return DR_OK;
}

enum dr_code dr_engine_set_base(struct dr_engine *engine, const char *base,
                                struct dr_error *err)
{
    char path[DR_PATH_BYTES] = "";
    enum dr_code code = engine_enter(engine, "load", err);
    if (code != DR_OK) return code;
    if (base && *base) code = find_base(base, path, err);
    if (code == DR_OK)
        (void)snprintf(engine->model.base, sizeof engine->model.base, "%s", path);
    engine_leave(engine);
    return code;
}

enum dr_code engine_begin_base(struct dr_engine *engine, const char *option,
                               struct dr_error *err)
{
    const char *const setting = engine->model.vae.settings.base;
    char *const base = engine->model.base;
    if (option && *option) return find_base(option, base, err);
    /* A name that means nothing now is an error where a model needs it. */
    if (*setting && !option && find_base(setting, base, NULL) != DR_OK)
        (void)snprintf(base, DR_PATH_BYTES, "%s", setting);
    return DR_OK;
}

void dr_load_result_free(struct dr_load_result *result)
{
    if (!result) return;
    dr_model_info_free(&result->model);
    *result = (struct dr_load_result){0};
}

enum dr_code dr_engine_model(struct dr_engine *engine, struct dr_model_info *model,
                             struct dr_error *err)
{
    enum dr_code code = DR_OK;
    *model = (struct dr_model_info){0};
    engine_lock(engine);
    if (engine->model.pipeline)
        code = engine_model_info_create(model, err);
    else
        code = error_set(err, DR_NOT_FOUND, "no model is loaded");
    if (code == DR_OK) engine_describe_pipeline(engine->model.pipeline, model);
    engine_unlock(engine);
    return code;
}

enum dr_code dr_engine_unload(struct dr_engine *engine, unsigned what,
                              struct dr_receipt *receipt, struct dr_error *err)
{
    const unsigned which = what & ~(unsigned)DR_UNLOAD_DROP_CACHE;
    if (which != DR_UNLOAD_VAE && which != DR_UNLOAD_MODEL)
        return error_set(err, DR_BAD_INPUT,
                         "unload of %u: give DR_UNLOAD_VAE or DR_UNLOAD_MODEL", what);
    enum dr_code code = engine_enter(engine, "unload", err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    if (what & DR_UNLOAD_DROP_CACHE) engine->resources.cache.is_wanted = true;
    const size_t bytes = which == DR_UNLOAD_VAE
                             ? model_switch_release_vae(&engine->model)
                             : model_switch_release(&engine->model);
    receipt_end(engine, &start,
                bytes ? "released; a later job loads what it needs"
                      : "nothing was loaded",
                receipt);
    engine_leave(engine);
    return code;
}
