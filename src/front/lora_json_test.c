#include "check.h"

#include <stdlib.h>

#include "front/lora_json.h"

static void a_list_has_its_files(void)
{
    struct dr_lora_info infos[2] = {
        {.name = "ink", .family = "sd15", .layer_count = 3},
        {.name = "bad",             .problem = "it is empty"                }
    };
    const struct dr_lora_list list = {.directory = "/loras",
                                      .loras = infos,
                                      .count = 2};
    json_t *const answer = json_object();
    lora_list_json_add(answer, &list);
    json_t *const loras = json_object_get(answer, "loras");
    check_int(json_array_size(loras), ==, 2);
    check_str(json_string_value(json_object_get(json_array_get(loras, 0), "family")),
              "sd15");
    check_str(json_string_value(json_object_get(json_array_get(loras, 1), "problem")),
              "it is empty");
    check(json_object_get(answer, "left_out") == NULL);
    json_decref(answer);
}

int main(void)
{
    check_run(a_list_has_its_files);
    return check_done();
}
