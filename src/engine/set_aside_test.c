/* What a program sets aside of a budget for itself is not used by the engine: a job needs so much more budget, to the
 * byte, and a named budget has it in it. */
#include "engine/engine_fixture.h"

enum {
    ASIDE_BYTES = 5 * 1024 * 1024 + 123
};

static struct dr_generate_options job(void)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "lake";
    options.width = options.height = 64;
    options.steps = 1;
    options.seed = 11;
    options.output = in_root("out.png");
    return options;
}

static enum dr_code open_with(uint64_t budget_bytes, uint64_t aside_bytes,
                              struct dr_engine **engine)
{
    struct dr_engine_options options = dr_engine_options_default();
    options.settings_path = "";
    options.budget_bytes = budget_bytes;
    options.set_aside_bytes = aside_bytes;
    options.thread_count = 1;
    return dr_engine_open(engine, &options, &problem);
}

/* The lowest budget that a forecast names, and the most bytes of regions that it allows. */
static uint64_t least_budget(uint64_t aside_bytes, uint64_t *limit_bytes)
{
    struct dr_engine *engine;
    struct dr_forecast forecast;
    uint64_t bytes = 0;
    check_int(open_with(512 << 20, aside_bytes, &engine), ==, DR_OK);
    engine->baseline_bytes = 1 << 20; /* as in the program, in every process */
    check_int(dr_engine_set_budget(engine, 512 << 20, &problem), ==, DR_OK);
    load(engine, "a.safetensors");
    const struct dr_generate_options options = job();
    *limit_bytes = engine->resources.ledger.limit_bytes;
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    if (forecast.level_count > 0)
        bytes = forecast.levels[forecast.level_count - 1].budget_bytes;
    dr_forecast_free(&forecast);
    dr_engine_close(&engine);
    return bytes;
}

static void what_is_set_aside_comes_on_top(void)
{
    uint64_t limit, limit_aside;
    const uint64_t without = least_budget(0, &limit);
    const uint64_t with = least_budget(ASIDE_BYTES, &limit_aside);
    check_int(without, >, 0);
    check_int(with, ==, without + ASIDE_BYTES);
    check_int(limit_aside, ==, limit - ASIDE_BYTES);
}

static void a_budget_that_it_uses_up_is_refused(void)
{
    struct dr_engine *engine = NULL;
    check_int(open_with(100 << 20, 0, &engine), ==, DR_OK);
    dr_engine_close(&engine);
    check_int(open_with(100 << 20, 90 << 20, &engine), ==, DR_OVER_BUDGET);
    check_has(problem.message, "90.0 MiB for the program around it");
    check_int(open_with(100 << 20, UINT64_MAX - 4, &engine), ==, DR_BAD_INPUT);
    check(!engine);
}

int main(void)
{
    fixture_begin();
    check_run(what_is_set_aside_comes_on_top);
    check_run(a_budget_that_it_uses_up_is_refused);
    return check_done();
}
