/* Planned private bytes are the ledger's peak, for every kind of job at many sizes; every budget
 * gives the same bytes of picture; what does not fit is refused with numbers, before anything
 * is read or written. */
#include "engine/engine_fixture.h"

#include <jpeglib.h>

#include "mem/kernel_view.h"

enum job_kind {
    TEXT_TO_IMAGE,
    IMAGE_TO_IMAGE,
    LATENTS,
    ENCODE,
    DECODE
};

enum state_before {
    LOADED,
    UNLOADED,    /* unload model */
    VAE_RELEASED /* unload vae */
};

struct memory_case {
    enum job_kind kind;
    int32_t width, height, batch;
    double cfg;
    const char *vae;
    enum state_before before;
    const char *prompt; /* NULL: one that was not seen before */
};

static const struct memory_case cases[] = {
    {TEXT_TO_IMAGE,  64,  64,  1, 7.0, NULL,    LOADED,       NULL   },
    {TEXT_TO_IMAGE,  64,  64,  1, 7.0, NULL,    LOADED,       "again"},
    {TEXT_TO_IMAGE,  64,  64,  1, 7.0, NULL,    LOADED,       "again"},
    {TEXT_TO_IMAGE,  64,  128, 2, 1.0, NULL,    LOADED,       NULL   },
    {TEXT_TO_IMAGE,  72,  88,  3, 7.0, NULL,    LOADED,       NULL   },
    {TEXT_TO_IMAGE,  128, 128, 1, 1.0, "sharp", LOADED,       NULL   },
    {TEXT_TO_IMAGE,  256, 128, 1, 7.0, NULL,    UNLOADED,     NULL   },
    {TEXT_TO_IMAGE,  64,  64,  2, 7.0, "sharp", UNLOADED,     NULL   },
    {TEXT_TO_IMAGE,  72,  88,  1, 7.0, "sharp", VAE_RELEASED, "again"},
    {IMAGE_TO_IMAGE, 64,  64,  1, 7.0, NULL,    LOADED,       "again"},
    {IMAGE_TO_IMAGE, 64,  128, 3, 7.0, "sharp", LOADED,       NULL   },
    {IMAGE_TO_IMAGE, 72,  88,  1, 1.0, NULL,    UNLOADED,     NULL   },
    {IMAGE_TO_IMAGE, 256, 128, 1, 1.0, "sharp", UNLOADED,     NULL   },
    {LATENTS,        64,  64,  3, 7.0, NULL,    LOADED,       NULL   },
    {LATENTS,        72,  88,  1, 1.0, "sharp", LOADED,       "again"},
    {LATENTS,        128, 128, 2, 1.0, NULL,    UNLOADED,     NULL   },
    {ENCODE,         64,  64,  1, 0.0, NULL,    LOADED,       NULL   },
    {ENCODE,         256, 128, 1, 0.0, "sharp", LOADED,       NULL   },
    {ENCODE,         72,  88,  1, 0.0, NULL,    UNLOADED,     NULL   },
    {ENCODE,         64,  64,  1, 0.0, "sharp", VAE_RELEASED, NULL   },
    {DECODE,         64,  64,  1, 0.0, NULL,    LOADED,       NULL   },
    {DECODE,         72,  88,  3, 0.0, "sharp", LOADED,       NULL   },
    {DECODE,         256, 128, 1, 0.0, NULL,    UNLOADED,     NULL   },
    {DECODE,         128, 128, 2, 0.0, "sharp", UNLOADED,     NULL   },
};

/* ---- jobs ------------------------------------------------------------------------------ */

static struct dr_generate_options options_of(const struct memory_case *item)
{
    static char fresh[40];
    static int count;
    struct dr_generate_options options = dr_generate_options_default();
    (void)snprintf(fresh, sizeof fresh, "prompt number %d", ++count);
    options.prompt = item->prompt ? item->prompt : fresh;
    options.width = item->width;
    options.height = item->height;
    options.batch = item->batch;
    options.cfg = item->cfg;
    options.vae = item->vae;
    options.steps = 2;
    options.seed = 11;
    if (item->kind == IMAGE_TO_IMAGE) options.init = in_root("init.png");
    options.output = in_root(item->kind == LATENTS ? "out.safetensors" : "out.png");
    return options;
}

/* What a job answered, whichever kind it was. */
struct answer {
    enum dr_code code;
    uint64_t planned, peak;
    char reason[DR_REASON_BYTES];
};

static struct answer run_generate(struct dr_engine *engine,
                                  const struct dr_generate_options *options)
{
    struct dr_generate_result result;
    struct answer answer = {0};
    answer.code = dr_engine_generate(engine, options, &result, &problem);
    answer.planned = result.planned_private_bytes;
    answer.peak = result.peak_private_bytes;
    (void)snprintf(answer.reason, sizeof answer.reason, "%s", result.receipt.reason);
    dr_generate_result_free(&result);
    return answer;
}

static struct answer run_codec(struct dr_engine *engine, const struct memory_case *item)
{
    char latents[64];
    struct dr_codec_result result;
    struct answer answer = {0};
    struct dr_codec_options options = dr_codec_options_default();
    options.vae = item->vae;
    if (item->kind == ENCODE) {
        options.input = in_root("init.png");
        options.output = in_root("out.safetensors");
        options.width = item->width;
        options.height = item->height;
        answer.code = dr_engine_encode(engine, &options, &result, &problem);
    } else {
        (void)snprintf(latents, sizeof latents, "latents-%dx%d-%d.safetensors",
                       (int)item->width, (int)item->height, (int)item->batch);
        options.input = in_root(latents);
        options.output = in_root("out.png");
        answer.code = dr_engine_decode(engine, &options, &result, &problem);
    }
    answer.planned = result.planned_private_bytes;
    answer.peak = result.peak_private_bytes;
    (void)snprintf(answer.reason, sizeof answer.reason, "%s", result.receipt.reason);
    dr_codec_result_free(&result);
    return answer;
}

static struct answer run_case(struct dr_engine *engine, const struct memory_case *item)
{
    if (item->kind == ENCODE || item->kind == DECODE) return run_codec(engine, item);
    const struct dr_generate_options options = options_of(item);
    return run_generate(engine, &options);
}

/* The init picture, and the latent files that the decode cases read. */
static void make_inputs(struct dr_engine *engine)
{
    static const struct memory_case picture_case = {
        .width = 128, .height = 64, .batch = 1, .cfg = 1.0};
    struct dr_generate_options options = options_of(&picture_case);
    options.output = in_root("init.png");
    check_int(run_generate(engine, &options).code, ==, DR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char name[64];
        if (cases[i].kind != DECODE) continue;
        options = options_of(&cases[i]);
        options.vae = NULL;
        options.steps = 1;
        options.cfg = 1.0;
        (void)snprintf(name, sizeof name, "latents-%dx%d-%d.safetensors",
                       (int)cases[i].width, (int)cases[i].height, (int)cases[i].batch);
        options.output = in_root(name);
        check_int(run_generate(engine, &options).code, ==, DR_OK);
    }
}

/* ---- planned = peak ---------------------------------------------------------------------- */

static void check_case(struct dr_engine *engine, const struct memory_case *item,
                       size_t idx)
{
    const int failed = check_failed_count;
    load(engine,
         "a.safetensors"); /* all components, whatever the case before released */
    if (item->before == UNLOADED)
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    if (item->before == VAE_RELEASED)
        check_int(dr_engine_unload(engine, DR_UNLOAD_VAE, NULL, &problem), ==, DR_OK);
    const uint64_t before = check_memory(engine);
    const struct answer answer = run_case(engine, item);
    if (answer.code != DR_OK) check_str(problem.message, "");
    check_int(answer.planned, ==, answer.peak);
    check_int(answer.peak, >, before);
    const uint64_t after = check_memory(engine);
    if (item->before == LOADED) check_int(after, ==, before);
    struct dr_vae_info vae = vae_state(engine);
    check(!vae.override_active);
    if (check_failed_count > failed) fprintf(stderr, "     in case %zu\n", idx);
}

static void planned_is_peak(enum dr_precision precision)
{
    struct dr_engine *engine = open_engine_with(0, precision);
    load(engine, "a.safetensors");
    make_inputs(engine);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_case(engine, &cases[i], i);
    dr_engine_close(&engine);
}

static void planned_is_peak_in_f32(void)
{
    planned_is_peak(DR_PRECISION_F32);
}

static void planned_is_peak_in_the_machines_own(void)
{
    if (has_own_precision()) planned_is_peak(DR_PRECISION_AUTO);
}

/* The original's digest is not known yet when a job brings its own VAE: its reading is part of
 * the plan, and a forecast does not do it. */
static void saving_the_original_is_planned(void)
{
    static const struct memory_case item = {TEXT_TO_IMAGE, 64,      64,     1,
                                            1.0,           "sharp", LOADED, NULL};
    struct dr_engine *engine = open_engine();
    struct dr_forecast forecast;
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    check_str(vae_state(engine).digest, "");
    const struct dr_generate_options options = options_of(&item);
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_str(vae_state(engine).digest, "");
    check_int(check_memory(engine), ==, 0);
    const struct answer answer = run_generate(engine, &options);
    check_int(answer.code, ==, DR_OK);
    check_int(answer.planned, ==, answer.peak);
    check_int(answer.planned, ==, forecast.resident_peak_bytes);
    check_int(strlen(vae_state(engine).digest), ==, DR_DIGEST_CHARS - 1);
    dr_forecast_free(&forecast);
    dr_engine_close(&engine);
}

/* ---- budgets ----------------------------------------------------------------------------- */

/* Run under a limit: the residency that the receipt names, the same bytes of output. */
static void check_under(struct dr_engine *engine, const struct memory_case *item,
                        uint64_t limit, const char *residency, const char *same_as)
{
    limit_regions(engine, limit);
    const struct answer answer = run_case(engine, item);
    if (answer.code != DR_OK) check_str(problem.message, "");
    check_has(answer.reason, residency);
    check_int(answer.planned, ==, answer.peak);
    check_int(answer.peak, <=, limit);
    check_int(check_memory(engine), <=, limit);
    check(same_file("out.png", same_as));
}

/* One byte less than the least: refused, with the numbers, and nothing is written. */
static void check_refused(struct dr_engine *engine, const struct memory_case *item,
                          uint64_t least)
{
    char number[32];
    limit_regions(engine, least - 1);
    (void)unlink(in_root("out.png"));
    const uint64_t before = check_memory(engine);
    check_int(run_case(engine, item).code, ==, DR_OVER_BUDGET);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)least);
    check_has(problem.message, number);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)(least - 1));
    check_has(problem.message, number);
    (void)snprintf(number, sizeof number, "(%llu bytes) are in use",
                   (unsigned long long)before);
    check_has(problem.message, number);
    check_int(access(in_root("out.png"), F_OK), ==, -1);
    check_int(check_memory(engine), ==, before);
}

/* From the most that a job can use down to what does not fit. */
static void walk_down(const struct memory_case *item, enum dr_precision precision)
{
    struct dr_engine *engine = open_engine_with(0, precision);
    load(engine, "a.safetensors");
    check_int(run_case(engine, item).code, ==,
              DR_OK); /* prompts are cached from here */
    load(engine, "a.safetensors");
    const struct answer resident = run_case(engine, item);
    check_int(resident.code, ==, DR_OK);
    run_command("cp '%s' '%s'", in_root("out.png"), in_root("want.png"));
    check_under(engine, item, resident.peak, "all components resident", "want.png");
    check_under(engine, item, resident.peak - 1, "does not need released first",
                "want.png");

    /* The least: what the job reaches where one component at a time is loaded. A refusal names
     * it. */
    limit_regions(engine, resident.peak / 4);
    check_int(run_case(engine, item).code, ==, DR_OVER_BUDGET);
    const char *const need = strstr(problem.message, "(");
    const uint64_t least = need ? strtoull(need + 1, NULL, 10) : 0;
    check_int(least, >, resident.peak / 4);
    check_int(least, <, resident.peak);
    /* Where a job needs one component alone, no other is there to be released. */
    const char *const words =
        item->kind == DECODE ? "" : "one component loaded at a time";
    check_under(engine, item, least, words, "want.png");
    check_under(engine, item, least, words, "want.png");
    check_refused(engine, item, least);
    check_int(dr_engine_set_budget(engine, 0, &problem), ==, DR_OK);
    check_int(run_case(engine, item).code, ==, DR_OK);
    check(same_file("out.png", "want.png"));
    dr_engine_close(&engine);
}

static void every_budget_gives_the_same_picture(void)
{
    static const struct memory_case items[] = {
        {TEXT_TO_IMAGE,  64, 128, 2, 7.0, NULL,    LOADED, "lake"},
        {IMAGE_TO_IMAGE, 72, 88,  1, 7.0, "sharp", LOADED, "lake"},
        {DECODE,         72, 88,  3, 0.0, NULL,    LOADED, NULL  },
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; ++i)
        walk_down(&items[i], DR_PRECISION_AUTO);
    walk_down(&items[0], DR_PRECISION_F32);
}

static void a_forecast_is_what_generate_reports(void)
{
    static const struct memory_case items[] = {
        {TEXT_TO_IMAGE,  64, 64,  1, 7.0, NULL,    LOADED, NULL},
        {TEXT_TO_IMAGE,  72, 88,  3, 1.0, "sharp", LOADED, NULL},
        {IMAGE_TO_IMAGE, 64, 128, 1, 7.0, NULL,    LOADED, NULL},
    };
    struct dr_engine *engine = open_engine();
    struct dr_forecast forecast;
    load(engine, "a.safetensors");
    for (size_t i = 0; i < sizeof items / sizeof *items; ++i) {
        struct dr_generate_options options = options_of(&items[i]);
        const uint64_t before = check_memory(engine);
        check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
        check_int(check_memory(engine), ==, before);
        check(forecast.fits);
        check_has(forecast.verdict, "resident");
        check_int(forecast.width, ==, items[i].width);
        check_int(forecast.component_count, ==, 3);
        check_int(run_generate(engine, &options).planned, ==,
                  forecast.resident_peak_bytes);

        options = options_of(&items[i]); /* another prompt: not cached */
        const uint64_t phased = forecast.phased_peak_bytes;
        dr_forecast_free(&forecast);
        limit_regions(engine, phased);
        check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
        check(forecast.fits);
        check_has(forecast.verdict, "one component");
        const struct answer answer = run_generate(engine, &options);
        check_int(answer.planned, ==, forecast.phased_peak_bytes);
        check_int(answer.peak, <=, phased);

        options = options_of(&items[i]);
        limit_regions(engine, forecast.phased_peak_bytes / 2);
        dr_forecast_free(&forecast);
        check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
        check(!forecast.fits);
        check_has(forecast.verdict, "needs");
        dr_forecast_free(&forecast);
        check_int(dr_engine_set_budget(engine, 0, &problem), ==, DR_OK);
        load(engine, "a.safetensors");
    }
    dr_engine_close(&engine);
}

static struct dr_memory memory_of(struct dr_engine *engine)
{
    struct dr_memory memory;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    struct dr_memory figures = memory; /* without the lists */
    figures.regions = NULL;
    figures.components = NULL;
    dr_memory_free(&memory);
    return figures;
}

static void a_budget_says_where_it_comes_from(void)
{
    struct dr_engine *engine = open_engine();
    const struct dr_memory given_none = memory_of(engine);
    check_int(given_none.budget_bytes, >, 0);
    check(strstr(given_none.budget_reason, "MemAvailable") ||
          strstr(given_none.budget_reason, "cgroup"));
    check_has(given_none.budget_reason, "90 % of ");
    load(engine, "a.safetensors");
    const uint64_t loaded = check_memory(engine);

    /* more than is held: nothing goes */
    check_int(dr_engine_set_budget(engine, budget_for(engine, loaded), &problem), ==,
              DR_OK);
    check_int(check_memory(engine), ==, loaded);
    check_has(memory_of(engine).budget_reason, "as given");
    /* less: what is loaded is let go, and comes back */
    check_int(dr_engine_set_budget(engine, budget_for(engine, loaded - 1), &problem),
              ==, DR_OK);
    check_int(check_memory(engine), ==, 0);
    /* less than the process itself: refused, with numbers; the old one stays */
    const struct dr_memory before = memory_of(engine);
    check_int(dr_engine_set_budget(engine, 1 << 20, &problem), ==, DR_OVER_BUDGET);
    check_has(problem.message, "1048576");
    check_int(memory_of(engine).budget_bytes, ==, before.budget_bytes);
    check_int(dr_engine_set_budget(engine, 0, &problem), ==, DR_OK);
    check_int(memory_of(engine).budget_bytes, ==, given_none.budget_bytes);
    check_str(memory_of(engine).budget_reason, given_none.budget_reason);
    picture(engine, "out.png");
    dr_engine_close(&engine);

    /* At the start: each job says what is enough for it. */
    engine = open_engine_with(1 << 20, DR_PRECISION_AUTO);
    load(engine, "a.safetensors");
    check_int(check_memory(engine), ==, 0);
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_OVER_BUDGET);
    check_has(problem.message, "the budget leaves 0 B (0 bytes) for weights");
    const char *const named = strstr(problem.message, "a budget of ");
    check(named != NULL);
    dr_engine_close(&engine);
    engine =
        open_engine_with(named ? strtoull(named + 12, NULL, 10) : 0, DR_PRECISION_AUTO);
    load(engine, "a.safetensors");
    picture(engine, "out.png");
    dr_engine_close(&engine);
}

/* Two checkpoints that fit one after the other, but not side by side; and one that does not fit
 * at all, whose components come one by one. */
static void models_are_switched_within_the_budget(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_load_result result;
    load(engine, "b.safetensors");
    picture(engine, "want.png");
    load(engine, "a.safetensors");
    const uint64_t loaded = check_memory(engine);
    limit_regions(engine, loaded + loaded / 2); /* one model, and a job's buffers */
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, &result,
                             &problem),
              ==, DR_OK);
    check_int(check_memory(engine), ==, loaded);
    dr_load_result_free(&result);
    picture(engine, "out.png");
    check(same_file("out.png", "want.png"));
    limit_regions(engine, loaded - 1);
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, &result,
                             &problem),
              ==, DR_OK);
    check_has(result.receipt.reason, "do not fit the budget together");
    check_int(check_memory(engine), ==, 0);
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "sharp.png");
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "none.png");
    check(!same_file("sharp.png", "none.png"));
    dr_load_result_free(&result);
    dr_engine_close(&engine);
}

/* ---- memory that is not ours ------------------------------------------------------------- */

/* A progressive JPEG of noise, whose decoder holds all coefficients. */
static void write_progressive(const char *path, int side)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *const file = fopen(path, "wb");
    unsigned char *const row = malloc(3 * (size_t)side);
    if (!file || !row) exit(1);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = jpeg.image_height = (JDIMENSION)side;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        for (int i = 0; i < 3 * side; ++i)
            row[i] = (unsigned char)((unsigned)i * 7U + jpeg.next_scanline * 13U);
        JSAMPROW rows[] = {row};
        (void)jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    (void)fclose(file);
}

struct heap_watch {
    const struct dr_engine *engine;
    int64_t most_in_unet;
};

static void watch_heap(void *cookie, const struct dr_progress *progress)
{
    struct heap_watch *const watch = cookie;
    struct kernel_view view;
    if (progress->stage != DR_STAGE_UNET) return;
    kernel_view_read(&view, &watch->engine->resources.ledger);
    check(view.regions_known);
    if ((int64_t)view.residual.heap_bytes > watch->most_in_unet)
        watch->most_in_unet = (int64_t)view.residual.heap_bytes;
}

/* What the library takes to decode a progressive JPEG is in no region, but in the budget: it is
 * asked for with the plan, and given back before the networks run. */
static void a_decoders_memory_counts(void)
{
    enum {
        SIDE = 4096,
        COEFFICIENT_BYTES = SIDE * SIDE * 3 /* 2 bytes, colour at half the side */
    };
    static const struct memory_case item = {IMAGE_TO_IMAGE, 64,     64,    1, 1.0,
                                            NULL,           LOADED, "lake"};
    struct dr_engine *engine = open_engine();
    struct heap_watch watch = {.engine = engine};
    char number[32];
    write_progressive(in_root("large.jpg"), SIDE);
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_of(&item);
    options.init = in_root("large.jpg");
    options.progress = watch_heap;
    options.progress_cookie = &watch;
    const struct answer free_run = run_generate(engine, &options);
    check_int(free_run.code, ==, DR_OK);
    check_int(free_run.planned, ==, free_run.peak);
    check_int(watch.most_in_unet, >, 0);
#ifndef __SANITIZE_ADDRESS__
    check_int(watch.most_in_unet, <, COEFFICIENT_BYTES / 2);
#endif
    limit_regions(engine, free_run.peak);
    check_int(run_generate(engine, &options).code, ==, DR_OVER_BUDGET);
    const char *const need = strstr(problem.message, "(");
    const uint64_t least = need ? strtoull(need + 1, NULL, 10) : 0;
    check_int(least, >, COEFFICIENT_BYTES);
    limit_regions(engine, least);
    check_int(run_generate(engine, &options).code, ==, DR_OK);
    limit_regions(engine, least - 1);
    check_int(run_generate(engine, &options).code, ==, DR_OVER_BUDGET);
    (void)snprintf(number, sizeof number, "(%llu bytes)", (unsigned long long)least);
    check_has(problem.message, number);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(planned_is_peak_in_f32);
    check_run(planned_is_peak_in_the_machines_own);
    check_run(saving_the_original_is_planned);
    check_run(every_budget_gives_the_same_picture);
    check_run(a_forecast_is_what_generate_reports);
    check_run(a_decoders_memory_counts);
    check_run(a_budget_says_where_it_comes_from);
    check_run(models_are_switched_within_the_budget);
    return check_done();
}
