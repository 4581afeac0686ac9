#include "front/settings_json.h"

#include <stdio.h>

#include "front/member.h"

/* What is open is left out. */
static void add_defaults(json_t *object, const struct dr_defaults *defaults)
{
    char size[32];
    (void)snprintf(size, sizeof size, "%dx%d", (int)defaults->width,
                   (int)defaults->height);
    if (defaults->width) member_set_text(object, "size", size);
    if (defaults->steps) member_set_integer(object, "steps", defaults->steps);
    if (defaults->cfg != DR_CFG_DEFAULT) member_set_real(object, "cfg", defaults->cfg);
    if (defaults->sampler[0]) member_set_text(object, "sampler", defaults->sampler);
    if (defaults->scheduler[0])
        member_set_text(object, "scheduler", defaults->scheduler);
}

static const char *precision_name(enum dr_precision precision)
{
    switch (precision) {
    case DR_PRECISION_AUTO: return "auto";
    case DR_PRECISION_BF16: return "bf16";
    case DR_PRECISION_F32: return "f32";
    case DR_PRECISION_UNSET: break;
    }
    return "";
}

static const char *weights_name(enum dr_weights weights)
{
    switch (weights) {
    case DR_WEIGHTS_AUTO: return "auto";
    case DR_WEIGHTS_F32: return "f32";
    case DR_WEIGHTS_F16: return "f16";
    case DR_WEIGHTS_Q8: return "q8";
    case DR_WEIGHTS_Q4: return "q4";
    case DR_WEIGHTS_UNSET: break;
    }
    return "";
}

static void add_models(json_t *answer, const struct dr_settings *settings)
{
    json_t *const vaes = json_array(), *const jobs = json_array();
    for (size_t i = 0; i < settings->model_count; ++i) {
        const struct dr_model_setting *const model = &settings->models[i];
        json_t *const entry = json_object();
        member_set_text(entry, "model", model->model);
        if (model->vae)
            member_set_text(entry, "vae", model->vae);
        else
            add_defaults(entry, &model->defaults);
        (void)json_array_append_new(model->vae ? vaes : jobs, entry);
    }
    member_set(answer, "vae_by_model", vaes);
    if (json_array_size(jobs) > 0)
        member_set(answer, "by_model", jobs);
    else
        json_decref(jobs);
}

static void add_all_models(json_t *answer, const struct dr_settings *settings)
{
    json_t *const folders = json_array();
    for (size_t i = 0; i < settings->model_folder_count; ++i)
        (void)json_array_append_new(folders, member_text(settings->model_folders[i]));
    if (settings->model[0]) member_set_text(answer, "model", settings->model);
    if (json_array_size(folders) > 0)
        member_set(answer, "model_dirs", folders);
    else
        json_decref(folders);
    if (settings->base[0]) member_set_text(answer, "base", settings->base);
    if (settings->output_folder[0])
        member_set_text(answer, "output_dir", settings->output_folder);
    if (settings->styles_file[0])
        member_set_text(answer, "styles", settings->styles_file);
    if (settings->wildcard_folder[0])
        member_set_text(answer, "wildcard_dir", settings->wildcard_folder);
    if (settings->precision != DR_PRECISION_UNSET)
        member_set_text(answer, "precision", precision_name(settings->precision));
    if (settings->weights != DR_WEIGHTS_UNSET)
        member_set_text(answer, "weights", weights_name(settings->weights));
    if (settings->budget_bytes)
        member_set_bytes(answer, "budget_bytes", settings->budget_bytes);
    if (settings->packs_limit_bytes)
        member_set_bytes(answer, "packs_limit_bytes", settings->packs_limit_bytes);
    add_defaults(answer, &settings->defaults);
}

void settings_json_add(json_t *answer, const struct dr_settings *settings)
{
    member_set_text(answer, "path", settings->path);
    member_set_flag(answer, "exists", settings->exists);
    if (settings->vae[0]) member_set_text(answer, "vae", settings->vae);
    add_models(answer, settings);
    if (settings->vae_folder[0])
        member_set_text(answer, "vae_dir", settings->vae_folder);
    add_all_models(answer, settings);
    if (settings->warnings[0]) member_set_text(answer, "warnings", settings->warnings);
}
