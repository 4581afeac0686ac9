/* Sampling: the start of a picture (STEP_NOISE) and the way from one noise level to another (STEP_SAMPLE).
 *
 * The random numbers of a picture are one sequence: the sample from the moments' distribution, the noise, and
 * the noise that a stochastic sampler adds at each step. So the job holds the generator from a picture's
 * STEP_NOISE to its last STEP_SAMPLE. */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "job/prompt_step.h"
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

enum dr_code step_run_noise(struct job *job, const struct step *step,
                            struct dr_error *err)
{
    const size_t count = step_latent_count(step);
    float *const noise = step_value_of(job, step->scratch);
    job->stage = DR_STAGE_UNET;
    assert(step->sampler.count == count);
    random_init(&job->random, job->request.rng == DR_RNG_CPU ? RANDOM_CPU : RANDOM_CUDA,
                job->images[step->image_idx].seed);
    const enum dr_code code =
        sampler_init(&job->sampler, &step->sampler, step_value_of(job, step->state),
                     &job->random, err);
    if (code != DR_OK) return code;
    if (step->moments == STEP_NONE) {
        random_normal(&job->random, job->sampler.latent, count);
        sampler_start(&job->sampler, NULL);
        return DR_OK;
    }
    draw_latent(job, step, noise, noise + count);
    random_normal(&job->random, noise, count);
    sampler_start(&job->sampler, noise);
    return DR_OK;
}

/* Continue from another step's latents, with a sampler for this part of the schedule. */
static enum dr_code go_on(struct job *job, const struct step *step,
                          struct dr_error *err)
{
    const enum dr_code code =
        sampler_init(&job->sampler, &step->sampler, step_value_of(job, step->state),
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

static enum dr_code prepare_unet(struct job *job, const struct step *step,
                                 const struct unet_plan *unet, struct dr_error *err)
{
    bool is_bound;
    const enum dr_code code = step_bind(job, step, &is_bound, err);
    if (code != DR_OK || is_bound) return code;
    const int32_t n = job->request.guided ? 2 : 1;
    step_expect_latents(step, unet->plan, unet->latent, n, LATENT_CHANNELS);
    step_expect_latents(step, unet->plan, unet->result, n, LATENT_CHANNELS);
    prompt_step_apply(job, unet);
    return DR_OK;
}

enum dr_code step_run_sample(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    struct network *const network = step_list_network_of(&job->list, step);
    const size_t count = step_latent_count(step);
    job->stage = DR_STAGE_UNET;
    enum dr_code code = prepare_unet(job, step, &network->unet, err);
    if (code == DR_OK && step->continues) code = go_on(job, step, err);
    if (code != DR_OK) return code;
    job->calls_total = sampler_call_count(&job->sampler);
    struct step_progress cookie = {job, step};
    struct guidance guidance = {
        .unet = &network->unet,
        .guided = want->guided,
        .cfg = want->cfg,
        .prediction = step_value_of(job, step->scratch),
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
