#include "front/pack_json.h"

#include <time.h>

#include "front/member.h"

/* "2026-11-25 09:30" */
static json_t *time_text(int64_t seconds)
{
    char text[32] = "";
    const time_t when = (time_t)seconds;
    struct tm local;
    if (localtime_r(&when, &local))
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
    return json_string(text);
}

static json_t *pack_json(const struct dr_pack_info *pack)
{
    json_t *const object = json_object();
    member_set_text(object, "name", pack->name);
    member_set_text(object, "source", pack->source);
    member_set_text(object, "state", dr_pack_state_name(pack->state));
    member_set_bytes(object, "bytes", pack->bytes);
    member_set(object, "used", time_text(pack->used_s));
    if (pack->in_use) member_set_flag(object, "in_use", 1);
    member_set_text(object, "path", pack->path);
    if (pack->problem[0]) member_set_text(object, "problem", pack->problem);
    return object;
}

void pack_json_add_list(json_t *answer, const struct dr_pack_list *list)
{
    json_t *const packs = json_array();
    for (size_t i = 0; i < list->count; ++i)
        (void)json_array_append_new(packs, pack_json(&list->packs[i]));
    member_set_text(answer, "folder", list->folder);
    member_set_bytes(answer, "bytes", list->bytes);
    member_set_bytes(answer, "limit_bytes", list->limit_bytes);
    member_set_text(answer, "limit_reason", list->limit_text);
    member_set(answer, "packs", packs);
}

void pack_json_add_verified(json_t *answer, const struct dr_pack_list *list)
{
    int64_t count = 0;
    for (size_t i = 0; i < list->count; ++i)
        count += list->packs[i].state == DR_PACK_READY;
    member_set_integer(answer, "verified_count", count);
}

void pack_json_add_plan(json_t *answer, const struct dr_pack_list *list)
{
    json_t *const packs = json_array();
    for (size_t i = 0; i < list->count; ++i)
        if (list->packs[i].goes)
            (void)json_array_append_new(packs, pack_json(&list->packs[i]));
    member_set(answer, "would_remove", packs);
}

void pack_json_add_prune(json_t *answer, const struct dr_pack_prune *prune)
{
    member_set_bytes(answer, "removed_bytes", prune->removed_bytes);
    member_set_integer(answer, "removed_count", (int64_t)prune->removed_count);
    member_set_bytes(answer, "kept_bytes", prune->kept_bytes);
    member_set_integer(answer, "kept_count", (int64_t)prune->kept_count);
    if (!prune->in_use_count) return;
    member_set_bytes(answer, "in_use_bytes", prune->in_use_bytes);
    member_set_integer(answer, "in_use_count", (int64_t)prune->in_use_count);
}
