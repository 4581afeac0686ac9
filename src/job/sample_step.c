/* Sampling: the start of a picture (STEP_NOISE) and the way from one noise level to another (STEP_SAMPLE).
 *
 * The random numbers of a picture are one sequence: the sample from the moments' distribution, the noise, and
 * the noise that a stochastic sampler adds at each step. So the job holds the generator from a picture's
 * STEP_NOISE to its last STEP_SAMPLE. */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "job/prompt_step.h"
#include "job/seed_noise.h"
#include "job/step_run.h"
#include "model/latent_space.h"
#include "sampling/guidance.h"
#include "sampling/latent.h"

/* A draw from the distribution of the moments, scaled, to sampler->latent. noise and drawn are scratch of
 * one latent each. */
static void draw_latent(struct job *job, const struct step *step, float *noise,
                        float *drawn)
{
    const struct vae_info info = vae_info(job_vae_spec(job));
    const size_t count = step_latent_count(step), cells = count / LATENT_CHANNELS;
    float *const result = step_latents_of(job, step);
    random_normal(&job->random, noise, count);
    latent_to_channels_last(noise, drawn, cells);
    vae_sample((int64_t)cells, step_value_of(job, step->moments), drawn, result);
    vae_scale(&info, result, count);
    latent_to_channels_first(result, job->sampler.latent, cells);
}

/* The sampler's options for this picture: its Brownian motion has the picture's seed. */
static struct sampler_options options_of(const struct job *job, const struct step *step)
{
    struct sampler_options options = step->sampler;
    options.tree_kind = job->request.rng == DR_RNG_CPU ? RANDOM_CPU : RANDOM_CUDA;
    options.tree_seed = job->images[step->image_idx].seed;
    return options;
}

/* The values of scratch are [count] noise, [count] a draw, and what the seed's noise needs. */
enum dr_code step_run_noise(struct job *job, const struct step *step,
                            struct dr_error *err)
{
    const size_t count = step_latent_count(step);
    float *const noise = step_value_of(job, step->scratch);
    const struct sampler_options options = options_of(job, step);
    const struct seed_noise seed =
        seed_noise_of(&job->request.sampling, job->request.rng,
                      job->images[step->image_idx].seed, step->image_idx,
                      step->width / LATENT_FACTOR, step->height / LATENT_FACTOR);
    job->stage = DR_STAGE_UNET;
    assert(step->sampler.count == count);
    const enum dr_code code =
        sampler_init(&job->sampler, &options, step_value_of(job, step->state),
                     &job->random, err);
    if (code != DR_OK) return code;
    if (step->moments == STEP_NONE) {
        seed_noise_draw(&seed, noise + 2 * count, &job->random, job->sampler.latent);
        sampler_start(&job->sampler, NULL);
        return DR_OK;
    }
    random_init(&job->random, options.tree_kind, seed.seed);
    draw_latent(job, step, noise, noise + count);
    if (seed_noise_scratch(&seed) > 0 || seed.seed_delta != 0)
        seed_noise_draw(&seed, noise + 2 * count, &job->random, noise);
    else
        random_normal(&job->random, noise, count);
    sampler_start(&job->sampler, noise);
    return DR_OK;
}

/* Continue from another step's latents, with a sampler for this part of the schedule. */
static enum dr_code go_on(struct job *job, const struct step *step,
                          struct dr_error *err)
{
    const struct sampler_options options = options_of(job, step);
    const enum dr_code code =
        sampler_init(&job->sampler, &options, step_value_of(job, step->state),
                     &job->random, err);
    if (code == DR_OK)
        memcpy(job->sampler.latent, step_latents_of(job, step),
               sizeof(float) * step_latent_count(step));
    return code;
}

static void report_step(void *cookie, int32_t done, int32_t total)
{
    const struct step_progress *const progress = cookie;
    job_report(progress->job, progress->step->image_idx, done, (double)done / total);
}

static void report_preview(void *cookie, int32_t done, int32_t total,
                           const float *picture)
{
    const struct step_progress *const progress = cookie;
    const struct job_request *const want = &progress->job->request;
    const struct dr_preview preview = {.image = progress->step->image_idx,
                                       .image_count = want->batch,
                                       .step = done,
                                       .step_count = total,
                                       .height = progress->step->height / LATENT_FACTOR,
                                       .width = progress->step->width / LATENT_FACTOR,
                                       .latents = picture};
    want->preview(want->preview_cookie, &preview);
}

/* The batches of an evaluation, for guidance.h and for the prompts. */
struct batches {
    struct context_batch contexts[2 * GUIDANCE_MAX_CONTEXTS];
    struct guidance_batch runs[2 * GUIDANCE_MAX_CONTEXTS];
    int32_t count;
    int32_t alone_count; /* behind them: those of evaluations that are not guided */
};

static void list_batches(const struct job *job, const struct step *step,
                         struct batches *batches)
{
    const struct context_layout layout = prompt_step_layout(job);
    batches->count = context_batch_list(&layout, batches->contexts);
    batches->alone_count =
        context_batch_list_alone(&layout, batches->contexts + batches->count);
    for (int32_t i = 0; i < batches->count + batches->alone_count; ++i) {
        const struct context_batch *const contexts = &batches->contexts[i];
        const struct unet_plan *const unet =
            &prompt_step_network(job, step, contexts)->unet;
        batches->runs[i] =
            (struct guidance_batch){unet, contexts->first, contexts->count};
    }
}

/* What guidance's callbacks work on. */
struct sampling {
    struct step_progress progress; /* first: report_step and report_preview read it */
    struct job *job;
    const struct batches *batches;
    int32_t first_call; /* evaluations of the parts of the schedule before this step */
};

/* Where all batches have one plan and one arena, it stays bound. */
static enum dr_code prepare_batch(void *cookie, const struct guidance_batch *run,
                                  int32_t call, struct dr_error *err)
{
    const struct sampling *const sampling = cookie;
    const struct batches *const batches = sampling->batches;
    const struct context_batch *const contexts =
        &batches->contexts[run - batches->runs];
    const struct step *const step = sampling->progress.step;
    struct job *const job = sampling->job;
    const struct network *const network = prompt_step_network(job, step, contexts);
    const int32_t evaluation = sampling->first_call + call;
    bool is_bound;
    const enum dr_code code = step_bind_network(job, step, network, &is_bound, err);
    const bool stays = is_bound && batches->count == 1 && batches->alone_count == 0 &&
                       call > 0 && !prompt_step_changes_at(job, evaluation);
    if (code != DR_OK || stays) return code;
    step_expect_latents(step, run->unet->plan, run->unet->latent, run->count,
                        LATENT_CHANNELS);
    step_expect_latents(step, run->unet->plan, run->unet->result, run->count,
                        LATENT_CHANNELS);
    prompt_step_apply(job, run->unet, contexts, evaluation);
    return DR_OK;
}

enum dr_code step_run_sample(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    struct network *const network = step_list_network_of(&job->list, step);
    const size_t count = step_latent_count(step);
    struct batches batches;
    enum dr_code code = DR_OK;
    job->stage = DR_STAGE_UNET;
    list_batches(job, step, &batches);
    if (step->continues) code = go_on(job, step, err);
    if (code != DR_OK) return code;
    job->calls_total = sampler_call_count(&job->sampler);
    const int32_t order = sampler_calls_per_step(step->sampler.kind);
    struct sampling cookie = {
        {job, step},
        job,
        &batches,
        step->continues ? step->sampler.first_step * order : 0
    };
    float weights[GUIDANCE_MAX_CONTEXTS];
    for (int32_t i = 0; i < want->prompts.part_count; ++i)
        weights[i] = want->prompts.parts[i].weight;
    float *const scratch = step_value_of(job, step->scratch);
    struct guidance guidance = {
        .batches = batches.runs,
        .batch_count = batches.count,
        .context_count = batches.runs[batches.count - 1].first +
                         batches.runs[batches.count - 1].count,
        .guided = want->guided,
        .weights = weights,
        .alone = batches.runs + batches.count,
        .alone_count = batches.alone_count,
        .from = want->sampling.cfg_from,
        .to = want->sampling.cfg_to,
        .least_sigma = want->sampling.s_min_uncond,
        .rescale = want->sampling.cfg_rescale,
        .cfg = want->cfg,
        .prediction = scratch,
        .answers =
            batches.count > 1 || batches.alone_count > 1 ? scratch + count : NULL,
        .prepare = prepare_batch,
        .report = report_step,
        .cookie = &cookie,
        .cancel = job->context.cancel,
        .preview_every = want->preview_every,
        .preview = report_preview,
        /* The step writes its latents at the end; until then their memory is free. */
        .picture = step_latents_of(job, step),
    };
    code = guidance_run(&guidance, &job->sampler, count, err);
    job->unet_ms += guidance.ms;
    job->unet_calls += guidance.call_count;
    if (code != DR_OK && want->batch > 1)
        error_prefix(err, "picture %d of %d", (int)step->image_idx + 1,
                     (int)want->batch);
    code = step_with_whole_weights(network->slot, code, err);
    if (code == DR_OK)
        memcpy(step_latents_of(job, step), job->sampler.latent, sizeof(float) * count);
    return code;
}
