/* Previews: the latents after chosen steps are those of the run, and change neither its picture nor its
 * memory. What they are for each sampler: sampler_test.c. */
#include "engine/engine_fixture.h"

#include <math.h>

#include "sampling/latent.h"

enum {
    PREVIEW_FLOATS = 4 * 8 * 8,
    PREVIEW_STEPS = 6,
    PREVIEW_BATCH = 2
};

static struct dr_generate_options options_for(const char *name)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = PREVIEW_STEPS;
    options.seed = 7;
    options.batch = PREVIEW_BATCH;
    return options;
}

struct previews {
    struct dr_job *cancel; /* at the first; NULL: none */
    int32_t every, count;
    float last[PREVIEW_BATCH][PREVIEW_FLOATS]; /* of each picture */
    double moved;                              /* from the first preview to the last */
};

static double distance(const float *a, const float *b)
{
    double difference = 0.0, norm = 0.0;
    for (int i = 0; i < PREVIEW_FLOATS; ++i) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / norm);
}

static void take_preview(void *cookie, const struct dr_preview *preview)
{
    struct previews *const previews = cookie;
    const int32_t each = PREVIEW_STEPS / previews->every;
    float *const last = previews->last[preview->image];
    check_int(preview->image, ==, previews->count / each);
    check_int(preview->step, ==, previews->every * (previews->count % each + 1));
    check_int(preview->step_count, ==, PREVIEW_STEPS);
    check_int(preview->image_count, ==, PREVIEW_BATCH);
    check_int(preview->height, ==, 8);
    check_int(preview->width, ==, 8);
    if (preview->step > previews->every && preview->image == 0)
        previews->moved += distance(last, preview->latents);
    memcpy(last, preview->latents, sizeof previews->last[0]);
    ++previews->count;
    if (previews->cancel) dr_job_cancel(previews->cancel);
}

/* planned: of the job. */
static enum dr_code run_planned(struct dr_engine *engine,
                                const struct dr_generate_options *options,
                                uint64_t *planned)
{
    struct dr_generate_result result;
    const enum dr_code code = dr_engine_generate(engine, options, &result, &problem);
    check_int(code, ==, DR_OK);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    *planned = result.planned_private_bytes;
    dr_generate_result_free(&result);
    return code;
}

/* The last step's is where the sampler goes: to the latents that are decoded. */
static void preview_with(struct dr_engine *engine, const char *sampler, int32_t every)
{
    struct previews previews = {.every = every};
    const struct latent_head head = {PREVIEW_BATCH, 8, 8};
    float latents[PREVIEW_BATCH][PREVIEW_FLOATS];
    uint64_t without, with;
    struct dr_generate_options options = options_for("without.png");
    options.sampler = sampler;
    if (run_planned(engine, &options, &without) != DR_OK) return;
    options.output = in_root("with.png");
    options.preview_every = every;
    options.preview = take_preview;
    options.preview_cookie = &previews;
    if (run_planned(engine, &options, &with) != DR_OK) return;
    check_int(previews.count, ==, PREVIEW_BATCH * (PREVIEW_STEPS / every));
    check_int(with, ==, without);
    check(same_file("with.png", "without.png"));
    check(same_file("with-2.png", "without-2.png"));
    check_real(previews.moved, >, 1e-3);
    options.output = in_root("with.safetensors");
    options.preview_every = 0;
    if (run_planned(engine, &options, &with) != DR_OK) return;
    check_int(latent_file_read(in_root("with.safetensors"), &head, latents[0],
                               &problem),
              ==, DR_OK);
    for (int i = 0; i < PREVIEW_BATCH; ++i)
        check_real(distance(previews.last[i], latents[i]), <, 1e-4);
}

static void previews_are_the_runs_and_disturb_nothing(void)
{
    static const char *const samplers[] = {"euler", "euler-a", "heun", "dpmpp-2m",
                                           "unipc"};
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; ++i)
        preview_with(engine, samplers[i], 1 + (int32_t)i % 3);
    dr_engine_close(&engine);
}

static void a_preview_may_cancel_its_job(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct previews previews = {.every = 3};
    struct dr_generate_options options = options_for("never.png");
    options.preview_every = 3;
    struct dr_job *job = NULL;
    check_int(dr_job_create_generate(engine, &options, &job, &problem), ==,
              DR_BAD_INPUT);
    check_has(problem.message, "without a function");
    options.preview = take_preview;
    options.preview_cookie = &previews;
    check_int(dr_job_create_generate(engine, &options, &job, &problem), ==, DR_OK);
    previews.cancel = job;
    struct dr_generate_result result;
    check_int(dr_job_run(job, &result, &problem), ==, DR_CANCELLED);
    check_int(previews.count, ==, 1);
    dr_job_destroy(&job);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(previews_are_the_runs_and_disturb_nothing);
    check_run(a_preview_may_cancel_its_job);
    return check_done();
}
