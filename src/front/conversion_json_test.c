#include "front/conversion_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void says_what_was_written(void)
{
    const struct dr_conversion conversion = {.path = "a.safetensors",
                                             .output = "a.gguf",
                                             .format = "GGUF",
                                             .type = "Q8_0",
                                             .file_bytes = 12,
                                             .source_bytes = 20,
                                             .tensor_count = 3,
                                             .block_tensor_count = 2,
                                             .parameter_count = 100,
                                             .block_parameter_count = 64};
    json_t *const answer = json_object();
    conversion_json_add(answer, &conversion);
    check_str(json_text(answer),
              "{'path':'a.safetensors','output':'a.gguf','format':'GGUF',"
              "'weights':'Q8_0','file_bytes':12,'source_bytes':20,'tensor_count':3,"
              "'parameter_count':100,'in_blocks':{'tensor_count':2,"
              "'parameter_count':64}}");
}

int main(void)
{
    check_run(says_what_was_written);
    return check_done();
}
