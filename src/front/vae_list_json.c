#include "front/vae_list_json.h"

#include "front/member.h"

static json_t *listed_vae(const struct dr_vae_list *list,
                          const struct dr_listed_vae *vae)
{
    json_t *const object = json_object();
    member_set_text(object, "choice", vae->choice);
    member_set_flag(object, "active", vae->active);
    if (vae->code == DR_OK && !vae->tried)
        member_set(object, "usable", json_null());
    else
        member_set_flag(object, "usable", vae->code == DR_OK);
    member_set_text(object, "family", vae->family);
    member_set_text(object, "stored_types", vae->stored_types);
    member_set_bytes(object, "stored_bytes", vae->stored_bytes);
    member_set_text(object, "format", vae->format);
    member_set_text(object, "found", vae->found);
    member_set_text(object, "path", vae->path);
    member_set_text(object, "same_as",
                    vae->same_as < 0 ? "" : list->vaes[vae->same_as].choice);
    member_set_text(object, "digest", vae->digest);
    member_set_text(object, "fit", vae->fit);
    return object;
}

static json_t *listed_choice(const struct dr_listed_choice *choice)
{
    json_t *const object = json_object();
    const char *const active = choice->path[0] ? "override" : "base";
    member_set_text(object, "choice", choice->choice);
    member_set_text(object, "source", choice->source);
    member_set_text(object, "active",
                    choice->code == DR_OK ? active : dr_code_name(choice->code));
    member_set_text(object, "path", choice->path);
    member_set_text(object, "reason", choice->reason);
    return object;
}

void vae_list_json_add(json_t *answer, const struct dr_vae_list *list)
{
    json_t *const vaes = json_array(), *const choices = json_array();
    for (size_t i = 0; i < list->vae_count; ++i)
        (void)json_array_append_new(vaes, listed_vae(list, &list->vaes[i]));
    for (size_t i = 0; i < list->choice_count; ++i)
        (void)json_array_append_new(choices, listed_choice(&list->choices[i]));
    member_set_text(answer, "checkpoint", list->model);
    member_set_text(answer, "vae_dir", list->vae_folder);
    member_set(answer, "vaes", vaes);
    member_set(answer, "choices", choices);
    if (list->left_out_count)
        member_set_integer(answer, "left_out_count", (int64_t)list->left_out_count);
    if (list->left_out[0]) member_set_text(answer, "left_out", list->left_out);
}
