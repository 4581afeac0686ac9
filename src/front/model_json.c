#include "front/model_json.h"

#include "front/component_json.h"
#include "front/member.h"

json_t *model_json(const struct dr_model_info *model)
{
    json_t *const object = json_object();
    member_set_text(object, "path", model->path);
    member_set_text(object, "family", model->family);
    member_set(object, "components",
               component_json_list(model->components, model->component_count));
    if (model->base[0]) member_set_text(object, "base", model->base);
    if (model->lacks[0]) member_set_text(object, "lacks", model->lacks);
    return object;
}
