/* LoRAs from words to latents: equal to diffusers' whole pipelines with PEFT and weights fused in float32
 * (tests/golden/adapters_steps_FAMILY.safetensors, made by tools/golden/adapter_pipeline.py). Ten guided steps with text
 * encoders and UNet changed, and the recipes of docs/USAGE.md for few steps with the names that such LoRAs have. */
#include "network.h"

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/golden_latent_fixture.h"

static const double bound =
    1e-3; /* relative L2; float32's own rounding makes some 1e-6 */

/* A recipe: what the command line would say. names: of the LoRA's modules; NULL: no LoRA. */
struct recipe {
    const char *name, *names, *sampler, *scheduler;
    int32_t steps;
    double cfg, eta;
};

static const struct recipe recipes_sd15[] = {
    {"ten",       "peft",  "euler",   "normal",   10, 5.0, -1},
    {"lcm",       "kohya", "lcm",     NULL,       4,  1.0, -1},
    {"hyper",     "kohya", "ddim",    "trailing", 4,  1.0, -1},
    {"hyper-one", "kohya", "tcd",     NULL,       4,  1.0, 1 },
    {"turbo",     NULL,    "euler-a", "trailing", 1,  1.0, -1},
    {NULL,        NULL,    NULL,      NULL,       0,  0,   0 }
};
static const struct recipe recipes_sdxl[] = {
    {"ten",       "peft",     "euler",   "normal",   10, 5.0, -1},
    {"lcm",       "kohya",    "lcm",     NULL,       4,  1.0, -1},
    {"hyper",     "kohya",    "ddim",    "trailing", 4,  1.0, -1},
    {"lightning", "original", "euler",   "trailing", 4,  1.0, -1},
    {"dmd2",      "peft",     "lcm",     NULL,       4,  1.0, -1},
    {"turbo",     NULL,       "euler-a", "trailing", 1,  1.0, -1},
    {NULL,        NULL,       NULL,      NULL,       0,  0,   0 }
};

static struct dr_generate_options options_of(const struct recipe *recipe)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = recipe->cfg > 1 ? "fog" : NULL;
    options.output = in_root("golden.safetensors");
    options.width = 128;
    options.height = 96;
    options.steps = recipe->steps;
    options.cfg = recipe->cfg;
    options.seed = 1234;
    options.rng = DR_RNG_CPU;
    options.sampler = recipe->sampler;
    options.scheduler = recipe->scheduler;
    options.sampling.eta = recipe->eta;
    return options;
}

static void run_recipe(struct dr_engine *engine, const struct golden *golden,
                       const char *family, const struct recipe *recipe)
{
    char path[1024];
    const char *const source = getenv("DARKROOM_SOURCE");
    const struct dr_generate_options plain = options_of(recipe);
    struct dr_generate_options options = plain;
    (void)snprintf(path, sizeof path,
                   "%s/tests/golden/adapters/%s-names-%s.safetensors",
                   source ? source : ".", family, recipe->names ? recipe->names : "");
    struct dr_lora lora = {.path = path, .unet_weight = 0.75, .text_weight = 0.75};
    options.loras = &lora;
    options.lora_count = recipe->names ? 1 : 0;
    check_real(golden_distance(engine, golden, recipe->name, options), <=, bound);
    if (!recipe->names) return;
    /* The bound tells them apart: no LoRA, another strength, the text encoders left as they are. */
    check_real(golden_distance(engine, golden, recipe->name, plain), >, bound);
    lora.unet_weight = 0.7;
    check_real(golden_distance(engine, golden, recipe->name, options), >, bound);
    lora = (struct dr_lora){.path = path, .unet_weight = 0.75, .text_weight = 0};
    if (strcmp(recipe->names, "peft") == 0)
        check_real(golden_distance(engine, golden, recipe->name, options), >, bound);
}

static void run_family(const char *family, const struct recipe *recipes)
{
    struct golden golden;
    char name[64];
    struct dr_engine *engine = open_engine_with(0, DR_PRECISION_F32);
    (void)snprintf(name, sizeof name, "adapters_steps_%s", family);
    golden_open(&golden, name);
    (void)snprintf(name, sizeof name, "%s.safetensors", family);
    golden_check_checkpoint(&golden, in_root(name));
    load(engine, name);
    const uint64_t before = check_memory(engine);
    for (; recipes->name; ++recipes)
        run_recipe(engine, &golden, family, recipes);
    prompt_cache_close(&engine->model.pipeline->prompts);
    check_int(check_memory(engine), ==, before);
    golden_close(&golden);
    dr_engine_close(&engine);
}

static void sd15_ends_where_peft_does(void)
{
    run_family("sd15", recipes_sd15);
}

static void sdxl_ends_where_peft_does(void)
{
    run_family("sdxl", recipes_sdxl);
}

int main(void)
{
    fixture_folder();
    make_checkpoint("sd15.safetensors",
                    "--family sd15 --size tiny --dtype f32 --seed 0");
    make_checkpoint("sdxl.safetensors",
                    "--family sdxl --size tiny --dtype f32 --seed 0");
    check_run(sd15_ends_where_peft_does);
    check_run(sdxl_ends_where_peft_does);
    return check_done();
}
