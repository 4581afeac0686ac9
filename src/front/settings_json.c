#include "front/settings_json.h"

#include "front/member.h"

void settings_json_add(json_t *answer, const struct dr_settings *settings)
{
    json_t *const models = json_array();
    for (size_t i = 0; i < settings->model_count; ++i) {
        json_t *const entry = json_object();
        member_set_text(entry, "model", settings->models[i].model);
        member_set_text(entry, "vae", settings->models[i].vae);
        (void)json_array_append_new(models, entry);
    }
    member_set_text(answer, "path", settings->path);
    member_set_flag(answer, "exists", settings->exists);
    if (settings->vae[0]) member_set_text(answer, "vae", settings->vae);
    member_set(answer, "vae_by_model", models);
    if (settings->vae_folder[0])
        member_set_text(answer, "vae_dir", settings->vae_folder);
    if (settings->warnings[0]) member_set_text(answer, "warnings", settings->warnings);
}
