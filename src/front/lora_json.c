#include "front/lora_json.h"

#include "front/member.h"

json_t *lora_json(const struct dr_lora_info *info)
{
    json_t *const object = json_object();
    member_set_text(object, "name", info->name);
    member_set_text(object, "path", info->path);
    member_set_text(object, "file", info->file);
    member_set_text(object, "family", info->family);
    member_set_text(object, "kinds", info->kinds);
    member_set_text(object, "trigger_words", info->words);
    member_set_text(object, "base_model", info->base_model);
    member_set_integer(object, "layer_count", info->layer_count);
    member_set_integer(object, "rank", info->rank);
    member_set_bytes(object, "bytes", info->bytes);
    member_set_integer(object, "unknown_count", info->unknown_count);
    member_set_text(object, "problem", info->problem);
    return object;
}

void lora_json_add(json_t *answer, const struct dr_lora_info *info)
{
    json_t *const object = lora_json(info);
    member_set_text(answer, "kind", "LoRA");
    (void)json_object_update(answer, object);
    json_decref(object);
}

void lora_list_json_add(json_t *answer, const struct dr_lora_list *list)
{
    json_t *const loras = json_array();
    for (size_t i = 0; i < list->count; ++i)
        (void)json_array_append_new(loras, lora_json(&list->loras[i]));
    member_set_text(answer, "lora_dir", list->directory);
    member_set(answer, "loras", loras);
    if (list->left_out[0]) member_set_text(answer, "left_out", list->left_out);
}
