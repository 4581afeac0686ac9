#include "front/again_json.h"

#include "front/member.h"

const char *again_json_made(const json_t *answer)
{
    const json_t *const first = json_array_get(json_object_get(answer, "images"), 0);
    return json_string_value(json_object_get(first, "path"));
}

void again_json_add(json_t *answer, const struct again_answer *again)
{
    json_t *const differences = json_array();
    for (size_t i = 0; i < again->count; ++i) {
        json_t *const one = json_object();
        member_set_text(one, "what", again->differences[i].what);
        member_set_text(one, "was", again->differences[i].was);
        member_set_text(one, "is", again->differences[i].is);
        (void)json_array_append_new(differences, one);
    }
    member_set_text(answer, "again", again->picture);
    member_set_flag(answer, "identical", again->identical);
    member_set(answer, "differences", differences);
}
