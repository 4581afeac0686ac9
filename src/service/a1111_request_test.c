/* Bodies as clients send them: what is read, what is refused and with which status, what is left out. */
#include "service/a1111_request.h"

#include "check.h"
#include "scratch_folder.h"
#include "service/extra_networks_fixture.h"
#include "service/model_folders_fixture.h"

static struct dr_error problem;
static struct service service;
static struct a1111_request request;
static struct a1111_refusal refusal;
static struct json_body body;
static char body_text_buffer[1 << 16];

static enum dr_code read_as(enum picture_kind kind, const char *text)
{
    a1111_request_finish(&request);
    json_body_finish(&body);
    (void)snprintf(body_text_buffer, sizeof body_text_buffer, "%s", text);
    check_int(json_body_parse(&body, body_text_buffer, strlen(body_text_buffer),
                              &problem),
              ==, DR_OK);
    const struct a1111_reading reading = {
        .service = &service, .body = &body, .kind = kind, .keeps = false};
    return a1111_request_read(&request, &reading, &refusal);
}

static void takes(const char *text)
{
    const enum dr_code code = read_as(PICTURE_TXT2IMG, text);
    if (code != DR_OK) check_fail_at("%s is refused: %s", text, refusal.err.message);
}

/* Is it refused with this status, this field, and a message that has the part? */
static void refuses(const char *text, int status, const char *field, const char *part)
{
    const enum dr_code code = read_as(PICTURE_TXT2IMG, text);
    if (code == DR_OK) {
        check_fail_at("%s is taken", text);
        return;
    }
    check_int(refusal.status, ==, status);
    if (field) check_str(refusal.field, field);
    check_has(refusal.err.message, part);
    check(request.picture.prompt == NULL); /* empty */
}

static void all_fields_are_read(void)
{
    takes("{\"prompt\":\"a lighthouse\",\"negative_prompt\":\"fog\",\"width\":64,"
          "\"height\":\"128\",\"steps\":2.0,\"cfg_scale\":\"7.5\",\"seed\":\"5\","
          "\"batch_size\":2,\"n_iter\":true,\"clip_skip\":2,\"sampler_name\":\"Euler\","
          "\"scheduler\":\"Karras\",\"save_images\":1,\"keep_alive\":\"5m\","
          "\"keep_on_disconnect\":\"true\",\"send_images\":0}");
    const struct picture_request *const picture = &request.picture;
    check_str(picture->prompt, "a lighthouse");
    check_str(picture->negative, "fog");
    check(picture->width == 64 && picture->height == 128 && picture->steps == 2);
    check_real(picture->cfg, ==, 7.5);
    check_int(picture->seed, ==, 5);
    check(picture->batch_size == 2 && picture->batch_count == 1);
    check_int(picture->clip_skip, ==, 2);
    check_str(picture->sampler, "euler");
    check_str(picture->scheduler, "karras");
    check(picture->keeps && request.keeps_on_disconnect && !request.sends_images);
    check_int(picture->keep_alive_s, ==, 300);
    check_str(picture->warnings, "");
}

/* As everywhere else: keep_alive.h. */
static void a_keep_alive_is_what_settings_take(void)
{
    takes("{\"keep_alive\":\"1.5h\"}");
    check_int(request.picture.keep_alive_s, ==, 5400);
    takes("{\"keep_alive\":-5}");
    check_int(request.picture.keep_alive_s, ==, KEEP_ALIVE_ALWAYS);
    takes("{\"keep_alive\":\"\"}");
    check_int(request.picture.keep_alive_s, ==, KEEP_ALIVE_DEFAULT);
}

static void what_is_not_given_is_open(void)
{
    static const char *const bodies[] = {
        "{}", "null",
        "{\"prompt\":null,\"negative_prompt\":null,\"width\":null,\"height\":null,"
        "\"steps\":null,\"cfg_scale\":null,\"seed\":5,\"batch_size\":null,"
        "\"n_iter\":null,\"clip_skip\":null,\"sampler_name\":null,"
        "\"sampler_index\":null,\"scheduler\":null,\"denoising_strength\":null,"
        "\"styles\":null,\"override_settings\":null,\"script_name\":null,"
        "\"alwayson_scripts\":null,\"hr_upscaler\":null,\"enable_hr\":null,"
        "\"restore_faces\":null,\"tiling\":null,\"mask\":null,\"eta\":null,"
        "\"subseed_strength\":null,\"send_images\":null,\"save_images\":null}",
        "{\"sampler_name\":\"\",\"sampler_index\":\"\",\"scheduler\":\"\","
        "\"hr_upscaler\":\"\",\"hr_scheduler\":\"\",\"script_name\":\"\",\"mask\":\"\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; ++i) {
        takes(bodies[i]);
        const struct picture_request *const picture = &request.picture;
        check_str(picture->prompt, "");
        check(picture->width == 0 && picture->height == 0 && picture->steps == 0);
        check_real(picture->cfg, ==, DR_CFG_DEFAULT);
        check_str(picture->sampler, "");
        check_str(picture->scheduler, "");
        check_str(picture->model, "");
        check_str(picture->vae, "");
        check_int(picture->clip_skip, ==, 1);
        check(request.sends_images && !picture->keeps);
        check_str(picture->warnings, "");
    }
}

static void seeds_are_drawn_or_exact(void)
{
    takes("{\"seed\":-1}");
    const uint64_t first = request.picture.seed;
    takes("{\"seed\":-1}");
    check(request.picture.seed != first);
    takes("{\"seed\":18446744073709551615}");
    check(request.picture.seed == UINT64_MAX);
    takes("{\"seed\":\"18446744073709551615\"}");
    check(request.picture.seed == UINT64_MAX);
    takes("{\"seed\":1099511627776.0}");
    check(request.picture.seed == (uint64_t)1 << 40);
}

static void samplers_come_in_two_fields(void)
{
    takes("{\"sampler_name\":\"DPM++ 2M Karras\"}");
    check_str(request.picture.sampler, "dpmpp-2m");
    check_str(request.picture.scheduler, "karras");
    takes("{\"sampler_index\":\"DPM++ 2M\"}"); /* A1111 takes karras for it */
    check_str(request.picture.sampler, "dpmpp-2m");
    check_str(request.picture.scheduler, "karras");
    takes("{\"sampler_name\":\"Euler\",\"sampler_index\":\"Heun\"}");
    check_str(request.picture.sampler, "euler");
    takes("{\"sampler_name\":\"\",\"sampler_index\":1}");
    check_str(request.picture.sampler, "euler");
    takes("{\"scheduler\":\"karras\"}"); /* alone */
    check_str(request.picture.sampler, "euler-a");
    check_str(request.picture.scheduler, "karras");
    takes("{\"sampler_name\":\"DPM++ 2M Karras\",\"scheduler\":\"Automatic\"}");
    check_str(request.picture.scheduler, "karras");
    takes("{\"sampler_name\":\"DPM++ 2M Karras\",\"scheduler\":\"exponential\"}");
    check_str(request.picture.scheduler, "exponential");
    check_str(request.picture.warnings, "");
    takes("{\"sampler_name\":\"DDIM\",\"scheduler\":\"karras\"}");
    check_str(request.picture.scheduler, "leading");
    check_str(request.picture.warnings,
              "DDIM does not go with the scheduler Karras: Leading was used");
    takes("{\"sampler_name\":\"Euler\",\"scheduler\":\"turbo\"}");
    check_str(request.picture.scheduler, "normal");
    check_has(request.picture.warnings, "the scheduler \"turbo\" is not built");
    refuses("{\"sampler_name\":\"DPM adaptive\"}", 404, "sampler_name",
            "Sampler not found: \"DPM adaptive\"");
    refuses("{\"sampler_index\":\"none such\"}", 404, "sampler_index",
            "Sampler not found");
    refuses("{\"sampler_index\":99}", 404, "sampler_index", "Sampler not found");
    refuses("{\"sampler_name\":\"Euler\",\"scheduler\":\"none such\"}", 404,
            "scheduler", "Scheduler not found");
}

static void wrong_values_name_their_field(void)
{
    refuses("{\"width\":\"abc\"}", 422, "width", "width is \"abc\"");
    refuses("{\"width\":0}", 422, "width", "width is 0");
    refuses("{\"steps\":-5}", 422, "steps", "steps is -5");
    refuses("{\"steps\":1.5}", 422, "steps", "steps is 1.5");
    refuses("{\"cfg_scale\":\"NaN\"}", 422, "cfg_scale", "cfg_scale");
    refuses("{\"cfg_scale\":[7]}", 422, "cfg_scale", "cfg_scale is [7]");
    refuses("{\"denoising_strength\":1.5}", 422, "denoising_strength", "1.5");
    refuses("{\"seed\":\"x\"}", 422, "seed", "seed is \"x\"");
    refuses("{\"prompt\":5}", 422, "prompt", "prompt is 5");
    refuses("{\"save_images\":\"perhaps\"}", 422, "save_images", "true or false");
    refuses("{\"keep_alive\":\"5 minutes\"}", 422, "keep_alive", "keep_alive");
    refuses("{\"keep_alive\":\"99999999h\"}", 422, "keep_alive", "keep_alive");
    refuses("{\"keep_alive\":true}", 422, "keep_alive", "keep_alive");
    refuses("[1]", 422, NULL, "not an object");
    refuses("\"text\"", 422, NULL, "not an object");
}

static void what_is_not_built_is_said(void)
{
    refuses("{\"enable_hr\":true}", 501, "enable_hr", "not built");
    refuses("{\"tiling\":1}", 501, "tiling", "not built");
    refuses("{\"refiner_checkpoint\":\"xl\"}", 501, "refiner_checkpoint", "not built");
    refuses("{\"script_name\":\"x/y/z plot\"}", 422, "script_name", "x/y/z plot");
    refuses("{\"alwayson_scripts\":{\"ControlNet\":{\"args\":[1]}}}", 422,
            "alwayson_scripts", "ControlNet");
    takes(
        "{\"alwayson_scripts\":{\"ADetailer\":{\"args\":[false]},\"x\":{}},"
        "\"hr_upscaler\":\"Latent\",\"hr_scale\":2,\"denoising_strength\":0.7,"
        "\"refiner_checkpoint\":\"None\",\"seed_resize_from_h\":-1,"
        "\"seed_resize_from_w\":0,\"subseed\":-1,\"subseed_strength\":0,\"lora\":[]}");
    check_str(request.picture.warnings, "");
    takes("{\"styles\":[\"\"],\"s_churn\":0,\"s_tmax\":0,\"s_noise\":1,\"eta\":1.0}");
    check_str(request.picture.warnings, "");
    takes("{\"styles\":[\"Watercolour\"],\"restore_faces\":true}");
    check_str(request.picture.warnings,
              "the style \"Watercolour\" was left out: there is none of this name; "
              "restore_faces was left out: it is not built");
    takes("{\"mask\":\"AAAA\"}"); /* of txt2img: unknown */
}

static void loras_become_a_part_of_the_prompt(void)
{
    takes("{\"prompt\":\"a cat\",\"lora\":[{\"path\":\"style/ink.safetensors\","
          "\"multiplier\":\"0.5\",\"is_high_noise\":false},"
          "{\"path\":\"style/ink.safetensors\"}]}");
    check_str(request.picture.prompt, "a cat <lora:ink:0.5> <lora:ink:1>");
    takes("{\"lora\":[{\"path\":\"style/ink.safetensors\",\"multiplier\":-2}]}");
    check_str(request.picture.prompt, "<lora:ink:-2>");
    takes("{\"lora\":[]}");
    takes("{\"lora\":null}");
    refuses("{\"lora\":[{\"path\":\"ink\"}]}", 404, "lora", "\"ink\"");
    refuses("{\"lora\":[{\"multiplier\":1}]}", 404, "lora", "\"\"");
    refuses("{\"lora\":[\"style/ink.safetensors\"]}", 422, "lora", "objects");
    refuses("{\"lora\":{}}", 422, "lora", "list");
    refuses("{\"lora\":[{\"path\":\"style/ink.safetensors\",\"multiplier\":1e9}]}", 422,
            "lora", "multiplier");
    refuses("{\"lora\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}", 422, "lora", "17 LoRAs");
    refuses("{\"lora\":[{\"path\":\"a:b.safetensors\"}]}", 422, "lora", "rename");
}

static void styles_are_put_around_the_prompts(void)
{
    takes(
        "{\"prompt\":\"a cat\",\"negative_prompt\":\"fog\",\"styles\":[\"ink\",\"Night\"]}");
    check_str(request.picture.prompt, "drawing of a cat, dark");
    check_str(request.picture.negative, "fog, photo");
    check_str(request.picture.styles, "Ink\nNight");
    json_t *const styles = picture_styles_json(&request.picture);
    check_int(json_array_size(styles), ==, 2);
    check_str(json_string_value(json_array_get(styles, 1)), "Night");
    json_decref(styles);
    takes("{\"prompt\":\"a __cat__\",\"styles\":[\"Night\",null,\"\",5]}");
    check_str(request.picture.prompt, "a __cat__, dark");
    check_str(request.picture.warnings, "");
    takes("{\"prompt\":\"a cat\",\"styles\":[\"Night\"],"
          "\"lora\":[{\"path\":\"style/ink.safetensors\"}]}");
    check_str(request.picture.prompt, "a cat, dark <lora:ink:1>");
    takes("{\"prompt\":\"a cat\",\"styles\":\"Night\"}");
    check_str(request.picture.prompt, "a cat");
}

static void what_prompts_do_is_a_setting(void)
{
    takes("{\"override_settings\":{\"emphasis\":\"no norm\",\"pad_cond_uncond\":true,"
          "\"eta_noise_seed_delta\":31337}}");
    check_int(request.picture.emphasis, ==, DR_EMPHASIS_NO_NORM);
    check(request.picture.pads);
    check_int(request.picture.sampling.eta_seed_delta, ==, 31337);
    check_str(request.picture.warnings, "");
    takes("{\"override_settings\":{\"emphasis\":\"Ignore\",\"eta_noise_seed_delta\":1},"
          "\"eta_noise_seed_delta\":-2}");
    check_int(request.picture.emphasis, ==, DR_EMPHASIS_IGNORE);
    check_int(request.picture.sampling.eta_seed_delta, ==, -2);
    takes("{}");
    check_int(request.picture.emphasis, ==, DR_EMPHASIS_ORIGINAL);
    check(!request.picture.pads && request.picture.sampling.eta_seed_delta == 0);
    refuses("{\"override_settings\":{\"emphasis\":\"None\"}}", 422, "override_settings",
            "Original, No norm, Ignore");
}

static void noise_is_read(void)
{
    const struct dr_sampling *const sampling = &request.picture.sampling;
    takes("{\"sampler_name\":\"DDIM\",\"eta\":1,\"subseed\":5,\"subseed_strength\":0.5,"
          "\"seed_resize_from_w\":512,\"seed_resize_from_h\":768,"
          "\"eta_noise_seed_delta\":31337,\"s_min_uncond\":1.5,\"cfg_rescale\":0.7,"
          "\"cfg_from\":0.1,\"cfg_to\":0.9}");
    check_str(request.picture.warnings, "");
    check_real(sampling->eta, ==, 1);
    check_int(sampling->variation_seed, ==, 5);
    check_real(sampling->variation_strength, ==, 0.5);
    check_int(sampling->seed_resize_width, ==, 512);
    check_int(sampling->seed_resize_height, ==, 768);
    check_int(sampling->eta_seed_delta, ==, 31337);
    check_real(sampling->s_min_uncond, ==, 1.5);
    check_real(sampling->cfg_rescale, ==, 0.7);
    check_real(sampling->cfg_from, ==, 0.1);
    check_real(sampling->cfg_to, ==, 0.9);
    takes("{\"sampler_name\":\"Euler\",\"s_churn\":4,\"s_tmin\":0.1,\"eta\":1}");
    check_str(request.picture.warnings, "");
    check_real(sampling->s_churn, ==, 4);
    check_real(sampling->eta, <,
               0); /* it has none, and 1 is what clients send for that */
    takes("{\"sampler_name\":\"DPM++ 2M\",\"s_churn\":4,\"eta\":0.5}");
    check_has(request.picture.warnings, "eta 0.5 was left out: DPM++ 2M has none");
    check_has(request.picture.warnings, "s_churn 4 was left out: DPM++ 2M has none");
    takes("{\"seed_resize_from_w\":512}"); /* one side alone is none, as in A1111 */
    check_int(sampling->seed_resize_width, ==, 0);
    refuses("{\"subseed_strength\":1.5}", 422, "subseed_strength", "subseed_strength");
    refuses("{\"s_noise\":-1}", 422, "s_noise", "s_noise");
}

/* Nothing of what a client sends beside the fields is looked at, whatever it is. */
static void unknown_fields_are_not_looked_at(void)
{
    takes("{\"url\":\"http://127.0.0.1:1/\",\"auth\":\"secret\",\"cfgScale\":\"x\","
          "\"selection_info\":{\"width\":\"x\"},\"outpath_samples\":\"/tmp\","
          "\"kcpp_extra_args\":[],\"frames\":\"1\"}");
    json_t *const stored = picture_request_json(&request.picture);
    char *const text = json_dumps(stored, 0);
    check(text && !strstr(text, "secret") && !strstr(text, "127.0.0.1") &&
          !strstr(text, "/tmp"));
    free(text);
    json_decref(stored);
}

static void settings_are_overridden_for_one_request(void)
{
    takes("{\"override_settings\":{\"sd_model_checkpoint\":\"a\",\"sd_vae\":\"sharp\","
          "\"CLIP_stop_at_last_layers\":2.0,\"samples_format\":\"jpg\"}}");
    check_str(request.picture.model, scratch_path("models/a.safetensors"));
    check_str(request.picture.vae, scratch_path("vae/sharp.safetensors"));
    check_int(request.picture.clip_skip, ==, 2);
    check_int(request.picture.format, ==, PICTURE_JPEG);
    check(request.changes == NULL && request.change_count == 0);
    takes("{\"override_settings\":{\"sd_vae\":\"None\"},"
          "\"override_settings_restore_afterwards\":false}");
    check_int(request.change_count, ==, 1);
    check_str(request.changes[0].name, "sd_vae");
    check_str(request.picture.vae, "none");
    takes("{\"override_settings\":{\"no_such\":1,\"outdir_samples\":\"/tmp\"}}");
    check_has(request.picture.warnings, "\"no_such\"");
    check_has(request.picture.warnings, "\"outdir_samples\"");
    refuses("{\"override_settings\":{\"sd_vae\":\"gone\"}}", 404, "override_settings",
            "there is no VAE \"gone\"");
    refuses("{\"override_settings\":[1]}", 422, "override_settings", "not an object");
    takes("{\"model\":\"b\",\"vae\":\"none\",\"clip_skip\":0}");
    check_str(request.picture.model, scratch_path("models/b.safetensors"));
    check_str(request.picture.vae, "none");
    refuses("{\"model\":\"gone\"}", 404, "model", "there is no model \"gone\"");
}

static void settings_are_the_default(void)
{
    struct option_change *changes;
    size_t count;
    json_t *const values =
        json_loads("{\"samples_format\":\"jpg\",\"jpeg_quality\":70,"
                   "\"CLIP_stop_at_last_layers\":3,\"samples_save\":false}",
                   0, NULL);
    check_int(option_list_read(service.option_list, values, &changes, &count, NULL,
                               &problem),
              ==, DR_OK);
    check_int(option_list_set(service.option_list, changes, count, &problem), ==,
              DR_OK);
    takes("{\"save_images\":true}");
    check_int(request.picture.format, ==, PICTURE_JPEG);
    check_int(request.picture.quality, ==, 70);
    check_int(request.picture.clip_skip, ==, 3);
    check(!request.picture.keeps); /* samples_save is off */
    takes("{\"clip_skip\":1}");
    check_int(request.picture.clip_skip, ==, 1);
    option_changes_free(changes, count);
    json_decref(values);
    option_list_destroy(service.option_list);
    check_int(option_list_create(&service.option_list, NULL, service.models, &problem),
              ==, DR_OK);
}

#define PNG_4X2 \
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAIAAADwyuo0AAAAC0lEQVR4nGNgwA0AABoAAZzHeIoAAAAASUVORK5CYII="

/* PNG_4X2 between two texts. */
static enum dr_code read_init(const char *before, const char *after)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s%s%s", before, PNG_4X2, after);
    return read_as(PICTURE_IMG2IMG, text);
}

static void a_picture_to_begin_with_is_judged_by_its_head(void)
{
    check_int(read_init("{\"init_images\":[\"", "\"]}"), ==, DR_OK);
    check(request.init && request.init_byte_count > 60);
    check(request.picture.width == 4 && request.picture.height == 2);
    check_int(read_init("{\"init_images\":[\"data:image/jpeg;base64,",
                        "\"],"
                        "\"width\":64,\"height\":64,\"resize_mode\":1}"),
              ==, DR_OK);
    check(request.picture.width == 64 && request.picture.height == 64);
    check_int(request.picture.resize, ==, PICTURE_CROP);
    check_str(request.picture.warnings, "");
    check_int(read_init("{\"init_images\":\"", "\"}"), ==, DR_OK); /* one string */
    check_int(read_init("{\"init_images\":[\"", "\",\"\"]}"), ==, DR_OK);
    check_has(request.picture.warnings, "of 2 init_images the first was used");
    static const char *const none[] = {"{\"init_images\":[]}", "{\"init_images\":null}",
                                       "{}", "{\"init_images\":[\"\"]}",
                                       "{\"init_images\":[null]}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; ++i) {
        check_int(read_as(PICTURE_IMG2IMG, none[i]), ==, DR_NOT_FOUND);
        check_int(refusal.status, ==, 404);
        check_has(refusal.err.message, "Init image not found");
    }
    static const char *const wrong[] = {
        "{\"init_images\":[\"!!!!\"]}", "{\"init_images\":[\"aGVsbG8gd29ybGQ=\"]}",
        "{\"init_images\":[\"http://127.0.0.1:1/x.png\"]}", "{\"init_images\":[5]}",
        "{\"init_images\":{\"a\":1}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        check_int(read_as(PICTURE_IMG2IMG, wrong[i]), ==, DR_BAD_INPUT);
        check_int(refusal.status, ==, 422);
        check_str(refusal.field, "init_images");
    }
    check_int(read_init("{\"init_images\":[\"", "\"],\"mask\":\"AAAA\"}"), ==,
              DR_UNSUPPORTED);
    check_int(refusal.status, ==, 501);
    check_int(read_init("{\"init_images\":[\"", "\"],\"mask\":\"\"}"), ==, DR_OK);
    takes("{\"init_images\":[]}"); /* of txt2img: ignored */
}

static void a_large_picture_is_refused(void)
{
    struct service_options small = *service.options;
    const struct service_options *const before = service.options;
    small.most_pixels = 7;
    service.options = &small;
    check_int(read_init("{\"init_images\":[\"", "\"]}"), ==, DR_BAD_INPUT);
    check_has(refusal.err.message, "init_images[0] has 4x2 pixels; this service takes "
                                   "at most 7");
    service.options = before;
}

int main(void)
{
    static struct service_options options;
    static char styles_path[512];
    static const char styles[] = "name,prompt,negative_prompt\nInk,drawing of "
                                 "{prompt},photo\nNight,dark,\n";
    options.most_pixels = 4 << 20;
    scratch_write(scratch_path("styles.csv"), styles, sizeof styles - 1);
    (void)snprintf(styles_path, sizeof styles_path, "%s", scratch_path("styles.csv"));
    service.options = &options;
    service.models = model_folders_fixture();
    static char loras[512];
    static const char *const lora_paths[] = {loras, NULL};
    (void)snprintf(loras, sizeof loras, "%s", scratch_path("lora"));
    (void)mkdir(loras, 0700);
    (void)mkdir(scratch_path("lora/style"), 0700);
    put_lora("lora/style/ink.safetensors");
    put_lora("lora/a:b.safetensors");
    const struct extra_networks_options networks = {.folders = {lora_paths},
                                                    .styles_file = styles_path,
                                                    .clock_ms = dr_clock_ms};
    check_int(extra_networks_create(&service.networks, &networks, &problem), ==, DR_OK);
    check_int(option_list_create(&service.option_list, NULL, service.models, &problem),
              ==, DR_OK);
    check_run(all_fields_are_read);
    check_run(a_keep_alive_is_what_settings_take);
    check_run(what_is_not_given_is_open);
    check_run(seeds_are_drawn_or_exact);
    check_run(samplers_come_in_two_fields);
    check_run(wrong_values_name_their_field);
    check_run(what_is_not_built_is_said);
    check_run(loras_become_a_part_of_the_prompt);
    check_run(styles_are_put_around_the_prompts);
    check_run(what_prompts_do_is_a_setting);
    check_run(noise_is_read);
    check_run(unknown_fields_are_not_looked_at);
    check_run(settings_are_overridden_for_one_request);
    check_run(settings_are_the_default);
    check_run(a_picture_to_begin_with_is_judged_by_its_head);
    check_run(a_large_picture_is_refused);
    a1111_request_finish(&request);
    json_body_finish(&body);
    option_list_destroy(service.option_list);
    extra_networks_destroy(service.networks);
    model_folders_destroy(service.models);
    return check_done();
}
