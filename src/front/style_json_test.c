#include "check.h"

#include "front/style_json.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void a_list_has_its_styles(void)
{
    char name[] = "night", prompt[] = "{prompt}, at night", negative[] = "day",
         none[] = "";
    struct dr_style styles[] = {
        {name,   prompt, negative},
        {prompt, none,   none    }
    };
    const struct dr_style_list list = {.path = "/styles.csv",
                                       .styles = styles,
                                       .count = 2};
    json_t *const answer = json_object();
    style_list_json_add(answer, &list);
    json_t *const array = json_object_get(answer, "styles");
    check_str(text_of(answer, "styles_file"), "/styles.csv");
    check_int(json_array_size(array), ==, 2);
    check_str(text_of(json_array_get(array, 0), "name"), "night");
    check_str(text_of(json_array_get(array, 0), "prompt"), "{prompt}, at night");
    check_str(text_of(json_array_get(array, 0), "negative"), "day");
    check_str(text_of(json_array_get(array, 1), "prompt"), "");
    json_decref(answer);
}

int main(void)
{
    check_run(a_list_has_its_styles);
    return check_done();
}
