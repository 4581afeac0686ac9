#include "front/job_json.h"

#include "check.h"
#include "front/json_fixture.h"
#include "front/receipt_json.h"
#include "front/vae_json.h"

static struct dr_image_info images[2];

static const struct dr_vae_info vae = {.choice = "none", .source = "job"};
static const struct dr_receipt receipt = {.acquired_bytes = 9, .ms = 1.5};

/* `before`, the VAE, `middle`, the receipt: those two have tests of their own. */
static const char *with_parts(const char *before, const char *middle)
{
    static char text[8192];
    FILE *const stream = fmemopen(text, sizeof text, "w");
    fprintf(stream, "%s'vae':%s", before, json_text(vae_json(&vae)));
    fprintf(stream, ",%s'receipt':%s}", middle, json_text(receipt_json(&receipt)));
    (void)fclose(stream);
    return text;
}

static void set_paths(const char *first, const char *second)
{
    (void)snprintf(images[0].path, sizeof images[0].path, "%s", first);
    (void)snprintf(images[1].path, sizeof images[1].path, "%s", second);
    images[0].seed = 7;
    images[1].seed = 8;
}

static struct dr_generate_result generated(int32_t image_count)
{
    return (struct dr_generate_result){.images = images,
                                       .image_count = image_count,
                                       .width = 512,
                                       .height = 768,
                                       .vae = vae,
                                       .text_ms = 1.5,
                                       .unet_per_step_ms = 2.5,
                                       .vae_ms = 3.5,
                                       .planned_private_bytes = 10,
                                       .peak_private_bytes = 11,
                                       .receipt = receipt};
}

static void generate_has_every_field(void)
{
    struct dr_generate_result result = generated(2);
    json_t *const answer = json_object();
    set_paths("a\xFF.png", "a-2.png");
    (void)snprintf(result.warnings, sizeof result.warnings, "The prompt was cut.");
    job_json_add_generated(answer, &result);
    job_json_add_warning(answer, "One more.");
    const char *const expected = with_parts(
        "{'images':[{'path':'a\xEF\xBF\xBD.png','seed':7},{'path':'a-2.png','seed':8}],"
        "'width':512,'height':768,",
        "'timings_ms':{'text':1.5,'unet_per_step':2.5,'vae':3.5},"
        "'planned_private_bytes':10,'peak_private_bytes':11,"
        "'warnings':['The prompt was cut.','One more.'],");
    check_str(json_text(answer), expected);
}

/* Latents of a batch are in one file. */
static void generated_latents_are_named(void)
{
    static const char *const names[] = {"a.safetensors", "a.sft", "a.b/c.SFT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        const struct dr_generate_result result = generated(2);
        json_t *const answer = json_object();
        char before[256];
        set_paths(names[i], names[i]);
        job_json_add_generated(answer, &result);
        (void)snprintf(before, sizeof before,
                       "{'images':[{'path':'%s','seed':7},{'path':'%s','seed':8}],"
                       "'latents':'%s','width':512,'height':768,",
                       names[i], names[i], names[i]);
        const char *const expected =
            with_parts(before, "'timings_ms':{'text':1.5,'unet_per_step':2.5,'vae':3.5}"
                               ",'planned_private_bytes':10,'peak_private_bytes':11,"
                               "'warnings':[],");
        check_str(json_text(answer), expected);
    }
}

/* Nothing was written: pictures went to the callback. */
static void no_images_are_an_empty_list(void)
{
    struct dr_generate_result result = generated(0);
    json_t *answer = json_object();
    result.images = NULL;
    job_json_add_generated(answer, &result);
    check_has(json_text(answer), "{'images':[],'width':512,");
    result = generated(1);
    answer = json_object();
    set_paths("", "");
    job_json_add_generated(answer, &result);
    check_has(json_text(answer), "{'images':[{'path':'','seed':7}],'width':512,");
}

static struct dr_codec_result coded(int32_t image_count)
{
    return (struct dr_codec_result){.image_count = image_count,
                                    .width = 512,
                                    .height = 768,
                                    .images = images,
                                    .vae = vae,
                                    .vae_ms = 3.5,
                                    .planned_private_bytes = 10,
                                    .peak_private_bytes = 11,
                                    .receipt = receipt};
}

static const char codec_middle[] =
    "'timings_ms':{'vae':3.5},'planned_private_bytes':10,'peak_private_bytes':11,";

static void encode_names_its_latents(void)
{
    const struct dr_codec_result result = coded(1);
    json_t *const answer = json_object();
    set_paths("l\xFF.safetensors", "");
    job_json_add_encoded(answer, &result);
    const char *const expected =
        with_parts("{'latents':'l\xEF\xBF\xBD.safetensors','width':512,'height':768,",
                   codec_middle);
    check_str(json_text(answer), expected);
}

/* Latents have no seed. */
static void decode_names_its_pictures(void)
{
    struct dr_codec_result result = coded(2);
    json_t *answer = json_object();
    set_paths("a\xFF.png", "a-2.png");
    job_json_add_decoded(answer, &result);
    const char *const expected =
        with_parts("{'images':[{'path':'a\xEF\xBF\xBD.png'},{'path':'a-2.png'}],"
                   "'width':512,'height':768,",
                   codec_middle);
    check_str(json_text(answer), expected);
    result = coded(0);
    answer = json_object();
    job_json_add_decoded(answer, &result);
    check_has(json_text(answer), "{'images':[],'width':512,");
}

int main(void)
{
    check_run(generate_has_every_field);
    check_run(generated_latents_are_named);
    check_run(no_images_are_an_empty_list);
    check_run(encode_names_its_latents);
    check_run(decode_names_its_pictures);
    return check_done();
}
