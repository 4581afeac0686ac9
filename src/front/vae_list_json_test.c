#include "front/vae_list_json.h"

#include "check.h"
#include "front/json_fixture.h"

static char own[] = "none", sharp[] = "sharp\xFF", path[] = "/vae/sharp\xFF.sft",
            nothing[] = "";

static const char *listed(const struct dr_vae_list *list)
{
    json_t *const answer = json_object();
    vae_list_json_add(answer, list);
    return json_text(answer);
}

static void lists_vaes(void)
{
    struct dr_listed_vae vaes[] = {
        {.choice = own,
         .path = path,
         .found = "checkpoint",
         .format = "safetensors",
         .family = "sd15",
         .stored_types = "F16",
         .stored_bytes = 167335342,
         .digest = "ab12",
         .same_as = -1,
         .code = DR_OK,
         .tried = 1,
         .fit = "whole",
         .active = 1},
        {.choice = sharp,
         .path = path,
         .found = "VAE folder",
         .same_as = 0,
         .code = DR_CORRUPT,
         .fit = "cut off"          },
        {.choice = sharp,
         .path = path,
         .found = "VAE folder",
         .same_as = -1,
         .code = DR_OK,
         .fit = "whole; not tried yet"     }
    };
    const struct dr_vae_list list = {.model = "/models/a\xFF.sft",
                                     .vae_folder = "/vae",
                                     .vaes = vaes,
                                     .vae_count = 3,
                                     .left_out_count = 3,
                                     .left_out = "more than a thousand files"};
    check_str(
        listed(&list),
        "{'checkpoint':'/models/a\xEF\xBF\xBD.sft','vae_dir':'/vae','vaes':["
        "{'choice':'none','active':true,'usable':true,'family':'sd15',"
        "'stored_types':'F16','stored_bytes':167335342,'format':'safetensors',"
        "'found':'checkpoint','path':'/vae/sharp\xEF\xBF\xBD.sft','same_as':'',"
        "'digest':'ab12','fit':'whole'},"
        "{'choice':'sharp\xEF\xBF\xBD','active':false,'usable':false,'family':'',"
        "'stored_types':'','stored_bytes':0,'format':'',"
        "'found':'VAE folder','path':'/vae/sharp\xEF\xBF\xBD.sft','same_as':'none',"
        "'digest':'','fit':'cut off'},"
        "{'choice':'sharp\xEF\xBF\xBD','active':false,'usable':null,'family':'',"
        "'stored_types':'','stored_bytes':0,'format':'',"
        "'found':'VAE folder','path':'/vae/sharp\xEF\xBF\xBD.sft','same_as':'',"
        "'digest':'','fit':'whole; not tried yet'}],"
        "'choices':[],'left_out_count':3,'left_out':'more than a thousand files'}");
}

/* A choice is the checkpoint's own VAE, a file, or what a request for it would fail with. */
static void lists_choices(void)
{
    struct dr_listed_choice choices[] = {
        {own,   "setting", DR_OK,      nothing, "the checkpoint's own"       },
        {sharp, "",        DR_OK,      path,    "a name in the VAE directory"},
        {sharp, "",        DR_FOREIGN, nothing, "another latent space"       },
    };
    const struct dr_vae_list list = {.model = "a.sft",
                                     .choices = choices,
                                     .choice_count = 3};
    check_str(
        listed(&list),
        "{'checkpoint':'a.sft','vae_dir':'','vaes':[],'choices':[{'choice':'none','source':'setting','active':'base','path':'','reason':'the "
        "checkpoint's "
        "own'},{'choice':'sharp\xEF\xBF\xBD','source':'','active':'override','path':'/vae/sharp\xEF\xBF\xBD.sft','reason':'a "
        "name in the VAE "
        "directory'},{'choice':'sharp\xEF\xBF\xBD','source':'','active':'foreign','path':'','reason':'another "
        "latent space'}]}");
}

static void empty_lists_are_lists(void)
{
    const struct dr_vae_list list = {.model = "a.sft"};
    check_str(listed(&list),
              "{'checkpoint':'a.sft','vae_dir':'','vaes':[],'choices':[]}");
}

int main(void)
{
    check_run(lists_vaes);
    check_run(lists_choices);
    check_run(empty_lists_are_lists);
    return check_done();
}
