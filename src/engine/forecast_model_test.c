/* What a job would take with another model than the loaded one: as an engine says that has that model, while the loaded one
 * and its memory stay. */
#include "engine/engine_fixture.h"

enum {
    REGION_BYTES = 64 << 20
};

static struct dr_generate_options job(void)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "lake";
    options.width = options.height = 64;
    options.steps = 2;
    options.output = in_root("out.png");
    return options;
}

static void compare(const struct dr_forecast *a, const struct dr_forecast *b)
{
    check_int(a->component_count, ==, b->component_count);
    check_int(a->unet_arena_bytes, ==, b->unet_arena_bytes);
    check_int(a->resident_peak_bytes, ==, b->resident_peak_bytes);
    check_int(a->phased_peak_bytes, ==, b->phased_peak_bytes);
    check_int(a->fits, ==, b->fits);
    check_str(a->verdict, b->verdict);
    check_int(a->level_count, ==, b->level_count);
    for (int i = 0; i < a->level_count && i < b->level_count; ++i)
        check_int(a->levels[i].peak_bytes, ==, b->levels[i].peak_bytes);
}

/* By an engine that has only this model. */
static struct dr_forecast alone(const char *model)
{
    const struct dr_generate_options options = job();
    struct dr_engine *engine = open_engine();
    struct dr_forecast forecast;
    limit_regions(engine, REGION_BYTES);
    check_int(dr_engine_load(engine, in_root(model), DR_LOAD_LAZY, NULL, &problem), ==,
              DR_OK);
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    dr_engine_close(&engine);
    return forecast;
}

static void another_model_is_forecast_as_after_a_switch(void)
{
    const struct dr_generate_options options = job();
    struct dr_forecast expected = alone("xl.safetensors"), found;
    struct dr_engine *engine = open_engine();
    limit_regions(engine, REGION_BYTES);
    load(engine, "a.safetensors");
    const uint64_t held = check_memory(engine);
    check_int(dr_engine_forecast_model(engine, in_root("xl.safetensors"), &options,
                                       &found, &problem),
              ==, DR_OK);
    compare(&found, &expected);
    check_int(check_memory(engine), ==, held);
    struct dr_status status;
    dr_engine_status(engine, &status);
    check_has(status.model, "a.safetensors");
    dr_forecast_free(&found);
    dr_forecast_free(&expected);
    dr_engine_close(&engine);
}

static void the_loaded_model_is_forecast_as_it_is(void)
{
    const struct dr_generate_options options = job();
    struct dr_forecast expected, found;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    check_int(dr_engine_forecast(engine, &options, &expected, &problem), ==, DR_OK);
    check_int(dr_engine_forecast_model(engine, in_root("a.safetensors"), &options,
                                       &found, &problem),
              ==, DR_OK);
    compare(&found, &expected);
    dr_forecast_free(&found);
    dr_forecast_free(&expected);
    dr_engine_close(&engine);
}

static void a_bad_file_changes_nothing(void)
{
    const struct dr_generate_options options = job();
    struct dr_forecast forecast;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const uint64_t held = check_memory(engine);
    check_int(dr_engine_forecast_model(engine, in_root("none.safetensors"), &options,
                                       &forecast, &problem),
              ==, DR_NOT_FOUND);
    check_int(forecast.level_count, ==, 0);
    check_int(check_memory(engine), ==, held);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    take_checkpoint("xl.safetensors", "sdxl", "--seed 3");
    check_run(another_model_is_forecast_as_after_a_switch);
    check_run(the_loaded_model_is_forecast_as_it_is);
    check_run(a_bad_file_changes_nothing);
    return check_done();
}
