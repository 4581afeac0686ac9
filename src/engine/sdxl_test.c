/* SDXL from words to pictures: equal to diffusers' whole pipeline (tests/golden/
 * pipeline_sdxl.safetensors, made by tools/golden/pipeline_sdxl.py), the same bytes twice and in
 * every residency, planned memory to the byte, and what its options and keys mean. */
#include "network.h"

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/golden_latent_fixture.h"

static const double bound =
    1e-3; /* relative L2; float32's own rounding makes some 1e-6 */

enum {
    GOLDEN_WIDTH = 128,
    GOLDEN_HEIGHT = 96
};

/* ---- against diffusers ------------------------------------------------------------------ */

static struct dr_generate_options golden_options(const char *negative)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = negative;
    options.output = in_root("golden.safetensors");
    options.width = GOLDEN_WIDTH;
    options.height = GOLDEN_HEIGHT;
    options.steps = 10;
    options.cfg = 5.0;
    options.seed = 1234;
    options.rng = DR_RNG_CPU;
    options.sampler = "euler";
    return options;
}

static struct dr_generate_options with_sizes(struct dr_generate_options options)
{
    options.original_width = 768;
    options.original_height = 1024;
    options.crop_left = 32;
    options.crop_top = 16;
    options.target_width = 640;
    options.target_height = 512;
    return options;
}

static void ends_where_diffusers_does(void)
{
    struct golden golden;
    struct dr_engine *engine = open_engine_with(0, DR_PRECISION_F32);
    golden_open(&golden, "pipeline_sdxl");
    golden_check_checkpoint(&golden, in_root("golden-model.safetensors"));
    load(engine, "golden-model.safetensors");
    const struct dr_generate_options fog = golden_options("fog");
    check_real(golden_distance(engine, &golden, "sizes", with_sizes(fog)), <=, bound);
    check_real(golden_distance(engine, &golden, "none", golden_options(NULL)), <=,
               bound);
    check_real(golden_distance(engine, &golden, "empty", golden_options("")), <=,
               bound);
    /* The bound tells them apart: sizes left out or swapped, an empty prompt for none. */
    struct dr_generate_options swapped = with_sizes(fog);
    swapped.crop_left = 16;
    swapped.crop_top = 32;
    check_real(golden_distance(engine, &golden, "sizes", fog), >, bound);
    check_real(golden_distance(engine, &golden, "sizes", swapped), >, bound);
    check_real(golden_distance(engine, &golden, "none", golden_options("")), >, bound);
    golden_close(&golden);
    dr_engine_close(&engine);
}

/* ---- pictures ---------------------------------------------------------------------------- */

static struct dr_generate_options small_options(const char *name)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = 2;
    options.seed = 7;
    return options;
}

static struct dr_generate_result run(struct dr_engine *engine,
                                     const struct dr_generate_options *options)
{
    struct dr_generate_result result;
    if (dr_engine_generate(engine, options, &result, &problem) != DR_OK)
        check_str(problem.message, "");
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    (void)check_memory(engine);
    return result;
}

static void run_small(struct dr_engine *engine, const char *name)
{
    const struct dr_generate_options options = small_options(name);
    struct dr_generate_result result = run(engine, &options);
    dr_generate_result_free(&result);
}

static void gives_the_same_bytes_twice(void)
{
    for (int i = 0; i < 2; ++i) {
        struct dr_engine *engine = open_engine();
        load(engine, "x.safetensors");
        run_small(engine, i ? "second.png" : "first.png");
        run_small(engine, "again.png"); /* with the prompts from the cache */
        dr_engine_close(&engine);
        check(same_file("again.png", "first.png"));
    }
    check(same_file("first.png", "second.png"));
}

static void image_to_image_and_odd_sides_work(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "x.safetensors");
    run_small(engine, "init.png");
    struct dr_generate_options options = small_options("i2i.png");
    options.init = in_root("init.png");
    options.width = 72;
    options.height = 88;
    options.batch = 2;
    struct dr_generate_result result = run(engine, &options);
    check_int(result.image_count, ==, 2);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

/* ---- memory ------------------------------------------------------------------------------ */

/* One component at a time, both text encoders among them, within the byte that is forecast. */
static void one_component_at_a_time_gives_the_same_picture(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_forecast forecast;
    load(engine, "x.safetensors");
    run_small(engine, "resident.png");
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    check_int(check_memory(engine), ==, 0);
    const struct dr_generate_options options = small_options("phased.png");
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_int(forecast.component_count, ==, 4);
    check_int(forecast.components[1].kind, ==, DR_COMPONENT_TEXT);
    check_str(forecast.components[1].name, "text2");
    check_int(forecast.components[1].weights_bytes, >, 0);
    check_int(forecast.phased_peak_bytes, <, forecast.resident_peak_bytes);

    limit_regions(engine, forecast.phased_peak_bytes);
    struct dr_generate_result result = run(engine, &options);
    check_has(result.receipt.reason, "one component loaded at a time");
    check_int(result.peak_private_bytes, ==, forecast.phased_peak_bytes);
    dr_generate_result_free(&result);
    check(same_file("phased.png", "resident.png"));

    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    limit_regions(engine, forecast.phased_peak_bytes - 1);
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_OVER_BUDGET);
    dr_forecast_free(&forecast);
    dr_engine_close(&engine);
}

struct stopper {
    struct dr_engine *engine;
    int reports_left;
};

static void stop_in_text(void *cookie, const struct dr_progress *progress)
{
    struct stopper *const stopper = cookie;
    const bool counts = progress->stage == DR_STAGE_TEXT;
    if (counts && stopper->reports_left-- == 0) dr_engine_cancel(stopper->engine);
}

/* A job stopped at any moment of the two encoders leaves no half of a context behind. */
static void a_cancel_between_the_encoders_leaves_no_half(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    int cancelled = 0;
    enum dr_code code = DR_CANCELLED;
    load(engine, "x.safetensors");
    run_small(engine, "whole.png");
    for (int at = 0; code == DR_CANCELLED; at += 7) {
        struct stopper stopper = {engine, at};
        struct dr_generate_options options = small_options("stopped.png");
        options.progress = stop_in_text;
        options.progress_cookie = &stopper;
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
        code = dr_engine_generate(engine, &options, &result, &problem);
        (void)check_memory(engine);
        if (code == DR_CANCELLED) ++cancelled;
        if (code == DR_OK) dr_generate_result_free(&result);
        run_small(engine, "after.png");
        check(same_file("after.png", "whole.png"));
    }
    check_int(code, ==, DR_OK);
    check_int(cancelled, >, 3);
    dr_engine_close(&engine);
}

/* ---- options and keys -------------------------------------------------------------------- */

static void sizes_default_to_the_pictures(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "x.safetensors");
    struct dr_generate_options options = small_options("plain.safetensors");
    struct dr_generate_result result = run(engine, &options);
    dr_generate_result_free(&result);
    options.output = in_root("said.safetensors");
    options.original_width = options.original_height = 64;
    options.target_width = options.target_height = 64;
    result = run(engine, &options);
    dr_generate_result_free(&result);
    check(same_file("plain.safetensors", "said.safetensors"));
    options.output = in_root("cropped.safetensors");
    options.crop_left = 8;
    result = run(engine, &options);
    dr_generate_result_free(&result);
    check(!same_file("plain.safetensors", "cropped.safetensors"));

    char *text = NULL;
    options.output = in_root("cropped.png");
    result = run(engine, &options);
    dr_generate_result_free(&result);
    check_int(dr_read_parameters(in_root("cropped.png"), &text, &problem), ==, DR_OK);
    check_has(text, "Original size: 64x64, Crop left: 8, Crop top: 0");
    free(text);
    dr_engine_close(&engine);
}

static void check_refused(struct dr_engine *engine,
                          const struct dr_generate_options *options, const char *words)
{
    struct dr_generate_result result;
    check_int(dr_engine_generate(engine, options, &result, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, words);
}

static void refuses_sizes_that_mean_nothing(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "x.safetensors");
    struct dr_generate_options options = small_options("refused.png");
    options.original_width = 64;
    check_refused(engine, &options, "original size 64x0 is out of range");
    options = small_options("refused.png");
    options.target_width = options.target_height = 70000;
    check_refused(engine, &options, "target size 70000x70000 is out of range");
    options = small_options("refused.png");
    options.crop_top = -1;
    check_refused(engine, &options, "crop 0,-1 is out of range");
    load(engine, "a.safetensors");
    options = small_options("refused.png");
    options.crop_left = 8;
    check_refused(engine, &options, "sd15");
    dr_engine_close(&engine);
}

static void a_picture_without_a_size_is_1024(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_forecast forecast;
    load(engine, "x.safetensors");
    const struct dr_generate_options options = dr_generate_options_default();
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_int(forecast.width, ==, 1024);
    check_int(forecast.height, ==, 1024);
    dr_forecast_free(&forecast);
    load(engine, "a.safetensors");
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_int(forecast.width, ==, 512);
    dr_forecast_free(&forecast);
    dr_engine_close(&engine);
}

static void latents_of(const char *model, enum dr_prediction prediction,
                       const char *name)
{
    struct dr_engine *engine = open_engine();
    load(engine, model);
    struct dr_generate_options options = small_options(name);
    options.prediction = prediction;
    struct dr_generate_result result = run(engine, &options);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

/* The keys say what --prediction says; the weights beside them are the same. */
static void keys_tell_prediction_and_schedule(void)
{
    make_checkpoint("v.safetensors", "--family sdxl --size least --seed 5 --v-pred");
    make_checkpoint("vz.safetensors",
                    "--family sdxl --size least --seed 5 --v-pred --ztsnr");
    latents_of("x.safetensors", DR_PREDICTION_AUTO, "eps.safetensors");
    latents_of("x.safetensors", DR_PREDICTION_V, "want-v.safetensors");
    latents_of("v.safetensors", DR_PREDICTION_AUTO, "v-auto.safetensors");
    latents_of("v.safetensors", DR_PREDICTION_EPS, "v-eps.safetensors");
    latents_of("vz.safetensors", DR_PREDICTION_AUTO, "vz.latent.safetensors");
    check(same_file("want-v.safetensors", "v-auto.safetensors"));
    check(same_file("eps.safetensors", "v-eps.safetensors"));
    check(!same_file("eps.safetensors", "v-auto.safetensors"));
    check(!same_file("vz.latent.safetensors", "v-auto.safetensors"));
}

/* What one checkpoint's keys say is not said of the next: elsewhere a model after another made
 * noise, since a configuration stayed behind. All after all, in one engine. */
static void keys_are_not_taken_to_the_next_model(void)
{
    static const struct {
        const char *model, *want;
    } models[] = {
        {"x.safetensors",  "alone-x.png" },
        {"v.safetensors",  "alone-v.png" },
        {"vz.safetensors", "alone-vz.png"},
        {"a.safetensors",  "alone-a.png" },
    };
    const int count = (int)(sizeof models / sizeof *models);
    for (int i = 0; i < count; ++i) {
        struct dr_engine *engine = open_engine();
        load(engine, models[i].model);
        run_small(engine, models[i].want);
        dr_engine_close(&engine);
    }
    struct dr_engine *engine = open_engine();
    for (int from = 0; from < count; ++from)
        for (int to = 0; to < count; ++to) {
            load(engine, models[from].model);
            load(engine, models[to].model);
            run_small(engine, "after.png");
            check(same_file("after.png", models[to].want));
            check(from == to || !same_file("after.png", models[from].want));
        }
    dr_engine_close(&engine);
}

static void says_which_text_encoder_lacks(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    make_checkpoint("half.safetensors",
                    "--family sdxl --size least --without vae "
                    "--drop conditioner.embedders.1.model.text_projection");
    load(engine, "half.safetensors");
    const struct dr_generate_options options = small_options("none.png");
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_INCOMPLETE);
    check_has(problem.message, "no second text encoder");
    check_has(problem.message, "text_projection");
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_folder();
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    take_checkpoint("a.safetensors", "sd15", "--seed 1");
    make_checkpoint("golden-model.safetensors",
                    "--family sdxl --size tiny --dtype f32 --seed 0");
    check_run(ends_where_diffusers_does);
    check_run(gives_the_same_bytes_twice);
    check_run(image_to_image_and_odd_sides_work);
    check_run(one_component_at_a_time_gives_the_same_picture);
    check_run(a_cancel_between_the_encoders_leaves_no_half);
    check_run(sizes_default_to_the_pictures);
    check_run(refuses_sizes_that_mean_nothing);
    check_run(a_picture_without_a_size_is_1024);
    check_run(keys_tell_prediction_and_schedule);
    check_run(keys_are_not_taken_to_the_next_model);
    check_run(says_which_text_encoder_lacks);
    return check_done();
}
