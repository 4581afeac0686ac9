/* Where the time went: the sums of a job's profile, beside what plans, forecasts and clocks say; and
 * a job with a profile is the same job. */
#include "engine/engine_fixture.h"

#include <math.h>

static struct dr_generate_options job_options(const char *output)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(output);
    options.width = 128;
    options.height = 64;
    options.steps = 3;
    options.sampler = "euler";
    options.seed = 7;
    options.profile = 1;
    return options;
}

static struct dr_generate_result run(struct dr_engine *engine,
                                     const struct dr_generate_options *options)
{
    struct dr_generate_result result;
    const enum dr_code code = dr_engine_generate(engine, options, &result, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    check((result.profile != NULL) == (code == DR_OK && options->profile));
    (void)check_memory(engine);
    return result;
}

static const struct dr_profile_network *network_of(const struct dr_profile *profile,
                                                   const char *name)
{
    static const struct dr_profile_network none = {.name = "none"};
    for (int32_t i = 0; profile && i < profile->network_count; ++i)
        if (strcmp(profile->networks[i].name, name) == 0) return &profile->networks[i];
    return &none;
}

/* "text unet vae decoder" */
static const char *names_of(const struct dr_profile *profile)
{
    static char names[80];
    names[0] = '\0';
    for (int32_t i = 0; profile && i < profile->network_count; ++i) {
        if (i > 0) (void)strcat(names, ", ");
        (void)strcat(names, profile->networks[i].name);
    }
    return names;
}

static int same_layer(const struct dr_profile_row *a, const struct dr_profile_row *b)
{
    return strcmp(a->kind, b->kind) == 0 && a->n == b->n && a->height == b->height &&
           a->width == b->width && a->channels == b->channels &&
           a->in_channels == b->in_channels;
}

static void check_network(const struct dr_profile_network *network)
{
    double flop = 0.0, ms = 0.0, shares = 0.0;
    uint64_t bytes = 0;
    check_int(network->row_count, >, 1);
    for (size_t i = 0; i < network->row_count; ++i) {
        const struct dr_profile_row *const row = &network->rows[i];
        flop += row->flop;
        ms += row->ms;
        bytes += row->bytes;
        shares += 100.0 * row->ms / network->ms;
        check_int(row->count, >, 0);
        check_int(row->bytes, >, 0);
        check(row->n > 0 && row->height > 0 && row->width > 0 && row->channels > 0);
        if (i > 0) check_real(row->ms, <=, network->rows[i - 1].ms);
        for (size_t k = 0; k < i; ++k)
            check(!same_layer(row, &network->rows[k]));
    }
    check_real(network->ms, >, 0.0);
    check_real(fabs(shares - 100.0), <, 1e-6);
    check_real(fabs(ms - network->ms), <, 1e-9 * ms);
    check_real(fabs(flop - network->flop), <, 1e-9 * flop);
    check_int(bytes, ==, network->bytes);
}

static double relative(double got, double want)
{
    return fabs(got - want) / want;
}

static void adds_up(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = job_options("sums.png");
    options.batch = 2;
    struct dr_generate_result result = run(engine, &options);
    const struct dr_profile *const profile = result.profile;
    struct dr_forecast forecast;
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_str(names_of(profile), "text, unet, vae decoder");
    for (int32_t i = 0; i < profile->network_count; ++i)
        check_network(&profile->networks[i]);

    const struct dr_profile_network *const unet = network_of(profile, "unet");
    const struct dr_profile_network *const decoder = network_of(profile, "vae decoder");
    check_int(network_of(profile, "text")->runs, ==, 2); /* prompt and negative */
    check_int(unet->runs, ==, 3 * 2);
    check_int(decoder->runs, ==, 2);
    check_real(relative(unet->flop, 6 * forecast.unet_flop), <, 1e-9);
    check_real(relative(decoder->flop, 2 * forecast.vae_flop), <, 1e-9);

    /* What lies between two operators is no operator's time. */
    check_real(unet->ms, <=, result.unet_per_step_ms * 6);
    check_real(unet->ms, >, 0.2 * result.unet_per_step_ms * 6);
    check_real(decoder->ms, <=, result.vae_ms * 2);
    check_real(network_of(profile, "text")->ms, <=, result.text_ms);

    /* 1e4 FLOP a ms are 10 MFLOP/s. */
    check_real(profile->library_flop_per_ms, >, 1e4);
    dr_generate_result_free(&result);
    check(result.profile == NULL);
    dr_forecast_free(&forecast);
    dr_engine_close(&engine);
}

/* A tiny network's first convolution has the shape that the picture gives it, and the shape of a row
 * is that of all its layers: it gives their FLOP. */
static void names_layers(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const struct dr_generate_options options = job_options("layers.png");
    struct dr_generate_result result = run(engine, &options);
    const struct dr_profile_network *const unet = network_of(result.profile, "unet");
    int32_t found = 0, flopless = 0;
    for (size_t i = 0; i < unet->row_count; ++i) {
        const struct dr_profile_row *const row = &unet->rows[i];
        found += strcmp(row->kind, "conv 3x3") == 0 && row->in_channels == 4 &&
                 row->n == 2 && row->height == 8 && row->width == 16;
        if (strcmp(row->kind, "group norm") == 0) {
            ++flopless;
            check_real(row->flop, ==, 0.0);
        }
        if (strcmp(row->kind, "conv 3x3") == 0)
            check_real(relative(row->flop, 18.0 * unet->runs * row->count * row->n *
                                               row->height * row->width *
                                               row->channels * row->in_channels),
                       <, 1e-9);
    }
    check_int(found, ==, 1);
    check_int(flopless, >, 0);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

static void leaves_out_what_did_not_run(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = job_options("first.png");
    struct dr_generate_result result = run(engine, &options);
    dr_generate_result_free(&result);
    result = run(engine, &options); /* the prompts are known now */
    check_str(names_of(result.profile), "unet, vae decoder");
    dr_generate_result_free(&result);
    options.output = in_root("latents.safetensors");
    result = run(engine, &options);
    check_str(names_of(result.profile), "unet");
    dr_generate_result_free(&result);
    options.output = in_root("again.png");
    options.init = in_root("first.png");
    result = run(engine, &options);
    check_str(names_of(result.profile), "vae encoder, unet, vae decoder");
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

static void is_for_both_text_encoders(void)
{
    take_checkpoint("xl.safetensors", "sdxl", "--seed 5");
    struct dr_engine *engine = open_engine();
    load(engine, "xl.safetensors");
    const struct dr_generate_options options = job_options("xl.png");
    struct dr_generate_result result = run(engine, &options);
    check_str(names_of(result.profile), "text, text2, unet, vae decoder");
    for (int32_t i = 0; result.profile && i < result.profile->network_count; ++i)
        check_network(&result.profile->networks[i]);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

static void changes_no_byte(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = job_options("with.png");
    struct dr_generate_result with = run(engine, &options);
    options.output = in_root("without.png");
    options.profile = 0;
    struct dr_generate_result without = run(engine, &options);
    check(without.profile == NULL);
    check(same_file("with.png", "without.png"));
    dr_generate_result_free(&with);
    dr_generate_result_free(&without);
    dr_engine_close(&engine);
}

static void is_for_encode_and_decode(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const struct dr_generate_options picture = job_options("codec.png");
    struct dr_generate_result made = run(engine, &picture);
    dr_generate_result_free(&made);
    struct dr_codec_options options = dr_codec_options_default();
    for (int asked = 1; asked >= 0; --asked) {
        struct dr_codec_result result;
        options.profile = asked;
        options.input = in_root("codec.png");
        options.output = in_root("codec.safetensors");
        check_int(dr_engine_encode(engine, &options, &result, &problem), ==, DR_OK);
        check_str(names_of(result.profile), asked ? "vae encoder" : "");
        check((result.profile != NULL) == (asked == 1));
        if (asked) check_network(network_of(result.profile, "vae encoder"));
        check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
        dr_codec_result_free(&result);
        options.input = in_root("codec.safetensors");
        options.output = in_root(asked ? "codec-with.png" : "codec-without.png");
        check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_OK);
        check_str(names_of(result.profile), asked ? "vae decoder" : "");
        if (asked) check_int(network_of(result.profile, "vae decoder")->runs, ==, 1);
        dr_codec_result_free(&result);
    }
    check(same_file("codec-with.png", "codec-without.png"));
    (void)check_memory(engine);
    dr_engine_close(&engine);
}

/* In a budget that the job fills the yardstick takes no room from it. A job that is refused has no
 * profile. */
static void needs_no_room_of_its_own(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_options options = job_options("tight.png");
    options.width = 64;
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    struct dr_generate_result result = run(engine, &options);
    const uint64_t peak = result.peak_private_bytes;
    dr_generate_result_free(&result);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    limit_regions(engine, peak);
    options.output = in_root("tighter.png");
    result = run(engine, &options);
    check_str(names_of(result.profile), "text, unet, vae decoder");
    check_int(result.peak_private_bytes, ==, peak);
    check(same_file("tight.png", "tighter.png"));
    dr_generate_result_free(&result);

    options.prompt = NULL;
    options.width = 7;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_BAD_INPUT);
    check(result.profile == NULL);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(adds_up);
    check_run(names_layers);
    check_run(leaves_out_what_did_not_run);
    check_run(is_for_both_text_encoders);
    check_run(changes_no_byte);
    check_run(is_for_encode_and_decode);
    check_run(needs_no_room_of_its_own);
    return check_done();
}
