#include "service/openai_request.h"

#include "check.h"
#include "service/extra_networks_fixture.h"

struct read {
    json_t *body;
    struct openai_request request;
    const char *field;
    struct dr_error err;
    enum dr_code code;
};

static struct extra_networks *networks;

static struct read read_body(const char *text)
{
    const struct openai_reading how = {.networks = networks};
    struct read read = {.body = json_loads(text, JSON_DECODE_ANY, NULL)};
    if (!read.body) abort();
    read.code =
        openai_request_read(&read.request, read.body, &how, &read.field, &read.err);
    return read;
}

static void finish(struct read *read)
{
    openai_request_finish(&read->request);
    json_decref(read->body);
}

static void check_refused(const char *text, const char *field)
{
    struct read read = read_body(text);
    check(read.code == DR_BAD_INPUT || read.code == DR_UNSUPPORTED);
    if (field)
        check_str(read.field, field);
    else
        check(read.field == NULL);
    check_has(read.err.message, field ? field : "body");
    check(read.request.picture.prompt == NULL);
    finish(&read);
}

static void a_request_of_the_client_library_is_read(void)
{
    struct read read =
        read_body("{\"prompt\":\"a cat\",\"model\":\"tiny\",\"n\":2,\"size\":\"64x72\","
                  "\"response_format\":\"url\",\"quality\":\"hd\",\"style\":\"vivid\","
                  "\"user\":\"u\",\"seed\":5,\"steps\":3,\"negative_prompt\":\"dog\"}");
    check_int(read.code, ==, DR_OK);
    check(read.field == NULL);
    const struct picture_request *const picture = &read.request.picture;
    check_str(picture->prompt, "a cat");
    check_str(picture->negative, "dog");
    check_str(read.request.model, "tiny");
    check_int(picture->batch_size, ==, 2);
    check_int(picture->width, ==, 64);
    check_int(picture->height, ==, 72);
    check_int(picture->steps, ==, 3);
    check_int(picture->seed, ==, 5);
    check(read.request.gives_url && !read.request.streams);
    finish(&read);
}

static void T68_T69_what_is_left_out_stays_open(void)
{
    static const char *const bodies[] = {
        "{\"prompt\":\"a\"}",
        "{\"prompt\":\"a\",\"size\":null,\"n\":null,\"model\":null,\"stream\":null,"
        "\"response_format\":null,\"output_format\":null,\"partial_images\":null}",
        "{\"prompt\":\"a\",\"size\":\"auto\",\"model\":\"dall-e-3\",\"n\":\"1\"}",
        "{\"prompt\":\"a\",\"size\":\"\",\"model\":\"GPT-image-1-mini\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; ++i) {
        struct read read = read_body(bodies[i]);
        const struct picture_request *const picture = &read.request.picture;
        check_int(read.code, ==, DR_OK);
        check_int(picture->width, ==, 0);
        check_int(picture->steps, ==, 0);
        check_int(picture->batch_size, ==, 1);
        check_int(picture->format, ==, PICTURE_PNG);
        check_str(read.request.model, "");
        check(!read.request.gives_url);
        finish(&read);
    }
}

static void T68_T69_wrong_values_name_their_field(void)
{
    check_refused("[]", NULL);
    check_refused("\"\"", NULL);
    check_refused("{}", "prompt");
    check_refused("{\"prompt\":\"\"}", "prompt");
    check_refused("{\"prompt\":5}", "prompt");
    static const char *const sizes[] = {"abc",    "64",     "64x",           "x64",
                                        "64x64x", "64 x64", "-64x64",        "0x64",
                                        "64x0",   "6.4x64", "99999999999x64"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        char body[96];
        (void)snprintf(body, sizeof body, "{\"prompt\":\"a\",\"size\":\"%s\"}",
                       sizes[i]);
        check_refused(body, "size");
    }
    check_refused("{\"prompt\":\"a\",\"size\":64}", "size");
    check_refused("{\"prompt\":\"a\",\"n\":0}", "n");
    check_refused("{\"prompt\":\"a\",\"n\":11}", "n");
    check_refused("{\"prompt\":\"a\",\"n\":1.5}", "n");
    check_refused("{\"prompt\":\"a\",\"response_format\":\"xml\"}", "response_format");
    check_refused("{\"prompt\":\"a\",\"output_format\":\"webp\"}", "output_format");
    check_refused("{\"prompt\":\"a\",\"output_format\":\"gif\"}", "output_format");
    check_refused("{\"prompt\":\"a\",\"partial_images\":4}", "partial_images");
    check_refused("{\"prompt\":\"a\",\"stream\":\"maybe\"}", "stream");
    check_refused("{\"prompt\":\"a\",\"steps\":0}", "steps");
    check_refused("{\"prompt\":\"a\",\"cfg_scale\":\"nan\"}", "cfg_scale");
}

static void the_format_of_files_is_read(void)
{
    struct read read = read_body("{\"prompt\":\"a\",\"output_format\":\"jpeg\","
                                 "\"output_compression\":0,\"stream\":true,"
                                 "\"partial_images\":2}");
    check_int(read.code, ==, DR_OK);
    check_int(read.request.picture.format, ==, PICTURE_JPEG);
    check_int(read.request.picture.quality, ==, 1);
    check(read.request.streams);
    check_int(read.request.partial_count, ==, 2);
    finish(&read);
}

static void T70_fields_of_a_form_are_read_as_json(void)
{
    static char body[] =
        "--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
        "\xff\xfe\r\n"
        "--x\r\nContent-Disposition: form-data; name=prompt\r\n\r\na cat\r\n"
        "--x\r\nContent-Disposition: form-data; name=n\r\n\r\n2\r\n--x--";
    struct multipart form;
    json_t *fields = NULL;
    struct read read = {0};
    enum dr_code code = multipart_parse(&form, "multipart/form-data; boundary=x", body,
                                        sizeof body - 1, NULL);
    check_int(code, ==, DR_OK);
    code = openai_request_fields(&form, &fields, NULL);
    check_int(code, ==, DR_OK);
    check_int(json_object_size(fields), ==, 2);
    const struct openai_reading how = {.networks = networks, .gives_url = true};
    code = openai_request_read(&read.request, fields, &how, &read.field, NULL);
    check_int(code, ==, DR_OK);
    check_str(read.request.picture.prompt, "a cat");
    check_int(read.request.picture.batch_size, ==, 2);
    check(read.request.gives_url);
    openai_request_finish(&read.request);
    json_decref(fields);
    form.parts[0].is_file = 0;
    code = openai_request_fields(&form, &fields, &read.err);
    check_int(code, ==, DR_BAD_INPUT);
    check_has(read.err.message, "image");
    multipart_finish(&form);
}

/* In A1111's words. */
static void samplers_loras_and_styles_are_read(void)
{
    struct read read =
        read_body("{\"prompt\":\"a cat\",\"sampler_name\":\"DPM++ 2M Karras\","
                  "\"subseed\":\"9\",\"subseed_strength\":0.25,\"cfg_rescale\":0.7,"
                  "\"styles\":[\"Night\"],\"style\":\"vivid\","
                  "\"lora\":[{\"path\":\"ink.safetensors\",\"multiplier\":0.5}]}");
    const struct picture_request *const picture = &read.request.picture;
    check_int(read.code, ==, DR_OK);
    check_str(picture->prompt, "a cat, dark <lora:ink:0.5>");
    check_str(picture->sampler, "dpmpp-2m");
    check_str(picture->scheduler, "karras");
    check_int(picture->sampling.variation_seed, ==, 9);
    check_real(picture->sampling.variation_strength, ==, 0.25);
    check_real(picture->sampling.cfg_rescale, ==, 0.7);
    finish(&read);
    read = read_body("{\"prompt\":\"a\",\"sampler_name\":\"odd\"}");
    check_int(read.code, ==, DR_NOT_FOUND);
    check_str(read.field, "sampler_name");
    finish(&read);
    read = read_body("{\"prompt\":\"a\",\"cfg_from\":2}");
    check_int(read.code, ==, DR_BAD_INPUT);
    check_str(read.field, "cfg_from");
    finish(&read);
}

int main(void)
{
    static char folder[512], styles_path[512];
    static const char *const folders[] = {folder, NULL};
    static const char styles[] = "name,prompt,negative_prompt\nNight,dark,\n";
    (void)snprintf(folder, sizeof folder, "%s", scratch_folder());
    (void)snprintf(styles_path, sizeof styles_path, "%s", scratch_path("styles.csv"));
    scratch_write(styles_path, styles, sizeof styles - 1);
    put_lora("ink.safetensors");
    const struct extra_networks_options options = {.folders = {folders},
                                                   .styles_file = styles_path,
                                                   .clock_ms = dr_clock_ms};
    check_int(extra_networks_create(&networks, &options, NULL), ==, DR_OK);
    check_run(a_request_of_the_client_library_is_read);
    check_run(T68_T69_what_is_left_out_stays_open);
    check_run(T68_T69_wrong_values_name_their_field);
    check_run(the_format_of_files_is_read);
    check_run(T70_fields_of_a_form_are_read_as_json);
    check_run(samplers_loras_and_styles_are_read);
    extra_networks_destroy(networks);
    return check_done();
}
