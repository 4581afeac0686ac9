#include "front/model_list_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void lists_models(void)
{
    struct dr_listed_model *const models = calloc(2, sizeof *models);
    (void)snprintf(models[0].name, sizeof models[0].name, "sd15\xFF");
    (void)snprintf(models[0].path, sizeof models[0].path, "/m/sd15\xFF.sft");
    (void)snprintf(models[0].family, sizeof models[0].family, "sd15");
    (void)snprintf(models[0].vae, sizeof models[0].vae, "its own");
    models[0].bytes = 7;
    models[0].packs_bytes = 8;
    (void)snprintf(models[1].path, sizeof models[1].path, "/m/torn.ckpt");
    (void)snprintf(models[1].problem, sizeof models[1].problem, "cut short");
    const struct dr_model_list list = {.folders = "/m", .models = models, .count = 2};
    json_t *const answer = json_object();
    model_list_json_add(answer, &list);
    check_str(json_text(answer),
              "{'model_dirs':'/m','models':[{'name':'sd15\xEF\xBF\xBD',"
              "'family':'sd15','bytes':7,'vae':'its own','packs':true,"
              "'path':'/m/sd15\xEF\xBF\xBD.sft'},"
              "{'name':'','path':'/m/torn.ckpt','problem':'cut short'}]}");
    free(models);
}

int main(void)
{
    check_run(lists_models);
    return check_done();
}
