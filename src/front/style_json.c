#include "front/style_json.h"

#include "front/member.h"

static json_t *style_json(const struct dr_style *style)
{
    json_t *const object = json_object();
    member_set_text(object, "name", style->name);
    member_set_text(object, "prompt", style->prompt);
    member_set_text(object, "negative", style->negative);
    return object;
}

void style_list_json_add(json_t *answer, const struct dr_style_list *list)
{
    json_t *const styles = json_array();
    for (size_t i = 0; i < list->count; ++i)
        (void)json_array_append_new(styles, style_json(&list->styles[i]));
    member_set_text(answer, "styles_file", list->path);
    member_set(answer, "styles", styles);
}
