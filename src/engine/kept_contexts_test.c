/* The UNet's keys and values of the prompts are kept where the budget has room for them, and made in each step where
 * it has not: planned, never more than the limit, the same bytes. */
#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "job/network_plans.h"
#include "job/request.h"
#include "sampling/latent.h"

enum {
    SIDE = 64,
    BATCH = 2,
    LATENT_COUNT = BATCH * LATENT_CHANNELS * (SIDE / 8) * (SIDE / 8)
};

/* What came of a job. */
struct outcome {
    enum dr_code code;
    size_t kept_bytes, planned_bytes;
    float latents[LATENT_COUNT];
};

static void read_latents(float *latents)
{
    struct latent_head head = {0};
    const char *const path = in_root("latents.safetensors");
    check_int(latent_file_head(path, &head, &problem), ==, DR_OK);
    check_int(head.n, ==, BATCH);
    check_int(latent_file_read(path, &head, latents, &problem), ==, DR_OK);
}

static void run(struct dr_engine *engine, double cfg, struct outcome *outcome)
{
    struct ledger *const ledger = &engine->resources.ledger;
    struct dr_image_info images[BATCH] = {{.seed = 7}, {.seed = 8}};
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root("latents.safetensors");
    options.width = options.height = SIDE;
    options.steps = 3;
    options.cfg = cfg;
    options.batch = BATCH;
    struct job job = {.context = engine_job_context(engine), .images = images};
    check_int(generate_request(&engine->model, &options, &job.request, &problem), ==,
              DR_OK);
    outcome->code = job_prepare(&job, &problem);
    if (outcome->code == DR_OK) outcome->code = job_admit(&job, &problem);
    ledger_reset_peak(ledger);
    if (outcome->code == DR_OK) outcome->code = job_run(&job, &problem);
    outcome->kept_bytes = network_plans_context_bytes(&job);
    outcome->planned_bytes = job.planned_bytes;
    if (outcome->code == DR_OK) {
        check_int(job.planned_bytes, ==, ledger->peak_private_bytes);
        read_latents(outcome->latents);
    }
    job_request_finish(&job.request);
    job_finish(&job);
    (void)check_memory(engine);
}

static void check_budgets(const char *model, double cfg)
{
    struct dr_engine *engine = open_engine();
    struct outcome ample, exact, tight;
    load(engine, model);
    run(engine, cfg, &ample); /* encodes the prompts */
    run(engine, cfg, &ample);
    check_int(ample.code, ==, DR_OK);
    check_int(ample.kept_bytes, >, 0);
    limit_regions(engine, ample.planned_bytes);
    run(engine, cfg, &exact);
    check_int(exact.code, ==, DR_OK);
    check_int(exact.kept_bytes, ==, ample.kept_bytes);
    check_int(exact.planned_bytes, ==, ample.planned_bytes);
    limit_regions(engine, ample.planned_bytes - 1);
    run(engine, cfg, &tight);
    check_int(tight.code, ==, DR_OK);
    check_int(tight.kept_bytes, ==, 0);
    check_int(tight.planned_bytes, <, ample.planned_bytes);
    check_bytes(exact.latents, ample.latents, sizeof ample.latents);
    check_bytes(tight.latents, ample.latents, sizeof ample.latents);
    dr_engine_close(&engine);
}

static void guided(void)
{
    check_budgets("a.safetensors", 7.0);
}

static void unguided(void)
{
    check_budgets("a.safetensors", 1.0);
}

int main(void)
{
    fixture_begin();
    check_run(guided);
    check_run(unguided);
    return check_done();
}
