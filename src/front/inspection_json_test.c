#include "front/inspection_json.h"

#include "check.h"
#include "front/json_fixture.h"

static const char *answered(const struct dr_inspection *inspection)
{
    json_t *const answer = json_object();
    inspection_json_add(answer, inspection);
    return json_text(answer);
}

/* What a file always has, and nothing else to say. */
static void a_plain_file_has_the_least(void)
{
    const struct dr_inspection inspection = {
        .model = {.path = "/m/v\xFF.sft", .family = "vae"},
        .format = "safetensors",
        .file_bytes = 1000,
        .tensor_count = 3
    };
    check_str(answered(&inspection),
              "{'path':'/m/v\xEF\xBF\xBD.sft','family':'vae','format':'safetensors',"
              "'file_bytes':1000,'tensor_count':3,'components':[],'metadata':{}}");
}

static void has_every_field(void)
{
    char refused[] = "a marker", warned[] = "a key\xFF", near[] = "/m/a.vae.pt";
    char *refusals[] = {refused}, *warnings[] = {warned}, *neighbours[] = {near};
    struct dr_component_info part = {.kind = DR_COMPONENT_UNET,
                                     .name = "unet",
                                     .tensor_count = 3,
                                     .stored_bytes = 6,
                                     .digest = "ab12"};
    struct dr_inspection inspection = {
        .model = {.path = "a.sft",
                  .family = "sd15",
                  .component_count = 1,
                  .components = &part,
                  .lacks = "no VAE"     },
        .format = "safetensors",
        .file_bytes = 1000,
        .tensor_count = 5,
        .ignored_count = 2,
        .ignored_bytes = 80,
        .unsupported = "an SD2.x checkpoint",
        .prediction = "v",
        .prediction_source = "a key",
        .zero_terminal_snr = 1,
        .schedule_source = "another key",
        .refused = refusals,
        .refused_count = 1,
        .warnings = warnings,
        .warning_count = 1,
        .defaults = { .width = 128,
                  .height = 64,
                  .steps = 9,
                  .cfg = 4.5,
                  .sampler = "ddim",
                  .scheduler = "leading"},
        .vae_neighbours = neighbours,
        .vae_neighbour_count = 1,
        .automatic = "/m/a.vae.pt",
        .automatic_reason = "beside the checkpoint"
    };
    char key[] = "name\xFF", text[] = "so\xFFso", plain[] = "plain", empty[] = "";
    inspection.metadata = calloc(2, sizeof *inspection.metadata);
    inspection.metadata_count = 2;
    inspection.metadata[0].key = key;
    inspection.metadata[0].text = text;
    inspection.metadata[1].key = plain;
    inspection.metadata[1].text = empty;
    check_str(
        answered(&inspection),
        "{'path':'a.sft','family':'sd15','format':'safetensors','file_bytes':1000,"
        "'tensor_count':5,'components':[{'role':'unet','tensor_count':3,"
        "'stored_bytes':6,'digest':'ab12'}],"
        "'ignored':{'tensor_count':2,'bytes':80},'lacks':'no VAE',"
        "'unsupported':'an SD2.x checkpoint',"
        "'prediction':{'type':'v','source':'a key'},"
        "'schedule':{'betas':'scaled_linear, 0.00085 to 0.012, 1000 steps',"
        "'zero_terminal_snr':true,'source':'another key'},"
        "'refused':['a marker'],'warnings':['a key\xEF\xBF\xBD'],"
        "'defaults':{'size':'128x64','steps':9,'cfg':4.5,'sampler':'ddim',"
        "'scheduler':'leading'},'digests':{'unet':'ab12'},"
        "'metadata':{'name\xEF\xBF\xBD':'so\xEF\xBF\xBDso','plain':''},"
        "'vae_neighbours':['/m/a.vae.pt'],"
        "'automatic':{'active':'override','path':'/m/a.vae.pt',"
        "'reason':'beside the checkpoint'}}");
    free(inspection.metadata);
}

/* `automatic` was asked, and finds no file. */
static void no_neighbours_are_an_empty_list(void)
{
    const struct dr_inspection inspection = {.automatic_reason = "no file"};
    check_has(answered(&inspection),
              "'vae_neighbours':[],"
              "'automatic':{'active':'base','path':'','reason':'no file'}}");
}

static const char *pictured(const char *path, const char *parameters)
{
    json_t *const answer = json_object();
    inspection_json_add_picture(answer, path, "png", parameters);
    return json_text(answer);
}

static void a_picture_has_its_parameters(void)
{
    check_str(pictured("a\xFF.png", "a lighthouse\nSteps: 2"),
              "{'path':'a\xEF\xBF\xBD.png','format':'png',"
              "'parameters':'a lighthouse\\nSteps: 2'}");
    check_str(pictured("a.png", NULL),
              "{'path':'a.png','format':'png','parameters':null}");
}

int main(void)
{
    check_run(a_plain_file_has_the_least);
    check_run(has_every_field);
    check_run(no_neighbours_are_an_empty_list);
    check_run(a_picture_has_its_parameters);
    return check_done();
}
