/* A model with a second UNet and a second VAE, both from another checkpoint: found by kind and index,
 * loaded, measured, listed, released and forecast like every slot, and left alone by what is about the
 * first ones. */
#include "engine/engine_fixture.h"

#include "pipeline/pipeline.h"

static const struct {
    const char *name, *file;
    enum dr_component_kind kind;
    int32_t kind_idx;
} expected[] = {
    {"text",  "a.safetensors", DR_COMPONENT_TEXT, 0},
    {"unet",  "a.safetensors", DR_COMPONENT_UNET, 0},
    {"vae",   "a.safetensors", DR_COMPONENT_VAE,  0},
    {"unet2", "b.safetensors", DR_COMPONENT_UNET, 1},
    {"vae2",  "b.safetensors", DR_COMPONENT_VAE,  1},
};
enum {
    EXPECTED_COUNT = sizeof expected / sizeof *expected
};

/* ---- the model ------------------------------------------------------------------------------ */

static struct slot *slot_of(const struct dr_engine *engine, int idx)
{
    return pipeline_slot(engine->model.pipeline, expected[idx].kind,
                         expected[idx].kind_idx);
}

static void add_from(struct pipeline *pipeline, const struct pipeline *guest, int idx)
{
    struct slot *const slot =
        pipeline_add_slot(pipeline, expected[idx].kind, expected[idx].name);
    slot->base = pipeline_slot(guest, expected[idx].kind, 0)->base;
    slot->base->name = slot->name;
}

/* The model's own slots are resident, the two of `guest` are not. guest outlives the engine. */
static struct dr_engine *open_with_guest(struct pipeline **guest)
{
    struct dr_engine *engine = open_engine();
    const struct pipeline_options options = {.dtype = engine->resources.dtype};
    if (pipeline_open(guest, in_root("b.safetensors"), &options, &problem)) exit(1);
    load(engine, "a.safetensors");
    struct pipeline *const pipeline = engine->model.pipeline;
    check(!pipeline_slot(pipeline, DR_COMPONENT_UNET, 1));
    for (int i = 3; i < EXPECTED_COUNT; ++i)
        add_from(pipeline, *guest, i);
    return engine;
}

static uint64_t bytes_of(const struct slot *slot)
{
    return region_private_bytes(&slot->weights);
}

static uint64_t region_bytes(const struct dr_memory *memory, const char *component)
{
    for (size_t i = 0; i < memory->region_count; ++i)
        if (strcmp(memory->regions[i].component, component) == 0)
            return memory->regions[i].bytes;
    return 0;
}

/* All slots are listed with their names and files; those in the mask hold their region. */
static void check_listed(struct dr_engine *engine, unsigned resident)
{
    struct dr_memory memory;
    uint64_t sum = 0;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    check_int(memory.component_count, ==, EXPECTED_COUNT);
    for (int i = 0; i < EXPECTED_COUNT && i < memory.component_count; ++i) {
        const struct dr_component_memory *const part = &memory.components[i];
        const bool is_resident = resident & 1U << i;
        check_int(part->kind, ==, expected[i].kind);
        check_str(part->slot, expected[i].name);
        check_str(part->name, expected[i].name);
        check_has(part->path, expected[i].file);
        check_int(part->state, ==, is_resident ? DR_SLOT_RESIDENT : DR_SLOT_RELEASED);
        check_int(part->private_bytes, ==, region_bytes(&memory, part->name));
        check_int(part->private_bytes > 0, ==, is_resident);
        sum += part->private_bytes;
    }
    check_int(sum + region_bytes(&memory, "prompts"), ==, memory.ledger.private_bytes);
    dr_memory_free(&memory);
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void slots_are_found_by_kind_and_index(void)
{
    struct pipeline *guest;
    struct dr_engine *engine = open_with_guest(&guest);
    const struct pipeline *const pipeline = engine->model.pipeline;
    check_int(pipeline->slot_count, ==, EXPECTED_COUNT);
    for (int i = 0; i < EXPECTED_COUNT; ++i) {
        check(slot_of(engine, i) == &pipeline->slots[i]);
        check_int(pipeline_slot_bit(pipeline, &pipeline->slots[i]), ==, 1U << i);
        check_str(pipeline->slots[i].name, expected[i].name);
        check(strstr(expected[i].name, dr_component_kind_name(expected[i].kind)) ==
              expected[i].name);
    }
    check(pipeline->vae_slot == &pipeline->slots[2]);
    check(!pipeline_slot(pipeline, DR_COMPONENT_UNET, 2));
    check(!pipeline_slot(pipeline, DR_COMPONENT_TEXT, 1));
    dr_engine_close(&engine);
    pipeline_close(&guest);
}

static void both_of_a_kind_are_loaded_and_measured(void)
{
    struct pipeline *guest;
    struct dr_engine *engine = open_with_guest(&guest);
    struct pipeline *const pipeline = engine->model.pipeline;
    const uint64_t before = check_memory(engine);
    const struct pipeline_bytes planned = pipeline_measure(pipeline);
    check_listed(engine, 0x7);
    check_int(planned.resident, ==, before);
    check_int(planned.missing, ==,
              bytes_of(slot_of(engine, 1)) + bytes_of(slot_of(engine, 2)));

    load(engine, "a.safetensors"); /* the rest of it */
    check_listed(engine, 0x1f);
    check_int(check_memory(engine), ==, before + planned.missing);
    check_int(pipeline_measure(pipeline).resident, ==, before + planned.missing);
    check_int(pipeline_measure(pipeline).missing, ==, 0);
    check(memcmp(slot_of(engine, 1)->weights.data, slot_of(engine, 3)->weights.data,
                 slot_of(engine, 1)->weights.bytes) != 0);
    dr_engine_close(&engine);
    pipeline_close(&guest);
}

static void each_of_a_kind_is_released_alone(void)
{
    struct pipeline *guest;
    struct dr_engine *engine = open_with_guest(&guest);
    struct pipeline *const pipeline = engine->model.pipeline;
    load(engine, "a.safetensors");
    const uint64_t whole = check_memory(engine);
    const uint64_t vae = bytes_of(slot_of(engine, 2));
    check_int(dr_engine_unload(engine, DR_UNLOAD_VAE, NULL, &problem), ==, DR_OK);
    check_listed(engine, 0x1b);
    check_int(check_memory(engine), ==, whole - vae);

    const unsigned resident = pipeline_resident_slots(pipeline);
    check_int(resident, ==, 0x1b);
    check_int(pipeline_release_weights(pipeline), ==, whole - vae);
    check_listed(engine, 0);
    check_int(pipeline_load_again(pipeline, 1U << 3, &engine->resources.ledger,
                                  &problem),
              ==, DR_OK);
    check_listed(engine, 1U << 3);
    check_int(pipeline_load_again(pipeline, resident, &engine->resources.ledger,
                                  &problem),
              ==, DR_OK);
    check_listed(engine, resident);

    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    check_listed(engine, 0);
    check_int(check_memory(engine), ==, 0);
    dr_engine_close(&engine);
    pipeline_close(&guest);
}

static void a_choice_of_vae_is_about_the_first(void)
{
    struct pipeline *guest;
    struct dr_engine *engine = open_with_guest(&guest);
    struct dr_memory memory;
    load(engine, "a.safetensors");
    const uint64_t whole = check_memory(engine);
    check_int(choose(engine, "sharp"), ==, DR_OK);
    check_int(check_memory(engine), ==, whole);
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    check_str(memory.components[2].slot, "vae");
    check_str(memory.components[2].name, "vae (override)");
    check_str(memory.components[4].slot, "vae2");
    check_str(memory.components[4].name, "vae2");
    check_int(memory.components[4].state, ==, DR_SLOT_RESIDENT);
    dr_memory_free(&memory);
    check_int(choose(engine, "none"), ==, DR_OK);
    check_listed(engine, 0x1f);
    dr_engine_close(&engine);
    pipeline_close(&guest);
}

/* A job uses the first of each kind. Where there is room the second ones stay, else they go first. */
static void a_job_plans_with_both_of_a_kind(void)
{
    struct pipeline *guest;
    struct dr_engine *engine = open_with_guest(&guest);
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_forecast forecast;
    picture(engine, "want.png");
    load(engine, "a.safetensors");
    picture(engine, "resident.png");
    check(same_file("want.png", "resident.png"));
    check_listed(engine, 0x1f);

    options.prompt = "a red circle"; /* as picture */
    options.negative = "fog";
    options.width = options.height = 64;
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_int(forecast.component_count, ==, EXPECTED_COUNT);
    for (int i = 0; i < EXPECTED_COUNT && i < forecast.component_count; ++i) {
        check_int(forecast.components[i].kind, ==, expected[i].kind);
        check_str(forecast.components[i].name, expected[i].name);
        check_int(forecast.components[i].weights_bytes, ==,
                  bytes_of(slot_of(engine, i)));
    }
    check_int(forecast.resident_peak_bytes, >, check_memory(engine));
    limit_regions(engine, forecast.resident_peak_bytes - 1);
    dr_forecast_free(&forecast);
    check_listed(engine, 0x1f);
    picture(engine, "lean.png");
    check(same_file("want.png", "lean.png"));
    check_listed(engine, 0x6); /* the prompts are known: no text encoder was needed */
    dr_engine_close(&engine);
    pipeline_close(&guest);
}

int main(void)
{
    fixture_begin();
    check_run(slots_are_found_by_kind_and_index);
    check_run(both_of_a_kind_are_loaded_and_measured);
    check_run(each_of_a_kind_is_released_alone);
    check_run(a_choice_of_vae_is_about_the_first);
    check_run(a_job_plans_with_both_of_a_kind);
    return check_done();
}
