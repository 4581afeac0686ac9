/* Jobs whose list is longer than a request makes it: two sampling steps of one picture, and a second pass
 * at another size. What a list may be is job_steps.h's; that its memory is planned exactly and that its
 * latents are the right ones is tested here. */
#include "network.h"

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "job/job_steps.h"
#include "job/output.h"
#include "job/request.h"
#include "sampling/latent.h"

enum {
    SIDE = 64,
    LARGE = 96,
    STEPS = 4,
    BATCH = 2,
    LATENT_COUNT = LATENT_CHANNELS * (SIDE / 8) * (SIDE / 8)
};

typedef void make_list(struct job *job);

/* What a run came to. */
struct ran {
    enum dr_code code;
    size_t planned_bytes, activation_bytes, arena_sum_bytes;
    int32_t unet_calls, unet_count;
    float latents[BATCH * LATENT_COUNT];
};

static void count_arenas(const struct job *job, struct ran *ran)
{
    ran->activation_bytes = job->region_bytes[REGION_ACTIVATIONS];
    for (int32_t i = 0; i < job->list.network_count; ++i) {
        const struct network *const network = &job->list.networks[i];
        ran->arena_sum_bytes += plan_bytes(network_plan(network));
        ran->unet_count += network->kind == NETWORK_UNET;
    }
}

/* Plan and run the request with this list; NULL: the one that it makes by itself. */
static struct ran run_list(struct dr_engine *engine, const struct job_request *want,
                           make_list *make)
{
    struct dr_image_info images[BATCH] = {{.seed = want->seed},
                                          {.seed = want->seed + 1}};
    struct ledger *const ledger = &engine->resources.ledger;
    struct ran ran = {0};
    struct job job = {.context = engine_job_context(engine),
                      .request = *want,
                      .images = images};
    if (want->files.path && !want->output_is_latent)
        for (int i = 0; i < want->batch; ++i)
            (void)snprintf(images[i].path, sizeof images[i].path, "%s",
                           want->files.path);
    if (make) make(&job);
    problem = (struct dr_error){0};
    ran.code = job_prepare(&job, &problem);
    if (ran.code == DR_OK) count_arenas(&job, &ran);
    if (ran.code == DR_OK) ran.code = job_admit(&job, &problem);
    ledger_reset_peak(ledger);
    if (ran.code == DR_OK) ran.code = job_run(&job, &problem);
    if (ran.code == DR_OK) check_int(job.planned_bytes, ==, ledger->peak_private_bytes);
    ran.planned_bytes = job.planned_bytes;
    ran.unet_calls = job.unet_calls;
    job_finish(&job);
    (void)check_memory(engine);
    return ran;
}

static struct job_request request_of(struct dr_engine *engine, const char *sampler,
                                     const char *output, int32_t side)
{
    struct job_request want;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root(output);
    options.sampler = sampler;
    options.width = options.height = side;
    options.steps = STEPS;
    options.batch = side == SIDE && output_is_latent(options.output) ? BATCH : 1;
    options.seed = 7;
    network_require(generate_request(&engine->model, &options, &want, &problem) ==
                        DR_OK,
                    "%s", problem.message);
    return want;
}

static void read_latents(struct ran *ran, int32_t batch)
{
    struct latent_head head = {0};
    const char *const path = in_root("latents.safetensors");
    network_require(ran->code == DR_OK, "%s", problem.message);
    network_require(latent_file_head(path, &head, &problem) == DR_OK &&
                        latent_file_read(path, &head, ran->latents, &problem) == DR_OK,
                    "%s", problem.message);
    check_int(head.n, ==, batch);
    check(latent_is_finite(ran->latents, (size_t)batch * LATENT_COUNT));
}

/* ---- a schedule in two steps --------------------------------------------------------------- */

static struct slot *unet_slot(const struct job *job)
{
    return pipeline_slot(job->context.pipeline, DR_COMPONENT_UNET, 0);
}

static void add_file(struct job *job, enum step_kind kind, int32_t latents)
{
    struct step step = step_init(kind, job->request.width, job->request.height);
    step.latents = latents;
    step_list_add(&job->list, &step);
}

/* A schedule cut in two before step `cut`. second_unet: whose slot takes the rest; NULL: nobody does. */
static void cut_at(struct job *job, int32_t cut, struct slot *second_unet)
{
    const struct job_request *const want = &job->request;
    const int32_t latents = job_steps_add_latents(job, want->width, want->height);
    job_steps_add_text(job);
    for (int32_t i = 0; i < want->batch; ++i) {
        struct sample_part part = {.image_idx = i,
                                   .width = want->width,
                                   .height = want->height,
                                   .moments = STEP_NONE,
                                   .latents = latents,
                                   .end_step = cut,
                                   .unet = unet_slot(job)};
        job_steps_add_sample(job, &part);
        part.first_step = cut;
        part.end_step = 0;
        part.continues = true;
        part.unet = second_unet;
        if (second_unet) job_steps_add_sample(job, &part);
    }
    add_file(job, STEP_WRITE_LATENTS, latents);
}

static void in_two(struct job *job)
{
    cut_at(job, 1, unet_slot(job));
}

static void the_first_alone(struct job *job)
{
    cut_at(job, 1, NULL);
}

/* The second step goes on where the first one ended, with the same random numbers: the bytes are those of
 * one step over the whole schedule. euler-a draws noise at each step. */
static void two_sampling_steps_are_one(const char *model, const char *sampler)
{
    struct dr_engine *engine = open_engine();
    load(engine, model);
    struct job_request want = request_of(engine, sampler, "latents.safetensors", SIDE);
    struct ran whole = run_list(engine, &want, NULL);
    read_latents(&whole, BATCH);
    struct ran cut = run_list(engine, &want, in_two);
    read_latents(&cut, BATCH);
    check_bytes(cut.latents, whole.latents, sizeof cut.latents);
    check_int(cut.unet_calls, ==, whole.unet_calls);
    check_int(cut.unet_count, ==, 1); /* both share the plan */
    check_int(cut.activation_bytes, ==, whole.activation_bytes);
    check_int(cut.planned_bytes, ==, whole.planned_bytes);
    /* The control: without the second step the latents are others. */
    struct ran first = run_list(engine, &want, the_first_alone);
    read_latents(&first, BATCH);
    check(memcmp(first.latents, whole.latents, sizeof first.latents) != 0);
    job_request_finish(&want);
    dr_engine_close(&engine);
}

static void two_sampling_steps_of_sd15(void)
{
    two_sampling_steps_are_one("a.safetensors", "euler");
    two_sampling_steps_are_one("a.safetensors", "euler-a");
}

static void two_sampling_steps_of_sdxl(void)
{
    two_sampling_steps_are_one("x.safetensors", "euler");
}

/* ---- a second pass at another size --------------------------------------------------------- */

static void small_then_large(struct job *job)
{
    const int32_t small = job_steps_add_latents(job, SIDE, SIDE);
    const int32_t large = job_steps_add_latents(job, LARGE, LARGE);
    job_steps_add_text(job);
    struct sample_part part = {.width = SIDE,
                               .height = SIDE,
                               .moments = STEP_NONE,
                               .latents = small,
                               .unet = unet_slot(job)};
    job_steps_add_sample(job, &part);
    const struct encode_part resize = {
        .pixels = job_steps_add_decode_to_pixels(job, 0, small, SIDE, SIDE),
        .source_width = SIDE,
        .source_height = SIDE,
        .width = LARGE,
        .height = LARGE,
        .latents = STEP_NONE};
    part.moments = job_steps_add_encode(job, &resize);
    part.width = part.height = LARGE;
    part.latents = large;
    part.first_step = STEPS / 2;
    job_steps_add_sample(job, &part);
    job_steps_add_decode_to_file(job, 0, large, LARGE, LARGE);
}

/* Two plans of the UNet, two of the decoder, one of the encoder, and one arena. The picture is the same in
 * all residencies, down to the smallest limit that is not refused. */
static void a_second_pass_at_another_size(const char *model)
{
    struct dr_engine *engine = open_engine();
    load(engine, model);
    struct job_request want = request_of(engine, "euler", "large.png", LARGE);
    const struct ran ran = run_list(engine, &want, small_then_large);
    network_require(ran.code == DR_OK, "%s", problem.message);
    check_int(ran.unet_count, ==, 2);
    check_int(ran.unet_calls, ==, STEPS + STEPS / 2);
    check_int(ran.activation_bytes, <, ran.arena_sum_bytes);
    run_command("cp '%s' '%s'", in_root("large.png"), in_root("first.png"));
    size_t least = ran.planned_bytes;
    for (int i = 0; i < 30; ++i) {
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
        engine->resources.ledger.limit_bytes = least;
        const struct ran again = run_list(engine, &want, small_then_large);
        if (again.code != DR_OK) break;
        check_int(again.planned_bytes, <=, least);
        run_command("cmp '%s' '%s'", in_root("large.png"), in_root("first.png"));
        least = again.planned_bytes - region_page_bytes();
    }
    check_int(problem.code, ==, DR_OVER_BUDGET);
    check_int(least, <, ran.planned_bytes - region_page_bytes());
    engine->resources.ledger.limit_bytes = 0;
    job_request_finish(&want);
    dr_engine_close(&engine);
}

static void a_second_pass_of_sd15(void)
{
    a_second_pass_at_another_size("a.safetensors");
}

static void a_second_pass_of_sdxl(void)
{
    a_second_pass_at_another_size("x.safetensors");
}

/* ---- another model from some step on --------------------------------------------------------- */

static void in_two_models(struct job *job)
{
    cut_at(job, 2, pipeline_slot(job->context.pipeline, DR_COMPONENT_UNET, 1));
}

/* The UNet of another checkpoint in a slot of its own takes the steps that the first one leaves. */
static void run_with_guest(const char *guest_name, struct ran *whole, struct ran *both)
{
    struct pipeline *guest = NULL;
    struct dr_engine *engine = open_engine();
    const struct pipeline_options options = {.dtype = engine->resources.dtype};
    network_require(pipeline_open(&guest, in_root(guest_name), &options, &problem) ==
                        DR_OK,
                    "%s", problem.message);
    load(engine, "a.safetensors");
    struct job_request want = request_of(engine, "euler", "latents.safetensors", SIDE);
    *whole = run_list(engine, &want, NULL);
    read_latents(whole, BATCH);
    struct slot *const slot =
        pipeline_add_slot(engine->model.pipeline, DR_COMPONENT_UNET, "unet2");
    slot->base = pipeline_slot(guest, DR_COMPONENT_UNET, 0)->base;
    slot->base->name = slot->name;
    *both = run_list(engine, &want, in_two_models);
    read_latents(both, BATCH);
    check_int(both->unet_count, ==, 2);
    check_int(both->unet_calls, ==, whole->unet_calls);
    /* One at a time, they take less. */
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    engine->resources.ledger.limit_bytes = both->planned_bytes - region_page_bytes();
    struct ran phased = run_list(engine, &want, in_two_models);
    read_latents(&phased, BATCH);
    check_bytes(phased.latents, both->latents, sizeof phased.latents);
    check_int(phased.planned_bytes, <, both->planned_bytes);
    engine->resources.ledger.limit_bytes = 0;
    job_request_finish(&want);
    dr_engine_close(&engine);
    pipeline_close(&guest);
}

static void another_model_takes_the_last_steps(void)
{
    struct ran whole, both;
    /* The same weights from another file change nothing; other weights do. */
    run_with_guest("same.safetensors", &whole, &both);
    check_bytes(both.latents, whole.latents, sizeof both.latents);
    run_with_guest("b.safetensors", &whole, &both);
    check(memcmp(both.latents, whole.latents, sizeof both.latents) != 0);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void beyond_the_schedule(struct job *job)
{
    cut_at(job, STEPS, unet_slot(job));
}

static void a_part_without_a_step_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct job_request want = request_of(engine, "euler", "latents.safetensors", SIDE);
    const struct ran ran = run_list(engine, &want, beyond_the_schedule);
    check_int(ran.code, ==, DR_BAD_INPUT);
    check_has(problem.message, "at least one step");
    job_request_finish(&want);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_folder();
    take_checkpoint("a.safetensors", "sd15", "--seed 1");
    take_checkpoint("b.safetensors", "sd15", "--seed 2");
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    run_command("cp '%s' '%s'", in_root("a.safetensors"), in_root("same.safetensors"));
    check_run(two_sampling_steps_of_sd15);
    check_run(two_sampling_steps_of_sdxl);
    check_run(a_second_pass_of_sd15);
    check_run(a_second_pass_of_sdxl);
    check_run(another_model_takes_the_last_steps);
    check_run(a_part_without_a_step_is_refused);
    return check_done();
}
