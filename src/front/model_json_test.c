#include "front/model_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void has_every_field(void)
{
    struct dr_component_info parts[] = {
        {.kind = DR_COMPONENT_UNET,
         .name = "unet",
         .tensor_count = 3,
         .stored_bytes = 6},
        {.kind = DR_COMPONENT_VAE,
         .name = "vae",
         .tensor_count = 4,
         .stored_bytes = 8}
    };
    const struct dr_model_info model = {.path = "/models/a\xFF.safetensors",
                                        .family = "sdxl",
                                        .component_count = 2,
                                        .components = parts,
                                        .lacks = "no text encoder: give one"};
    check_str(json_text(model_json(&model)),
              "{'path':'/models/a\xEF\xBF\xBD.safetensors','family':'sdxl',"
              "'components':[{'role':'unet','tensor_count':3,'stored_bytes':6},"
              "{'role':'vae','tensor_count':4,'stored_bytes':8}],"
              "'lacks':'no text encoder: give one'}");
}

static void a_whole_model_lacks_nothing(void)
{
    const struct dr_model_info model = {.path = "a.safetensors", .family = "sd15"};
    check_str(json_text(model_json(&model)),
              "{'path':'a.safetensors','family':'sd15','components':[]}");
}

int main(void)
{
    check_run(has_every_field);
    check_run(a_whole_model_lacks_nothing);
    return check_done();
}
