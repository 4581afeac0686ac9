/* Options of noise and guidance through the whole engine: what changes nothing, what equals another job, what is written into
 * the picture and read again. The arithmetic is sampler_test's, seed_noise_test's and pipeline_test's. */
#include "engine/engine_fixture.h"

#include "darkroom/darkroom.h"

enum {
    STEPS = 6
};

static struct dr_generate_options options_for(const char *name)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = STEPS;
    options.sampler = "euler-a";
    options.seed = 7;
    return options;
}

/* The planned bytes; 0 where it fails. */
static uint64_t run(struct dr_engine *engine, const struct dr_generate_options *options)
{
    struct dr_generate_result result;
    const enum dr_code code = dr_engine_generate(engine, options, &result, &problem);
    check_int(code, ==, DR_OK);
    if (code != DR_OK) fprintf(stderr, "    %s\n", problem.message);
    const uint64_t planned = result.planned_private_bytes;
    check_int(planned, ==, result.peak_private_bytes);
    dr_generate_result_free(&result);
    return planned;
}

/* Latents hold no text: only what is computed counts. */
static void guidance_may_rest(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("plain.safetensors");
    const uint64_t plain = run(engine, &options);
    options.output = in_root("whole.safetensors");
    options.sampling.cfg_to = 1;
    options.sampling.cfg_from = 0;
    (void)run(engine, &options);
    check(same_file("plain.safetensors", "whole.safetensors"));

    options.output = in_root("part.safetensors");
    options.sampling.cfg_from = 0.2;
    options.sampling.cfg_to = 0.8;
    const uint64_t part = run(engine, &options);
    check(!same_file("plain.safetensors", "part.safetensors"));
    check_int(part, <=, plain + 64 * 1024); /* one arena serves both batches */

    /* No step lies in the interval: nothing is guided, as with a cfg of 1. */
    options.output = in_root("none.safetensors");
    options.sampling.cfg_from = 0.99;
    options.sampling.cfg_to = 1;
    (void)run(engine, &options);
    options.output = in_root("one.safetensors");
    options.sampling = dr_sampling_default();
    options.cfg = 1;
    (void)run(engine, &options);
    check(same_file("none.safetensors", "one.safetensors"));
    check(!same_file("none.safetensors", "part.safetensors"));
    dr_engine_close(&engine);
}

/* The same bytes at the smallest budget, and fewer operations than with guidance all the way. */
static void resting_is_planned(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_forecast forecast;
    struct dr_generate_options options = options_for("wide.safetensors");
    options.sampling.cfg_to = 0.5;
    options.sampling.s_min_uncond = 3;
    options.sampling.cfg_rescale = 0.7;
    (void)run(engine, &options);
    const enum dr_code code = dr_engine_forecast(engine, &options, &forecast, &problem);
    check_int(code, ==, DR_OK);
    if (code != DR_OK) return;
    const uint64_t least = forecast.levels[forecast.level_count - 1].budget_bytes;
    dr_forecast_free(&forecast);
    check_int(dr_engine_set_budget(engine, least, &problem), ==, DR_OK);
    options.output = in_root("tight.safetensors");
    (void)run(engine, &options);
    check(same_file("wide.safetensors", "tight.safetensors"));
    dr_engine_close(&engine);
}

static void rescale_changes_the_picture(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("not.safetensors");
    (void)run(engine, &options);
    options.output = in_root("rescaled.safetensors");
    options.sampling.cfg_rescale = 0.7;
    (void)run(engine, &options);
    check(!same_file("not.safetensors", "rescaled.safetensors"));
    dr_engine_close(&engine);
}

static void a_variation_has_one_seed(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("v.png");
    struct dr_generate_result result;
    struct dr_parameters read;
    options.batch = 2;
    options.sampling.variation_seed = 40;
    options.sampling.variation_strength = 0.25;
    options.sampling.seed_resize_width = 128;
    options.sampling.seed_resize_height = 64;
    options.sampling.eta_seed_delta = 31337;
    options.sampling.eta = 0.5;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    check_int(result.images[0].seed, ==, 7);
    check_int(result.images[1].seed, ==, 7);
    dr_generate_result_free(&result);
    check(!same_file("v.png", "v-2.png"));
    check_int(dr_read_picture(in_root("v-2.png"), &read, &problem), ==, DR_OK);
    check_int(read.sampling.variation_seed, ==, 41);
    check_real(read.sampling.variation_strength, ==, 0.25);
    check_int(read.sampling.seed_resize_width, ==, 128);
    check_int(read.sampling.eta_seed_delta, ==, 31337);
    check_real(read.sampling.eta, ==, 0.5);
    /* What the second picture says makes it again. */
    options.batch = 1;
    options.sampling = read.sampling;
    options.output = in_root("again.png");
    (void)run(engine, &options);
    check(same_file("v-2.png", "again.png"));
    dr_parameters_free(&read);
    dr_engine_close(&engine);
}

static void what_has_no_effect_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_result result;
    struct dr_generate_options options = options_for("never.png");
    options.sampler = "dpmpp-2m";
    options.sampling.eta = 0.5;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_BAD_INPUT);
    check_has(problem.message, "eta 0.5: the sampler dpmpp-2m");
    options.sampling = dr_sampling_default();
    options.sampling.s_churn = 2;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_BAD_INPUT);
    check_has(problem.message, "s_churn 2: the sampler dpmpp-2m has none");
    options.sampling = dr_sampling_default();
    options.sampling.cfg_rescale = 2;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_BAD_INPUT);
    check_has(problem.message, "cfg_rescale is 2: it must be from 0 to 1");
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(guidance_may_rest);
    check_run(resting_is_planned);
    check_run(rescale_changes_the_picture);
    check_run(a_variation_has_one_seed);
    check_run(what_has_no_effect_is_refused);
    return check_done();
}
