/* The networks and the samplers together: ten guided steps of every sampler against diffusers'
 * (tests/golden/pipeline.safetensors, made by tools/golden/pipeline.py). The noise, too, is our
 * own generator's, drawn on by the samplers that draw. */
#include "network.h"

#include "sampling/guidance.h"

enum {
    SIDE = 16,
    CELLS = SIDE * SIDE,
    COUNT = 4 * CELLS,
    STEPS = 10,
    SEED = 1234
};
static const double bound = 1e-3; /* relative L2 */
static const float guidance_scale = 7.0F;

static struct golden golden;
static struct checkpoint checkpoint;
static struct unet_spec *unet;
static struct unet_plan plan;
static struct region weights, arena;

static struct sampler_options sampler_of(enum sampler_kind kind)
{
    return (struct sampler_options){.kind = kind,
                                    .schedule = sampler_default_schedule(kind),
                                    .prediction = PREDICTION_EPSILON,
                                    .steps = STEPS,
                                    .strength = 1.0F,
                                    .tree_kind = RANDOM_CPU,
                                    .tree_seed = SEED,
                                    .count = COUNT};
}

struct counted {
    int32_t calls, total;
};

static void count_calls(void *cookie, int32_t done, int32_t total)
{
    struct counted *const counted = cookie;
    check_int(done, ==, counted->calls);
    ++counted->calls;
    counted->total = total;
}

/* The whole run of one sampler, from its seed; the result goes to latent. */
static void run_sampler(enum sampler_kind kind, bool guided, float cfg, float *latent)
{
    struct dr_error err = {0};
    const struct sampler_options options = sampler_of(kind);
    struct random_source random;
    struct sampler sampler;
    float prediction[COUNT];
    size_t bytes = 0;
    network_require(sampler_bytes(&options, &bytes, &err) == DR_OK, "%s", err.message);
    void *const memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    random_init(&random, RANDOM_CPU, SEED);
    network_require(memory && sampler_init(&sampler, &options, memory, &random, &err) ==
                                  DR_OK,
                    "%s", err.message);
    random_normal(&random, sampler.latent, COUNT);
    sampler_start(&sampler, NULL);
    struct counted counted = {0};
    const struct guidance_batch batch = {&plan, 0, guided ? 2 : 1};
    struct guidance guidance = {.batches = &batch,
                                .batch_count = 1,
                                .context_count = batch.count,
                                .guided = guided,
                                .cfg = cfg,
                                .prediction = prediction,
                                .report = count_calls,
                                .cookie = &counted};
    network_require(guidance_run(&guidance, &sampler, COUNT, &err) == DR_OK, "%s",
                    err.message);
    check_int(counted.calls, ==, counted.total + 1);
    check_int(guidance.call_count, ==, counted.total);
    check_int(counted.total, ==,
              sampler_calls_per_step(kind) == 2 ? 2 * STEPS - 1
              : kind == SAMPLER_PLMS            ? STEPS + 1
                                                : STEPS);
    memcpy(latent, sampler.latent, sizeof(float) * COUNT);
    free(memory);
}

static void the_noise_is_pytorchs(void)
{
    struct random_source random;
    float noise[COUNT];
    size_t count;
    float *const expected = golden_read(&golden, NULL, "noise", &count);
    network_require(count == COUNT, "noise of %zu values", count);
    random_init(&random, RANDOM_CPU, SEED);
    random_normal(&random, noise, COUNT);
    for (size_t i = 0; i < COUNT; ++i)
        check_real(fabs((double)noise[i] - (double)expected[i]), <=, 1e-6);
    free(expected);
}

static void every_sampler_ends_where_diffusers_does(void)
{
    golden_fill(&golden, NULL, "context", plan.plan, plan.context);
    for (int kind = 0; kind < SAMPLER_COUNT; ++kind) {
        float latent[COUNT];
        char name[64];
        size_t count;
        (void)snprintf(name, sizeof name, "latent.%s",
                       sampler_name((enum sampler_kind)kind));
        float *const expected = golden_read(&golden, NULL, name, &count);
        network_require(count == COUNT, "%s has %zu values", name, count);
        run_sampler((enum sampler_kind)kind, true, guidance_scale, latent);
        const double error = network_relative_error(latent, expected, COUNT);
        fprintf(stderr, "     %s: relative L2 %.3g\n", name, error);
        check_real(error, <=, bound);
        free(expected);
    }
}

/* The negative control: a slightly other guidance, or the prompts the wrong way round, is
 * found out by the same bound. */
static void the_bound_tells_guidance_apart(void)
{
    float latent[COUNT];
    size_t count;
    float *const expected = golden_read(&golden, NULL, "latent.ddim", &count);
    golden_fill(&golden, NULL, "context", plan.plan, plan.context);
    run_sampler(SAMPLER_DDIM, true, guidance_scale + 0.5F, latent);
    check_real(network_relative_error(latent, expected, COUNT), >, bound);
    float *const context = network_read(plan.plan, plan.context);
    const size_t row = network_count(plan_shape(plan.plan, plan.context)) / 2;
    plan_write(plan.plan, plan.context, 0, row, context + row);
    plan_write(plan.plan, plan.context, row, row, context);
    free(context);
    run_sampler(SAMPLER_DDIM, true, guidance_scale, latent);
    check_real(network_relative_error(latent, expected, COUNT), >, bound);
    free(expected);
}

static void a_cancel_names_the_step(void)
{
    struct dr_error err = {0};
    const struct sampler_options options = sampler_of(SAMPLER_EULER);
    struct sampler sampler;
    size_t bytes = 0;
    const struct cancel cancel = {.requested = true};
    float prediction[COUNT];
    network_require(sampler_bytes(&options, &bytes, &err) == DR_OK, "%s", err.message);
    void *const memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    network_require(memory &&
                        sampler_init(&sampler, &options, memory, NULL, &err) == DR_OK,
                    "%s", err.message);
    memset(sampler.latent, 0, sizeof(float) * COUNT);
    sampler_start(&sampler, NULL);
    const struct guidance_batch batch = {&plan, 0, 2};
    struct guidance guidance = {.batches = &batch,
                                .batch_count = 1,
                                .context_count = 2,
                                .guided = true,
                                .cfg = guidance_scale,
                                .prediction = prediction,
                                .cancel = &cancel};
    check_int(guidance_run(&guidance, &sampler, COUNT, &err), ==, DR_CANCELLED);
    check_has(err.message, "step 1 of 10");
    check_int(guidance.call_count, ==, 0);
    free(memory);
}

static void open_unet(const char *path)
{
    struct dr_error err = {0};
    const struct unet_shape shape = {
        .n = 2, .height = SIDE, .width = SIDE, .tokens = 77};
    network_open(&checkpoint, path);
    network_require(unet_spec_create(&unet, &checkpoint.components[ROLE_UNET],
                                     checkpoint.family, DTYPE_F32, &err) == DR_OK &&
                        unet_plan_create(&plan, unet, &shape, false, &err) == DR_OK,
                    "%s", err.message);
    network_load(unet_component(unet), &weights);
    network_arena(plan.plan, &weights, &arena);
}

int main(void)
{
    network_start();
    const char *const path =
        network_checkpoint("--family sd15 --size tiny --dtype f32 --seed 0");
    golden_open(&golden, "pipeline");
    golden_check_checkpoint(&golden, path);
    open_unet(path);
    check_run(the_noise_is_pytorchs);
    check_run(every_sampler_ends_where_diffusers_does);
    check_run(the_bound_tells_guidance_apart);
    check_run(a_cancel_names_the_step);
    region_close(&arena);
    region_close(&weights);
    unet_plan_destroy(&plan);
    unet_spec_destroy(&unet);
    checkpoint_close(&checkpoint);
    golden_close(&golden);
    network_finish();
    return check_done();
}
