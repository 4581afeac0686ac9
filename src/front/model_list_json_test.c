#include "front/model_list_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void lists_models(void)
{
    static char name[] = "sd15\xFF", path[] = "/m/sd15\xFF.sft", vae[] = "its own";
    static char torn[] = "/m/torn.ckpt", problem[] = "cut short", none[] = "";
    struct dr_listed_model models[] = {
        {.name = name,
         .path = path,
         .family = "sd15",
         .vae = vae,
         .problem = none,
         .bytes = 7,
         .packs_bytes = 8},
        {.name = none,   .path = torn, .vae = none, .problem = problem}
    };
    const struct dr_model_list list = {.folders = "/m", .models = models, .count = 2};
    json_t *const answer = json_object();
    model_list_json_add(answer, &list);
    check_str(json_text(answer),
              "{'model_dirs':'/m','models':[{'name':'sd15\xEF\xBF\xBD',"
              "'family':'sd15','bytes':7,'vae':'its own','packs':true,"
              "'path':'/m/sd15\xEF\xBF\xBD.sft'},"
              "{'name':'','path':'/m/torn.ckpt','problem':'cut short'}]}");
}

int main(void)
{
    check_run(lists_models);
    return check_done();
}
