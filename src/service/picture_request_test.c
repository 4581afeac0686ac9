#include "service/picture_request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "front/json_fixture.h"

static const struct picture_limits limits = {.most_pixels = 1 << 20,
                                             .most_batch = 16,
                                             .most_steps = 200};

static struct picture_request full(void)
{
    struct picture_request request = picture_request_default();
    free(request.prompt);
    free(request.negative);
    free(request.model);
    free(request.vae);
    request.kind = PICTURE_IMG2IMG;
    request.prompt = strdup("a \"star\"\n\xE2\x98\x85");
    request.negative = strdup("<blur>");
    request.width = 70;
    request.height = 58;
    request.steps = 3;
    request.cfg = 0.1 + 0.2;
    strcpy(request.sampler, "euler-a");
    strcpy(request.scheduler, "karras");
    request.seed = UINT64_MAX;
    request.batch_size = 2;
    request.batch_count = 3;
    request.clip_skip = 2;
    request.strength = 1.0 / 3.0;
    request.resize = PICTURE_FILL;
    request.init = strdup("0123.png");
    request.model = strdup("/models/a.safetensors");
    request.vae = strdup("none");
    request.format = PICTURE_JPEG;
    request.quality = 93;
    request.keeps = false;
    request.keep_alive_s = KEEP_ALIVE_ALWAYS;
    strcpy(request.warnings, "One thing is not done.");
    return request;
}

/* Through text, as the database keeps it. */
static enum dr_code through_text(const struct picture_request *request,
                                 struct picture_request *read, struct dr_error *err)
{
    json_t *const value = picture_request_json(request);
    char *const text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    json_t *const again = json_loads(text, 0, NULL);
    free(text);
    const enum dr_code code = picture_request_from_json(read, again, err);
    json_decref(again);
    return code;
}

static void every_field_comes_back_exactly(void)
{
    struct picture_request request = full(), read = {0};
    check_int(through_text(&request, &read, NULL), ==, DR_OK);
    check_int(read.kind, ==, request.kind);
    check_str(read.prompt, request.prompt);
    check_str(read.negative, request.negative);
    check_int(read.width, ==, 70);
    check_int(read.height, ==, 58);
    check_int(read.steps, ==, 3);
    check(read.cfg == request.cfg);
    check_str(read.sampler, "euler-a");
    check_str(read.scheduler, "karras");
    check(read.seed == UINT64_MAX);
    check_int(read.batch_size, ==, 2);
    check_int(read.batch_count, ==, 3);
    check_int(read.clip_skip, ==, 2);
    check(read.strength == request.strength);
    check_int(read.resize, ==, PICTURE_FILL);
    check_str(read.init, "0123.png");
    check_str(read.model, "/models/a.safetensors");
    check_str(read.vae, "none");
    check_int(read.format, ==, PICTURE_JPEG);
    check_int(read.quality, ==, 93);
    check(!read.keeps);
    check_int(read.keep_alive_s, ==, KEEP_ALIVE_ALWAYS);
    check_str(read.warnings, "One thing is not done.");
    picture_request_finish(&read);
    picture_request_finish(&request);
}

static void what_is_open_stays_open(void)
{
    struct picture_request request = picture_request_default(), read = {0};
    check_int(through_text(&request, &read, NULL), ==, DR_OK);
    check_int(read.width, ==, 0);
    check_int(read.steps, ==, 0);
    check(read.cfg == DR_CFG_DEFAULT);
    check_str(read.sampler, "");
    check(!read.init);
    check_int(read.keep_alive_s, ==, KEEP_ALIVE_DEFAULT);
    check_str(
        json_text(picture_request_json(&request)),
        "{'kind':'txt2img','prompt':'','negative_prompt':'','seed':0,'batch_size':1,"
        "'n_iter':1,'clip_skip':1,'denoising_strength':0.75,'resize':'stretch',"
        "'model':'','vae':'','format':'png','quality':80,'save_images':true,"
        "'warnings':''}");
    picture_request_finish(&read);
    picture_request_finish(&request);
}

/* A reader whose numbers are doubles must not change a seed. */
static void a_seed_that_doubles_do_not_hold_is_text(void)
{
    static const uint64_t seeds[] = {
        0, 7, (UINT64_C(1) << 53) - 1, UINT64_C(1) << 53, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; ++i) {
        struct picture_request request = picture_request_default(), read = {0};
        request.seed = seeds[i];
        json_t *const value = picture_request_json(&request);
        check_int(json_is_integer(json_object_get(value, "seed")), ==, i < 3);
        json_decref(value);
        check_int(through_text(&request, &read, NULL), ==, DR_OK);
        check(read.seed == seeds[i]);
        picture_request_finish(&read);
        picture_request_finish(&request);
    }
}

static void a_damaged_request_names_its_member(void)
{
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"[]",                                                      "not an object"   },
        {"{\"width\":\"7\"}",                                       "\"width\""       },
        {"{\"width\":-1}",                                          "\"width\""       },
        {"{\"steps\":4294967296}",                                  "\"steps\""       },
        {"{\"batch_size\":0}",                                      "\"batch_size\""  },
        {"{\"seed\":-1}",                                           "\"seed\""        },
        {"{\"seed\":\"-1\"}",                                       "\"seed\""        },
        {"{\"seed\":\"18446744073709551616\"}",                     "\"seed\""        },
        {"{\"seed\":\"7x\"}",                                       "\"seed\""        },
        {"{\"cfg_scale\":-2}",                                      "\"cfg_scale\""   },
        {"{\"kind\":\"video\"}",                                    "\"kind\""        },
        {"{\"sampler_name\":\"a sampler whose name is too long\"}", "\"sampler_name\""},
        {"{\"save_images\":1}",                                     "\"save_images\"" },
        {"{\"prompt\":null}",                                       "\"prompt\""      }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct picture_request read = {.steps = 77};
        struct dr_error err = {0};
        json_t *const value = json_loads(cases[i].text, 0, NULL);
        check_int(picture_request_from_json(&read, value, &err), ==, DR_CORRUPT);
        check_has(err.message, cases[i].named);
        check_int(read.steps, ==, 77);
        json_decref(value);
    }
}

/* Checks one changed field; gives the name of the field that is wrong, or "". */
static const char *wrong_field(const struct picture_request *request)
{
    const char *field = "not set";
    struct dr_error err = {0};
    const enum dr_code code = picture_request_check(request, &limits, &field, &err);
    check_int(code, ==, field ? DR_BAD_INPUT : DR_OK);
    return field ? field : "";
}

#define wrong_with(member, value)                                   \
    (__extension__({                                                \
        struct picture_request changed = picture_request_default(); \
        changed.member = (value);                                   \
        const char *const field = wrong_field(&changed);            \
        picture_request_finish(&changed);                           \
        field;                                                      \
    }))

static void limits_name_the_field(void)
{
    check_str(wrong_with(width, 1024), "");
    check_str(wrong_with(width, -1), "width");
    check_str(wrong_with(height, -1), "height");
    check_str(wrong_with(width, (1 << 20) + 1), "width");
    check_str(wrong_with(height, INT32_MAX), "height");
    check_str(wrong_with(steps, 200), "");
    check_str(wrong_with(steps, 201), "steps");
    check_str(wrong_with(steps, -5), "steps");
    check_str(wrong_with(batch_size, 16), "");
    check_str(wrong_with(batch_size, 17), "batch_size");
    check_str(wrong_with(batch_size, 0), "batch_size");
    check_str(wrong_with(batch_count, INT32_MAX), "n_iter");
    check_str(wrong_with(cfg, 0.0), "");
    check_str(wrong_with(cfg, -2.0), "cfg_scale");
    check_str(wrong_with(cfg, (double)NAN), "cfg_scale");
    check_str(wrong_with(strength, 1.5), "denoising_strength");
    check_str(wrong_with(strength, (double)NAN), "denoising_strength");
    check_str(wrong_with(clip_skip, 0), "clip_skip");
    check_str(wrong_with(quality, 101), "quality");
    check_str(wrong_with(kind, PICTURE_IMG2IMG), "init_images");
}

static void width_and_height_together_are_limited(void)
{
    struct picture_request request = picture_request_default();
    request.width = request.height = 1024;
    check_str(wrong_field(&request), "");
    request.height = 1025;
    check_str(wrong_field(&request), "height");
    request.width = request.height = INT32_MAX;
    check_str(wrong_field(&request), "width");
    picture_request_finish(&request);
}

/* A text of so many bytes: malloc'ed. */
static char *long_text(size_t bytes)
{
    char *const text = malloc(bytes + 1);
    memset(text, 'a', bytes);
    text[bytes] = '\0';
    return text;
}

static void prompts_are_limited(void)
{
    static const struct {
        size_t prompt, negative;
        const char *field;
    } cases[] = {
        {PICTURE_PROMPT_BYTES,     PICTURE_PROMPT_BYTES,     ""               },
        {PICTURE_PROMPT_BYTES + 1, 0,                        "prompt"         },
        {0,                        PICTURE_PROMPT_BYTES + 1, "negative_prompt"}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct picture_request request = picture_request_default();
        free(request.prompt);
        free(request.negative);
        request.prompt = long_text(cases[i].prompt);
        request.negative = long_text(cases[i].negative);
        check_str(wrong_field(&request), cases[i].field);
        picture_request_finish(&request);
    }
}

int main(void)
{
    check_run(every_field_comes_back_exactly);
    check_run(what_is_open_stays_open);
    check_run(a_seed_that_doubles_do_not_hold_is_text);
    check_run(a_damaged_request_names_its_member);
    check_run(limits_name_the_field);
    check_run(width_and_height_together_are_limited);
    check_run(prompts_are_limited);
    return check_done();
}
