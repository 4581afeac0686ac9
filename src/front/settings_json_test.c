#include "front/settings_json.h"

#include "check.h"
#include "front/json_fixture.h"

static const char *answered(const struct dr_settings *settings)
{
    json_t *const answer = json_object();
    settings_json_add(answer, settings);
    return json_text(answer);
}

static void has_every_field(void)
{
    char model[] = "sd15\xFF", vae[] = "none";
    struct dr_model_setting models[] = {
        {model, vae}
    };
    const struct dr_settings settings = {.path = "/home/\xFF/settings.json",
                                         .exists = 1,
                                         .vae = "sharp",
                                         .vae_folder = "/vae",
                                         .models = models,
                                         .model_count = 1,
                                         .warnings = "a key means nothing"};
    check_str(answered(&settings),
              "{'path':'/home/\xEF\xBF\xBD/settings.json','exists':true,'vae':'sharp',"
              "'vae_by_model':[{'model':'sd15\xEF\xBF\xBD','vae':'none'}],"
              "'vae_dir':'/vae','warnings':'a key means nothing'}");
}

static void leaves_out_what_is_not_said(void)
{
    const struct dr_settings settings = {.path = "s.json"};
    check_str(answered(&settings),
              "{'path':'s.json','exists':false,'vae_by_model':[]}");
}

int main(void)
{
    check_run(has_every_field);
    check_run(leaves_out_what_is_not_said);
    return check_done();
}
