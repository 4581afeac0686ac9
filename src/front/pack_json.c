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

void pack_json_add_list(json_t *answer, const struct dr_pack_list *list)
{
    json_t *const packs = json_array();
    for (size_t i = 0; i < list->count; ++i) {
        const struct dr_pack_info *const pack = &list->packs[i];
        json_t *const object = json_object();
        member_set_text(object, "source", pack->source);
        member_set_text(object, "state", dr_pack_state_name(pack->state));
        member_set_bytes(object, "bytes", pack->bytes);
        member_set(object, "used", time_text(pack->used_s));
        member_set_text(object, "path", pack->path);
        if (pack->problem[0]) member_set_text(object, "problem", pack->problem);
        (void)json_array_append_new(packs, object);
    }
    member_set_text(answer, "folder", list->folder);
    member_set_bytes(answer, "bytes", list->bytes);
    member_set(answer, "packs", packs);
}

void pack_json_add_prune(json_t *answer, const struct dr_pack_prune *prune)
{
    member_set_bytes(answer, "removed_bytes", prune->removed_bytes);
    member_set_integer(answer, "removed_count", (int64_t)prune->removed_count);
    member_set_bytes(answer, "kept_bytes", prune->kept_bytes);
    member_set_integer(answer, "kept_count", (int64_t)prune->kept_count);
}
