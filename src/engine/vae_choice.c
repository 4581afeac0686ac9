#include "engine/vae_choice.h"

#include <stdio.h>

#include "base/error.h"

void vae_choice_fall_back(const struct dr_engine *engine,
                          struct vae_resolution *resolution, const struct dr_error *why)
{
    *resolution = (struct vae_resolution){.is_base = true};
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "the checkpoint's own VAE, since the choice does not fit: %.380s",
                   why->message);
    engine_log(engine, DR_LOG_WARNING, "%s", resolution->reason);
}

bool vae_choice_pair(const struct pipeline *pipeline, struct vae_file *file,
                     struct latent_pair *pair)
{
    if (!file || file->forced || !pipeline->vae) return false;
    *pair = (struct latent_pair){.own = pipeline->vae,
                                 .own_source = pipeline->slots[ROLE_VAE].base,
                                 .other = file->spec,
                                 .other_source = &file->source};
    return true;
}

/* Refuse a file that is known to be foreign. */
static enum dr_code check_known(const struct dr_engine *engine,
                                const struct pipeline *pipeline, struct vae_file *file,
                                struct dr_error *err)
{
    struct latent_pair pair;
    struct latent_probe_result result;
    if (!vae_choice_pair(pipeline, file, &pair) ||
        !latent_probe_find(&engine->probes, &pair, &result))
        return DR_OK;
    return latent_probe_refuse(&pair, &result, err);
}

static enum dr_code resolve_and_open(struct vae_choice *choice,
                                     const struct dr_engine *engine,
                                     const struct pipeline *pipeline,
                                     const struct vae_choice_words *words,
                                     struct dr_error *err)
{
    struct vae_resolution *const resolution = &choice->resolution;
    const struct vae_resolution_request request = {.choice = words->said,
                                                   .checkpoint = pipeline->path,
                                                   .vae_folder = engine->vae_folder};
    /* Until the words mean something, whatever they meant is what was asked for. */
    resolution->is_explicit = true;
    enum dr_code code = vae_resolve(resolution, &request, err);
    if (code != DR_OK || resolution->is_base) return code;
    choice->is_present = vae_file_is(pipeline->override, resolution->path);
    if (choice->is_present) return DR_OK;
    code = vae_file_open(&choice->file, resolution->path, pipeline->checkpoint.family,
                         engine->dtype, err);
    if (code != DR_OK) return code;
    choice->file->forced = words->force;
    code = check_known(engine, pipeline, choice->file, err);
    if (code != DR_OK) vae_choice_close(choice);
    return code;
}

enum dr_code vae_choice_open(struct vae_choice *choice, const struct dr_engine *engine,
                             const struct pipeline *pipeline,
                             const struct vae_choice_words *words, struct dr_error *err)
{
    struct dr_error why;
    *choice = (struct vae_choice){0};
    if (!words->said) {
        choice->resolution = pipeline->resolution;
        choice->is_present = pipeline->override != NULL;
        return DR_OK;
    }
    const enum dr_code code = resolve_and_open(choice, engine, pipeline, words, &why);
    if (code == DR_OK) return DR_OK;
    if (words->kind == VAE_REQUEST && choice->resolution.is_explicit) {
        if (err) *err = why;
        return code;
    }
    vae_choice_fall_back(engine, &choice->resolution, &why);
    return DR_OK;
}

bool vae_choice_gives_way(struct vae_choice *choice, const struct dr_engine *engine,
                          const struct dr_error *why)
{
    if (!choice->file || choice->resolution.is_explicit) return false;
    vae_choice_close(choice);
    vae_choice_fall_back(engine, &choice->resolution, why);
    return true;
}

bool vae_choice_leaves_override(const struct vae_choice *choice,
                                const struct pipeline *pipeline)
{
    return choice->resolution.is_base && pipeline->override;
}

struct vae_file *vae_choice_take(struct vae_choice *choice)
{
    struct vae_file *const file = choice->file;
    choice->file = NULL;
    return file;
}

void vae_choice_close(struct vae_choice *choice)
{
    if (choice) vae_file_close(&choice->file);
}
