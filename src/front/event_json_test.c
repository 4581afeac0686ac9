#include "front/event_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void tells_the_progress_of_a_job(void)
{
    struct dr_progress progress = {.stage = DR_STAGE_UNET,
                                   .image = 1,
                                   .image_count = 2,
                                   .step = 3,
                                   .step_count = 20,
                                   .share = 0.25,
                                   .elapsed_ms = 812.5};
    progress.left_ms = 4601.5;
    check_str(json_text(event_json_job(&progress)),
              "{'event':'progress','stage':'unet','image':1,'image_count':2,'step':3,"
              "'step_count':20,'left_ms':4601.5,'share':0.25,'elapsed_ms':812.5}");
    progress.left_ms = -1.0;
    progress.has_seed = 1;
    check_str(json_text(event_json_job(&progress)),
              "{'event':'progress','stage':'unet','image':1,'image_count':2,'seed':0,"
              "'step':3,'step_count':20,'share':0.25,'elapsed_ms':812.5}");
    progress.stage = DR_STAGE_DECODE;
    progress.left_ms = 0.0;
    progress.seed = 7;
    progress.finishing_count = 3;
    check_str(json_text(event_json_job(&progress)),
              "{'event':'progress','stage':'decode','image':1,'image_count':2,'seed':7,"
              "'left_ms':0.0,'finishing':3,'share':0.25,'elapsed_ms':812.5}");
}

static void tells_of_a_picture(void)
{
    const struct dr_image_info image = {.path = "a.png", .seed = 7};
    check_str(json_text(event_json_written(2, &image)),
              "{'event':'written','image':2,'path':'a.png','seed':7}");
}

static void tells_the_progress_of_a_load(void)
{
    struct dr_load_progress progress = {
        .component = "unet", .done_bytes = 3, .total_bytes = 12, .elapsed_ms = 1.5};
    check_str(json_text(event_json_load(&progress)),
              "{'event':'progress','stage':'load','component':'unet','done_bytes':3,"
              "'total_bytes':12,'share':0.25,'elapsed_ms':1.5}");
    progress.done_bytes = progress.total_bytes = 0;
    check_str(json_text(event_json_load(&progress)),
              "{'event':'progress','stage':'load','component':'unet','done_bytes':0,"
              "'total_bytes':0,'share':1.0,'elapsed_ms':1.5}");
}

static void tells_a_line_of_the_log(void)
{
    check_str(json_text(event_json_log(DR_LOG_WARNING, "a \"file\" \xFF\n")),
              "{'event':'log','level':'warning',"
              "'message':'a \\'file\\' \xEF\xBF\xBD\\n'}");
    check_str(event_json_level(DR_LOG_ERROR), "error");
    check_str(event_json_level(DR_LOG_NOTICE), "notice");
    check_str(event_json_level(DR_LOG_INFO), "info");
    check_str(event_json_level(DR_LOG_DEBUG), "debug");
}

static void tells_of_a_region(void)
{
    struct dr_memory_event event = {.opened = 1,
                                    .ms = 85.5,
                                    .component = "vae",
                                    .tag = "weights",
                                    .kind = "private",
                                    .start = 140213,
                                    .bytes = 4096,
                                    .ledger_private_bytes = 8192,
                                    .ledger_mapped_bytes = 0};
    check_str(json_text(event_json_memory(&event)),
              "{'event':'opened','ms':85.5,'component':'vae','tag':'weights',"
              "'kind':'private','start':140213,'bytes':4096,'private_bytes':8192,"
              "'mapped_bytes':0}");
    event.opened = 0;
    check_has(json_text(event_json_memory(&event)), "{'event':'closed','ms':85.5,");
}

static void tells_of_a_command(void)
{
    check_str(json_text(event_json_begin("va\xFF", 81.5)),
              "{'event':'begin','ms':81.5,'command':'va\xEF\xBF\xBD'}");
    check_str(json_text(event_json_end("vae", 97.5, 1)),
              "{'event':'end','ms':97.5,'command':'vae','ok':true}");
    check_str(json_text(event_json_end("vae", 97.5, 0)),
              "{'event':'end','ms':97.5,'command':'vae','ok':false}");
}

int main(void)
{
    check_run(tells_the_progress_of_a_job);
    check_run(tells_of_a_picture);
    check_run(tells_the_progress_of_a_load);
    check_run(tells_a_line_of_the_log);
    check_run(tells_of_a_region);
    check_run(tells_of_a_command);
    return check_done();
}
