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
    struct dr_model_setting models[2] = {0};
    char folder[] = "/m", *folders[] = {folder};
    models[0].model = models[1].model = model;
    models[0].vae = vae;
    models[1].defaults = (struct dr_defaults){.steps = 30, .cfg = DR_CFG_DEFAULT};
    const struct dr_settings settings = {
        .path = "/home/\xFF/settings.json",
        .exists = 1,
        .vae = "sharp",
        .vae_folder = "/vae",
        .models = models,
        .model_count = 2,
        .model = "sd15",
        .model_folders = folders,
        .model_folder_count = 1,
        .output_folder = "/out",
        .styles_file = "/s.csv",
        .wildcard_folder = "/w",
        .precision = DR_PRECISION_F32,
        .weights = DR_WEIGHTS_F16,
        .budget_bytes = 8,
        .packs_limit_bytes = 9,
        .defaults = {.width = 64,
                     .height = 128,
                     .steps = 5,
                     .cfg = 2.5,
                     .sampler = "ddim",
                     .scheduler = "leading"},
        .warnings = "a key means nothing"
    };
    check_str(
        answered(&settings),
        "{'path':'/home/\xEF\xBF\xBD/settings.json','exists':true,'vae':'sharp',"
        "'vae_by_model':[{'model':'sd15\xEF\xBF\xBD','vae':'none'}],"
        "'by_model':[{'model':'sd15\xEF\xBF\xBD','steps':30}],"
        "'vae_dir':'/vae','model':'sd15','model_dirs':['/m'],'output_dir':'/out','styles':'/s.csv','wildcard_dir':'/w',"
        "'precision':'f32','weights':'f16','budget_bytes':8,'packs_limit_bytes':9,"
        "'size':'64x128','steps':5,'cfg':2.5,'sampler':'ddim',"
        "'scheduler':'leading','warnings':'a key means nothing'}");
}

static void leaves_out_what_is_not_said(void)
{
    const struct dr_settings settings = {.path = "s.json",
                                         .precision = DR_PRECISION_UNSET,
                                         .weights = DR_WEIGHTS_UNSET,
                                         .defaults = {.cfg = DR_CFG_DEFAULT}};
    check_str(answered(&settings),
              "{'path':'s.json','exists':false,'vae_by_model':[]}");
}

int main(void)
{
    check_run(has_every_field);
    check_run(leaves_out_what_is_not_said);
    return check_done();
}
