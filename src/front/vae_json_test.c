#include "front/vae_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void an_override_has_every_field(void)
{
    const struct dr_vae_info vae = {.choice = "sharp\xFF",
                                    .source = "setting",
                                    .reason = "a name in the VAE directory",
                                    .override_active = 1,
                                    .path = "/vae/sharp\xFF.safetensors",
                                    .name = "sharp.safetensors",
                                    .digest = "ab12",
                                    .verified = 1,
                                    .resident = 1,
                                    .scale_factor = 0.5F,
                                    .probe = "34.1 dB"};
    check_str(
        json_text(vae_json(&vae)),
        "{'choice':'sharp\xEF\xBF\xBD','source':'setting','reason':'a name in "
        "the VAE "
        "directory','active':'override','name':'sharp.safetensors','path':'/vae/sharp\xEF\xBF\xBD.safetensors','digest':'ab12','verified':true,'resident':true,'scale_factor':0.5,'probe':'34.1 "
        "dB'}");
}

/* Before a model is loaded there is only the setting. */
static void a_setting_alone_has_every_field(void)
{
    const struct dr_vae_info vae = {.choice = "automatic",
                                    .source = "default",
                                    .reason = "no model"};
    check_str(json_text(vae_json(&vae)),
              "{'choice':'automatic','source':'default','reason':'no model',"
              "'active':'base','name':'','path':'','digest':'','verified':false,"
              "'resident':false,'scale_factor':0.0,'probe':''}");
}

int main(void)
{
    check_run(an_override_has_every_field);
    check_run(a_setting_alone_has_every_field);
    return check_done();
}
