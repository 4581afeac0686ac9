/* The reader of a picture's text: this program's, other programs', and what is none. */
#include "job/parameters.h"

#include "check.h"

static struct dr_parameters found;
static struct dr_error problem;

static enum dr_code parse(const char *text)
{
    dr_parameters_free(&found);
    problem = (struct dr_error){0};
    return parameters_parse(&found, text, &problem);
}

static const struct size_conditioning sizes = {.original_width = 100,
                                               .original_height = 200,
                                               .crop_left = 3,
                                               .crop_top = 4,
                                               .target_width = 500,
                                               .target_height = 600};

static struct parameters example(void)
{
    return (struct parameters){.prompt = "a lighthouse, at dusk\nin fog",
                               .negative = "rain: \"heavy\"\nsnow",
                               .steps = 25,
                               .width = 512,
                               .height = 768,
                               .clip_skip = 2,
                               .sampler = SAMPLER_DPMPP_2M,
                               .schedule = SCHEDULE_SGM_UNIFORM,
                               .cfg = (double)7.1F,
                               .seed = UINT64_MAX,
                               .model_name = "a, \"b\" \\ c",
                               .model_hash = "0123456789",
                               .unet_digest = "89abcdef01",
                               .vae_name = "my: vae.pt",
                               .vae_digest = "fedcba9876",
                               .prediction = PREDICTION_V,
                               .rng = DR_RNG_CPU,
                               .image_to_image = 1,
                               .strength = 0.35,
                               .sizes = &sizes,
                               .precision = "bf16",
                               .weights = "q4",
                               .exact_convolutions = true,
                               .base_name = "d, e",
                               .base_digest = "0011223344"};
}

static void what_is_written_is_read(void)
{
    char text[2048];
    const struct parameters wrote = example();
    (void)parameters_format(&wrote, text, sizeof text);
    check_int(parse(text), ==, DR_OK);
    check_str(found.prompt, wrote.prompt);
    check_str(found.negative, wrote.negative);
    check_int(found.steps, ==, 25);
    check_int(found.width, ==, 512);
    check_int(found.height, ==, 768);
    check_int(found.clip_skip, ==, 2);
    check_str(found.sampler, "dpmpp-2m");
    check_str(found.scheduler, "sgm-uniform");
    check((float)found.cfg == 7.1F);
    check(found.seed == UINT64_MAX);
    check_str(found.model, wrote.model_name);
    check_str(found.model_hash, "0123456789");
    check_str(found.unet_digest, "89abcdef01");
    check_str(found.vae, "my: vae.pt");
    check_str(found.vae_hash, "fedcba9876");
    check_int(found.prediction, ==, DR_PREDICTION_V);
    check_int(found.rng, ==, DR_RNG_CPU);
    check_int(found.image_to_image, ==, 1);
    check_real(found.strength, ==, 0.35);
    check_int(found.original_height, ==, 200);
    check_int(found.crop_top, ==, 4);
    check_int(found.target_width, ==, 500);
    check_str(found.precision, "bf16");
    check_str(found.weights, "q4");
    check_int(found.exact_convolutions, ==, 1);
    check_str(found.base, "d, e");
    check_str(found.base_hash, "0011223344");
    check_has(found.version, "darkroom ");
    check_str(found.unknown, "");
}

/* Each float comes back as it was. */
static void numbers_are_exact(void)
{
    static const float values[] = {7.0F,        7.1F,       0.1F,
                                   1.0F / 3.0F, 7.1234567F, 999.99994F};
    char text[2048];
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        struct parameters wrote = example();
        wrote.cfg = (double)values[i];
        (void)parameters_format(&wrote, text, sizeof text);
        check_int(parse(text), ==, DR_OK);
        check((float)found.cfg == values[i]);
    }
    check_has(text, "CFG scale: 999.99994, ");
}

static void an_empty_negative_prompt_is_not_none(void)
{
    char text[2048];
    struct parameters wrote = example();
    wrote.negative = "";
    (void)parameters_format(&wrote, text, sizeof text);
    check_int(parse(text), ==, DR_OK);
    check(found.negative == NULL);
    wrote.has_empty_negative = true;
    (void)parameters_format(&wrote, text, sizeof text);
    check_int(parse(text), ==, DR_OK);
    check_str(found.negative, "");
}

static void texts_of_other_programs(void)
{
    check_int(parse("a cat\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M Karras, "
                    "CFG scale: 7, Seed: 1, Size: 512x512, Model hash: abcdef0123, "
                    "Model: sd, Hires upscale: 2, Lora hashes: \"a: 1, b: 2\", "
                    "Version: v1.6.0"),
              ==, DR_OK);
    check_str(found.sampler, "dpmpp-2m");
    check_str(found.scheduler, "karras");
    check_str(found.unknown, "Hires upscale");
    check_int(found.lora_count, ==, 2);
    check_str(found.loras[1].name, "b");
    check_str(found.loras[1].hash, "2");
    check_str(found.version, "v1.6.0");
    check_int(found.prediction, ==, DR_PREDICTION_AUTO);
    check_str(found.weights, "");
    check_int(found.exact_convolutions, ==, 0);
    check_str(found.base, "");
    /* No prompt at all, and escapes. */
    check_int(parse("Steps: 3, Model: \"\\u00e9\\n\\\"x\\\\\\u20ac\\ud800\""), ==,
              DR_OK);
    check_str(found.prompt, "");
    check_str(found.model, "\xC3\xA9\n\"x\\\xE2\x82\xAC\xEF\xBF\xBD");
    check_int(found.steps, ==, 3);
    /* The last line counts. */
    check_int(parse("one\nSteps: 1\ntwo\nSteps: 2"), ==, DR_OK);
    check_str(found.prompt, "one\nSteps: 1\ntwo");
    check_int(found.steps, ==, 2);
    /* What is not here is named, and the rest is read. */
    check_int(parse("x\nSteps: 5, Sampler: Foo Karras, Schedule type: Bar, Seed: 9"),
              ==, DR_OK);
    check_str(found.unknown, "Sampler Foo Karras, Schedule type Bar");
    check_str(found.sampler, "");
    check(found.seed == 9);
    /* The strength of a second pass is not that of image to image. */
    check_int(parse("x\nSteps: 5, Denoising strength: 0.5, Hires upscale: 2"), ==,
              DR_OK);
    check_int(found.image_to_image, ==, 0);
    check_str(found.unknown, "Hires upscale, Denoising strength");
    /* Civitai's table. */
    check_int(parse(
                  "x\nSteps: 5, Hashes: {\"vae\": \"73\", \"model\": \"6c\"}, Seed: 3"),
              ==, DR_OK);
    check_str(found.unknown, "");
    check(found.seed == 3);
}

static void what_is_wrong_is_named(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"",                                           "no line"  },
        {"a cat",                                      "no line"  },
        {"x\nSteps: many",                             "\"many\"" },
        {"x\nSteps: 0",                                "1 to 1000"},
        {"x\nSteps: 5, Seed: -1",                      "Seed"     },
        {"x\nSteps: 5, Seed: 99999999999999999999999", "Seed"     },
        {"x\nSteps: 5, Size: 512",                     "Size"     },
        {"x\nSteps: 5, Size: 512x99999999999",         "Size"     },
        {"x\nSteps: 5, CFG scale: nan",                "CFG scale"},
        {"x\nSteps: 5, Clip skip: 0",                  "Clip skip"},
        {"x\nSteps: 5, Denoising strength: x",         "Denoising"},
        {"x\nSteps: 5, Weights: q5",                   "--weights"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        check_int(parse(cases[i].text), ==, DR_BAD_INPUT);
        check_has(problem.message, cases[i].part);
        check(!found.prompt && !found.negative);
    }
}

static void files_that_were_used(void)
{
    char text[2048];
    const struct parameters_hash loras[] = {
        {"ink: a, b", "0123456789ab"},
        {"lost",      ""            },
        {"wash",      "ba9876543210"}
    };
    const struct parameters_hash embeddings[] = {
        {"easy-neg", "111122223333"}
    };
    const struct parameters_lora given[] = {
        {"ink",  0.5,  0.5 },
        {"a:b",  1,    1   },
        {"wash", 0.75, 0.25}
    };
    struct parameters wrote = example();
    wrote.loras = loras;
    wrote.lora_count = 3;
    wrote.embeddings = embeddings;
    wrote.embedding_count = 1;
    wrote.given_loras = given;
    wrote.given_lora_count = 3;
    (void)parameters_format(&wrote, text, sizeof text);
    check_has(text, " <lora:ink:0.5> <lora:wash:0.25:0.75>\n");
    check_has(text, ", Lora hashes: \"ink a b: 0123456789ab, wash: ba9876543210\", TI "
                    "hashes: \"easy-neg: 111122223333\", ");
    check_int(parse(text), ==, DR_OK);
    check_int(found.lora_count, ==, 2);
    check_str(found.loras[0].name, "ink a b");
    check_str(found.loras[1].hash, "ba9876543210");
    check_int(found.embedding_count, ==, 1);
    check_str(found.embeddings[0].name, "easy-neg");
    check_str(found.embeddings[0].hash, "111122223333");
    check_str(found.unknown, "");
    /* Plain text has no networks. */
    wrote.prompt_syntax = DR_PROMPT_PLAIN;
    (void)parameters_format(&wrote, text, sizeof text);
    check(strstr(text, "<lora:") == NULL);
    /* What is damaged is nothing. */
    check_int(parse("x\nSteps: 5, Lora hashes: \"a, : b,,c:\""), ==, DR_OK);
    check_int(found.lora_count, ==, 2);
    check_str(found.loras[0].hash, "b");
    check_str(found.loras[1].hash, "");
}

/* As A1111 writes them, with samplers and schedules by its names. */
static void noise_and_names_of_a1111(void)
{
    struct dr_parameters p;
    check_int(
        parameters_parse(
            &p,
            "a\nSteps: 30, Sampler: DPM++ 2M SDE Heun, Schedule type: Align Your "
            "Steps, CFG scale: 7, Seed: 5, Size: 512x512, Variation seed: 12, "
            "Variation seed strength: 0.25, Seed resize from: 640x512, Eta: 0.5, "
            "ENSD: 31337, Sigma churn: 4, Sigma tmin: 0.1, Sigma tmax: 9, Sigma "
            "noise: 1.01, NGMS: 1.5, CFG rescale: 0.7, CFG interval start: 0.1, CFG "
            "interval end: 0.8",
            NULL),
        ==, DR_OK);
    check_str(p.sampler, "dpmpp-2m-sde-heun");
    check_str(p.scheduler, "align-your-steps");
    check_str(p.unknown, "");
    check_int(p.sampling.variation_seed, ==, 12);
    check_real(p.sampling.variation_strength, ==, 0.25);
    check_int(p.sampling.seed_resize_width, ==, 640);
    check_int(p.sampling.eta_seed_delta, ==, 31337);
    check_real(p.sampling.eta, ==, 0.5);
    check_real(p.sampling.s_churn, ==, 4);
    check_real(p.sampling.s_tmin, ==, 0.1);
    check_real(p.sampling.s_tmax, ==, 9);
    check_real(p.sampling.s_noise, ==, 1.01);
    check_real(p.sampling.s_min_uncond, ==, 1.5);
    check_real(p.sampling.cfg_rescale, ==, 0.7);
    check_real(p.sampling.cfg_from, ==, 0.1);
    check_real(p.sampling.cfg_to, ==, 0.8);
    dr_parameters_free(&p);
    static const char *const names[][3] = {
        {"Sampler: DPM++ 2M SDE Karras",                "dpmpp-2m-sde", "karras"     },
        {"Sampler: DPM++ 3M SDE Exponential",           "dpmpp-3m-sde", "exponential"},
        {"Sampler: DPM2 a Karras",                      "dpm2-a",       "karras"     },
        {"Sampler: DPM++ 2M, Schedule type: Automatic", "dpmpp-2m",     "automatic"  },
        {"Sampler: Euler, Schedule type: Uniform",      "euler",        "normal"     },
        {"Sampler: Restart, Schedule type: Beta",       "restart",      "beta"       }
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        char text[128];
        (void)snprintf(text, sizeof text, "x\nSteps: 5, %s", names[i][0]);
        check_int(parameters_parse(&p, text, NULL), ==, DR_OK);
        check_str(p.sampler, names[i][1]);
        check_str(p.scheduler, names[i][2]);
        dr_parameters_free(&p);
    }
}

int main(void)
{
    check_run(what_is_written_is_read);
    check_run(numbers_are_exact);
    check_run(an_empty_negative_prompt_is_not_none);
    check_run(texts_of_other_programs);
    check_run(what_is_wrong_is_named);
    check_run(files_that_were_used);
    dr_parameters_free(&found);
    check_run(noise_and_names_of_a1111);
    return check_done();
}
