#include "front/model_list_json.h"

#include "front/member.h"

void model_list_json_add(json_t *answer, const struct dr_model_list *list)
{
    json_t *const models = json_array();
    for (size_t i = 0; i < list->count; ++i) {
        const struct dr_listed_model *const model = &list->models[i];
        json_t *const object = json_object();
        member_set_text(object, "name", model->name);
        if (!model->problem[0]) {
            member_set_text(object, "family", model->family);
            member_set_bytes(object, "bytes", model->bytes);
            member_set_text(object, "vae", model->vae);
            member_set_flag(object, "packs", model->packs_bytes > 0);
        }
        member_set_text(object, "path", model->path);
        if (model->problem[0]) member_set_text(object, "problem", model->problem);
        (void)json_array_append_new(models, object);
    }
    member_set_text(answer, "model_dirs", list->folders);
    member_set(answer, "models", models);
}
