#include "switch/vae_choice.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "switch/settings.h"
#include "switch/vae_resolution.h"

void vae_choice_setting(const struct current_model *model, const char *checkpoint,
                        struct vae_said *said)
{
    const struct dr_settings *const settings = &model->vae.settings;
    const struct dr_model_setting *const own = settings_for_model(settings, checkpoint);
    const char *const general =
        model->vae.choice[0] ? model->vae.choice : settings->vae;
    const bool is_from_file = own || !model->vae.choice[0];
    const char *const words = own ? own->vae : *general ? general : "automatic";
    *said = (struct vae_said){.source = own        ? VAE_SAID_MODEL
                                        : *general ? VAE_SAID_SETTING
                                                   : VAE_SAID_DEFAULT,
                              .forced = !is_from_file && model->vae.forced};
    if (is_from_file)
        (void)settings_expand(words, said->choice);
    else
        (void)snprintf(said->choice, sizeof said->choice, "%s", words);
    if (own && *general && strcmp(general, own->vae) != 0)
        (void)snprintf(said->note, sizeof said->note,
                       "the settings have %.60s for this model, which takes "
                       "precedence over %.60s; ",
                       own->vae, general);
    else if (own)
        (void)snprintf(said->note, sizeof said->note,
                       "the settings have %.60s for this model; ", own->vae);
    else if (*general && is_from_file)
        (void)snprintf(said->note, sizeof said->note, "the settings have %.60s; ",
                       general);
}

void vae_choice_explain(struct vae_resolution *resolution, const char *note)
{
    char reason[sizeof resolution->reason];
    if (!*note) return;
    (void)snprintf(reason, sizeof reason, "%.250s%.1700s", note, resolution->reason);
    (void)snprintf(resolution->reason, sizeof resolution->reason, "%s", reason);
}

void vae_choice_fall_back(const struct current_model *model,
                          struct vae_resolution *resolution, const struct dr_error *why)
{
    *resolution = (struct vae_resolution){.is_base = true};
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "the checkpoint's own VAE, because the choice does not fit: %.1023s",
                   why->message);
    resources_log(model->resources, DR_LOG_WARNING, "%s", resolution->reason);
}

bool vae_choice_pair(const struct pipeline *pipeline, struct vae_file *file,
                     struct latent_pair *pair)
{
    if (!file || file->forced || !pipeline->vae) return false;
    *pair = (struct latent_pair){.own = pipeline->vae,
                                 .own_source = pipeline->vae_slot->base,
                                 .other = file->spec,
                                 .other_source = &file->source};
    return true;
}

/* Refuse a file that is known to be from another latent space. */
static enum dr_code check_known(const struct current_model *model,
                                const struct pipeline *pipeline, struct vae_file *file,
                                struct dr_error *err)
{
    struct latent_pair pair;
    struct latent_probe_result result;
    if (!vae_choice_pair(pipeline, file, &pair) ||
        !latent_probe_find(&model->probes, &pair, &result))
        return DR_OK;
    return latent_probe_refuse(&pair, &result, err);
}

static enum dr_code resolve_and_open(struct vae_choice *choice,
                                     const struct current_model *model,
                                     const struct pipeline *pipeline,
                                     const struct vae_choice_words *words,
                                     struct dr_error *err)
{
    struct vae_resolution *const resolution = &choice->resolution;
    const struct vae_resolution_request request = {.choice = words->said,
                                                   .checkpoint = pipeline->path,
                                                   .vae_folder = model->vae.folder,
                                                   .cancel = model->resources->cancel};
    /* Until the choice is resolved, it counts as an explicit request. */
    resolution->is_explicit = true;
    enum dr_code code = vae_resolve(resolution, &request, err);
    if (code != DR_OK || resolution->is_base) return code;
    choice->is_present = vae_file_is(pipeline->override, resolution->path);
    if (choice->is_present) return DR_OK;
    code =
        vae_file_open(&choice->file, resolution->path,
                      &(struct vae_file_options){.family = pipeline->checkpoint.family,
                                                 .dtype = model->resources->dtype,
                                                 .storage = model->resources->storage,
                                                 .packs = &model->resources->packs,
                                                 .force = words->force},
                      err);
    if (code != DR_OK) return code;
    if (choice->file->warnings[0])
        resources_log(model->resources, DR_LOG_WARNING, "%s", choice->file->warnings);
    code = check_known(model, pipeline, choice->file, err);
    if (code != DR_OK) vae_choice_close(choice);
    return code;
}

enum dr_code vae_choice_open(struct vae_choice *choice,
                             const struct current_model *model,
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
    const enum dr_code code = resolve_and_open(choice, model, pipeline, words, &why);
    if (code == DR_OK) return DR_OK;
    /* A cancel does not mean that the choice cannot be used. */
    if (code == DR_CANCELLED ||
        (words->kind == VAE_REQUEST && choice->resolution.is_explicit)) {
        if (err) *err = why;
        return code;
    }
    vae_choice_fall_back(model, &choice->resolution, &why);
    return DR_OK;
}

bool vae_choice_gives_way(struct vae_choice *choice, const struct current_model *model,
                          const struct dr_error *why)
{
    if (!choice->file || choice->resolution.is_explicit) return false;
    vae_choice_close(choice);
    vae_choice_fall_back(model, &choice->resolution, why);
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
