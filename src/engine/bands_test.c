/* Under every budget that a forecast names a job goes the way that is named, takes at most what is
 * named, does the work that is named, and makes the same bytes; one byte less is another way, or is
 * refused before anything is read. */
#include "engine/engine_fixture.h"

#include <math.h>

#include "base/fault_fixture.h"

enum {
    LEAST_LEVELS = 3
};

static struct dr_generate_options options_of(bool from_picture)
{
    static char output[600], init[600]; /* in_root's are soon others' */
    struct dr_generate_options options = dr_generate_options_default();
    (void)snprintf(output, sizeof output, "%s", in_root("out.png"));
    (void)snprintf(init, sizeof init, "%s", in_root("init.png"));
    options.prompt = "a lake";
    options.width = from_picture ? 136 : 128;
    options.height = from_picture ? 128 : 192;
    options.steps = 2;
    options.strength = 0.6;
    options.seed = 5;
    options.cfg = 4.0;
    options.output = output;
    if (from_picture) {
        options.init = init;
        options.vae = "sharp";
    }
    return options;
}

static struct dr_generate_result generate(struct dr_engine *engine,
                                          const struct dr_generate_options *options)
{
    struct dr_generate_result result;
    const enum dr_code code = dr_engine_generate(engine, options, &result, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(code, ==, DR_OK);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    return result;
}

static void forecast_of(struct dr_engine *engine,
                        const struct dr_generate_options *options,
                        struct dr_forecast *forecast)
{
    check_int(dr_engine_forecast(engine, options, forecast, &problem), ==, DR_OK);
}

static bool is_banded(const struct dr_forecast_level *level)
{
    return strstr(level->manner, "computed in bands") != NULL;
}

static void check_levels(const struct dr_forecast *forecast)
{
    check_int(forecast->level_count, >=, LEAST_LEVELS);
    check_str(forecast->levels[0].manner, "all components resident");
    check(forecast->levels[0].work == 1.0);
    check(is_banded(&forecast->levels[forecast->level_count - 1]));
    for (int i = 1; i < forecast->level_count; ++i) {
        const struct dr_forecast_level *const level = &forecast->levels[i];
        check_int(level->peak_bytes, <, level[-1].peak_bytes);
        check_int(level->budget_bytes, <, level[-1].budget_bytes);
        check(level->work >= 1.0);
        check(is_banded(level) || level->work == 1.0);
    }
}

/* Nothing is loaded: the forecast was made so too. */
static void begin_level(struct dr_engine *engine, uint64_t budget)
{
    /* As in a process that just began: with what earlier cases left of it, budgets would be named with
     * slack (docs/MEMORY.md), and be exact no more. */
    engine->baseline_bytes = 0;
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    check_int(dr_engine_set_budget(engine, budget, &problem), ==, DR_OK);
}

/* Of all networks but the text encoders, as a forecast counts it. */
static double flop_of(const struct dr_generate_result *result)
{
    double flop = 0;
    for (int32_t i = 0; result->profile && i < result->profile->network_count; ++i)
        if (strncmp(result->profile->networks[i].name, "text", 4) != 0)
            flop += result->profile->networks[i].flop;
    return flop;
}

static void try_levels(bool from_picture)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_options options = options_of(from_picture);
    options.profile = 1;
    struct dr_forecast forecast;
    double whole = 0;
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    struct dr_generate_result result = generate(engine, &options);
    dr_generate_result_free(&result);
    run_command("cp '%s' '%s'", in_root("out.png"), in_root("want.png"));
    begin_level(engine, 0);
    forecast_of(engine, &options, &forecast);
    check_levels(&forecast);
    for (int i = 0; i < forecast.level_count; ++i) {
        const struct dr_forecast_level *const level = &forecast.levels[i];
        begin_level(engine, level->budget_bytes);
        (void)unlink(in_root("out.png"));
        result = generate(engine, &options);
        if (!is_banded(level)) /* else what is kept whole may take a little less */
            check_int(result.planned_private_bytes, ==, level->peak_bytes);
        check_int(result.planned_private_bytes, <=, level->peak_bytes);
        check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
        check((strstr(result.receipt.reason, "computed in bands") != NULL) ==
              is_banded(level));
        check(same_file("out.png", "want.png"));
        if (i == 0) whole = flop_of(&result);
        if (!from_picture) /* which leaves out steps */
            check(fabs(flop_of(&result) / whole - level->work) < 1e-3);
        fprintf(stderr, "     %8.1f MiB  %4.2f  %s\n",
                (double)level->peak_bytes / (1 << 20), level->work, level->manner);
        dr_generate_result_free(&result);
        if (i + 1 == forecast.level_count) continue;
        begin_level(engine, level->budget_bytes - 1);
        result = generate(engine, &options); /* the next level's, with more room */
        check_int(result.planned_private_bytes, <, level->peak_bytes);
        check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
        if (!from_picture) check(flop_of(&result) / whole < level[1].work + 1e-3);
        check(same_file("out.png", "want.png"));
        dr_generate_result_free(&result);
    }
    const uint64_t least = forecast.levels[forecast.level_count - 1].budget_bytes;
    dr_forecast_free(&forecast);
    begin_level(engine, least - 1);
    const uint64_t before = check_memory(engine);
    forecast_of(engine, &options, &forecast);
    check(!forecast.fits);
    dr_forecast_free(&forecast);
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_OVER_BUDGET);
    check_has(problem.message, "VAE activations in bands");
    check_int(check_memory(engine), ==, before);
    dr_engine_close(&engine);
}

static void every_level_gives_the_same_picture(void)
{
    try_levels(false);
}

static void so_with_a_picture_to_start_from(void)
{
    try_levels(true);
}

/* The control: a mistake in a band is seen in the picture. */
static void a_wrong_band_is_seen(void)
{
    struct dr_engine *engine = open_engine();
    const struct dr_generate_options options = options_of(false);
    struct dr_forecast forecast;
    load(engine, "a.safetensors");
    struct dr_generate_result result = generate(engine, &options);
    dr_generate_result_free(&result);
    run_command("cp '%s' '%s'", in_root("out.png"), in_root("want.png"));
    begin_level(engine, 0);
    forecast_of(engine, &options, &forecast);
    begin_level(engine, forecast.levels[forecast.level_count - 1].budget_bytes);
    dr_forecast_free(&forecast);
    fault_sabotage(SABOTAGE_UNMOVED_BAND);
    result = generate(engine, &options);
    fault_sabotage(SABOTAGE_NONE);
    dr_generate_result_free(&result);
    check(!same_file("out.png", "want.png"));
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_size = "tiny";
    fixture_begin();
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "init.png");
    dr_engine_close(&engine);
    check_run(every_level_gives_the_same_picture);
    check_run(so_with_a_picture_to_start_from);
    check_run_with_faults(a_wrong_band_is_seen);
    return check_done();
}
