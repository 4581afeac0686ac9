#include "front/embedding_json.h"

#include "front/member.h"

json_t *embedding_json(const struct dr_embedding_info *info)
{
    json_t *const object = json_object();
    member_set_text(object, "name", info->name);
    member_set_text(object, "path", info->path);
    member_set_text(object, "family", info->family);
    member_set_integer(object, "vector_count", info->vector_count);
    member_set_integer(object, "width", info->widths[0]);
    if (info->widths[1] > 0) member_set_integer(object, "width2", info->widths[1]);
    member_set_bytes(object, "bytes", info->bytes);
    member_set_text(object, "hash", info->hash);
    member_set_text(object, "base_model", info->base_model);
    member_set_text(object, "base_hash", info->base_hash);
    member_set(object, "step", info->step < 0 ? json_null() : json_integer(info->step));
    member_set_text(object, "problem", info->problem);
    return object;
}

void embedding_json_add(json_t *answer, const struct dr_embedding_info *info)
{
    json_t *const object = embedding_json(info);
    member_set_text(answer, "kind", "embedding");
    (void)json_object_update(answer, object);
    json_decref(object);
}

void embedding_list_json_add(json_t *answer, const struct dr_embedding_list *list)
{
    json_t *const embeddings = json_array();
    for (size_t i = 0; i < list->count; ++i)
        (void)json_array_append_new(embeddings, embedding_json(&list->embeddings[i]));
    member_set_text(answer, "embedding_dir", list->directory);
    member_set(answer, "embeddings", embeddings);
    if (list->left_out[0]) member_set_text(answer, "left_out", list->left_out);
}
