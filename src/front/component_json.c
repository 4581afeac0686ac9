#include "front/component_json.h"

#include "front/member.h"

static json_t *component(const struct dr_component_info *info)
{
    json_t *const object = json_object();
    member_set_text(object, "role", info->name);
    member_set_integer(object, "tensor_count", (int64_t)info->tensor_count);
    if (info->parameter_count)
        member_set_integer(object, "parameter_count", (int64_t)info->parameter_count);
    if (info->stored_types[0])
        member_set_text(object, "stored_types", info->stored_types);
    member_set_bytes(object, "stored_bytes", info->stored_bytes);
    if (info->weights_bytes)
        member_set_bytes(object, "weights_bytes", info->weights_bytes);
    if (info->of_base) member_set_flag(object, "of_base", 1);
    if (info->digest[0]) member_set_text(object, "digest", info->digest);
    return object;
}

json_t *component_json_list(const struct dr_component_info *list, int32_t count)
{
    json_t *const array = json_array();
    for (int32_t i = 0; i < count; ++i)
        (void)json_array_append_new(array, component(&list[i]));
    return array;
}
