/* A budget that one process names is enough in another, though no two hold the same when they start;
 * and what a refusal says is enough, is. Processes are engines here whose figure of what was there when
 * they opened is set by hand; tests/cli/budget_test.py does it with real ones. */
#include "engine/engine_fixture.h"

struct outcome {
    enum dr_code code;
    uint64_t planned, peak;
};

static struct dr_generate_options job(void)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "lake";
    options.width = 64;
    options.height = 128;
    options.cfg = 1.0;
    options.steps = 2;
    options.seed = 11;
    options.output = in_root("out.png");
    return options;
}

/* An engine as in a process that held so much when it opened, with nothing loaded. */
static struct dr_engine *open_as(size_t baseline_bytes, uint64_t budget_bytes)
{
    struct dr_engine *const engine = open_engine();
    engine->baseline_bytes = baseline_bytes;
    check_int(dr_engine_set_budget(engine, budget_bytes, &problem), ==, DR_OK);
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    return engine;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct outcome run_as(size_t baseline_bytes, uint64_t budget_bytes)
{
    const struct dr_generate_options options = job();
    struct dr_engine *engine = open_as(baseline_bytes, budget_bytes);
    struct dr_generate_result result;
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    const struct outcome outcome = {code, result.planned_private_bytes,
                                    result.peak_private_bytes};
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
    return outcome;
}

/* The budget that the refusal in `problem` says is enough. */
static uint64_t enough_bytes(void)
{
    static const char words[] = "a budget of ";
    const char *const at = strstr(problem.message, words);
    check_has(problem.message, " bytes is sufficient");
    return at ? strtoull(at + sizeof words - 1, NULL, 10) : 0;
}

/* Each level that is named in one process, in another that holds up to `most_more` bytes more when
 * it starts. */
static void check_named(size_t baseline, size_t most_more)
{
    const struct dr_generate_options options = job();
    const size_t more[] = {0, most_more};
    struct dr_forecast forecast;
    struct dr_engine *engine = open_as(baseline, 0);
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    dr_engine_close(&engine);
    check_int(forecast.level_count, >, 1);
    for (int i = 0; i < forecast.level_count; ++i) {
        const struct dr_forecast_level *const level = &forecast.levels[i];
        for (size_t k = 0; k < sizeof more / sizeof *more; ++k) {
            const struct outcome answer =
                run_as(baseline + more[k], level->budget_bytes);
            check_int(answer.code, ==, DR_OK);
            check_int(answer.planned, ==, answer.peak);
            check_int(answer.peak, <=, level->peak_bytes + ENGINE_PROCESS_SLACK_BYTES);
            check_int(answer.peak + larger(baseline + more[k], ENGINE_PROCESS_BYTES),
                      <=, level->budget_bytes - ENGINE_RESIDUAL_BYTES);
        }
    }
    /* A refusal names the lowest of them. */
    const uint64_t least = forecast.levels[forecast.level_count - 1].budget_bytes;
    check_int(run_as(baseline, least - (1 << 20)).code, ==, DR_OVER_BUDGET);
    check_int(enough_bytes(), ==, least);
    dr_forecast_free(&forecast);
}

static void a_named_budget_holds_in_another_process(void)
{
    const size_t mebibyte = 1 << 20;
    const size_t held = ENGINE_PROCESS_BYTES - ENGINE_PROCESS_SLACK_BYTES;
    check_named(mebibyte, ENGINE_PROCESS_BYTES - mebibyte);
    check_named(held, ENGINE_PROCESS_SLACK_BYTES);
    check_named(held + 4096, ENGINE_PROCESS_SLACK_BYTES);
    check_named(64 * mebibyte, ENGINE_PROCESS_SLACK_BYTES);

    /* Where a process holds as little as the program does, it is exact: one byte less is refused. */
    check_int(run_as(mebibyte, 50 * mebibyte).code, ==, DR_OVER_BUDGET);
    const uint64_t least = enough_bytes();
    check_int(run_as(mebibyte, least - 1).code, ==, DR_OVER_BUDGET);
    check_int(enough_bytes(), ==, least);
    check_int(run_as(2 * mebibyte, least - 1).code, ==, DR_OVER_BUDGET);
    check_int(enough_bytes(), ==, least);
    check_int(run_as(2 * mebibyte, least).code, ==, DR_OK);
    /* The control: beyond the slack that is stated it does not hold. */
    check_int(run_as(ENGINE_PROCESS_BYTES + 4096, least).code, ==, DR_OVER_BUDGET);
}

int main(void)
{
    fixture_folder();
    take_checkpoint("a.safetensors", "sd15", "--seed 1");
    check_run(a_named_budget_holds_in_another_process);
    return check_done();
}
