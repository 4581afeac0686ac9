#include "check.h"

#include <stdlib.h>

#include "front/embedding_json.h"

static void a_list_has_its_files(void)
{
    struct dr_embedding_info infos[2] = {
        {.name = "easy",
         .family = "sdxl",
         .vector_count = 8,
         .widths = {768, 1280},
         .step = 500},
        {.name = "bad",    .step = -1,    .problem = "it is empty"}
    };
    const struct dr_embedding_list list = {.directory = "/embeddings",
                                           .embeddings = infos,
                                           .count = 2};
    json_t *const answer = json_object();
    embedding_list_json_add(answer, &list);
    json_t *const embeddings = json_object_get(answer, "embeddings");
    check_int(json_array_size(embeddings), ==, 2);
    json_t *const first = json_array_get(embeddings, 0);
    json_t *const second = json_array_get(embeddings, 1);
    check_int(json_integer_value(json_object_get(first, "vector_count")), ==, 8);
    check_int(json_integer_value(json_object_get(first, "width")), ==, 768);
    check_int(json_integer_value(json_object_get(first, "width2")), ==, 1280);
    check_int(json_integer_value(json_object_get(first, "step")), ==, 500);
    check(json_object_get(second, "width2") == NULL);
    check(json_is_null(json_object_get(second, "step")));
    check_str(json_string_value(json_object_get(second, "problem")), "it is empty");
    check(json_object_get(answer, "left_out") == NULL);
    json_decref(answer);
}

int main(void)
{
    check_run(a_list_has_its_files);
    return check_done();
}
