#include "job/step_run.h"

#include <assert.h>

#include "model/latent_space.h"

void *step_value_of(const struct job *job, int32_t value)
{
    assert(value != STEP_NONE);
    const struct step_value *const it = &job->list.values[value];
    return job->regions[it->tag].data + it->offset;
}

float *step_latents_of(const struct job *job, const struct step *step)
{
    float *const all = step_value_of(job, step->latents);
    return all + (size_t)step->image_idx * step_latent_count(step);
}

enum dr_code step_bind(struct job *job, const struct step *step, bool *is_bound,
                       struct dr_error *err)
{
    return step_bind_network(job, step, step_list_network_of(&job->list, step),
                             is_bound, err);
}

enum dr_code step_bind_network(struct job *job, const struct step *step,
                               const struct network *network, bool *is_bound,
                               struct dr_error *err)
{
    unsigned char *const arena = step_value_of(job, step->arena);
    const void *regions[EMBEDDING_SET_REGIONS] = {NULL};
    const bool is_there = job->bound == network && job->bound_arena == arena;
    if (is_bound) *is_bound = is_there;
    if (is_there) return DR_OK;
    job->bound = NULL;
    (void)adapter_set_regions(job_adapters(job), network->slot, regions);
    if (step->kind == STEP_TEXT && step->scratch != STEP_NONE)
        regions[EMBEDDING_SET_REGION] = step_value_of(job, step->scratch);
    const enum dr_code code =
        plan_bind(network_plan(network), arena, regions, EMBEDDING_SET_REGIONS, err);
    if (code != DR_OK) return code;
    job->bound = network;
    job->bound_arena = arena;
    return DR_OK;
}

enum dr_code step_with_whole_weights(struct slot *slot, enum dr_code code,
                                     struct dr_error *err)
{
    const enum dr_code lost = slot_check_pages(slot, err);
    return lost != DR_OK ? lost : code;
}

static void report_share(void *cookie, double share)
{
    const struct step_progress *const progress = cookie;
    job_report(progress->job, progress->step->image_idx, 0, share);
}

enum dr_code step_run_network(struct job *job, const struct step *step,
                              struct dr_error *err)
{
    const struct network *const network = step_list_network_of(&job->list, step);
    struct step_progress cookie = {job, step};
    const struct plan_progress progress = {report_share, &cookie, job->context.cancel};
    const enum dr_code code = plan_run(network_plan(network), &progress, err);
    return step_with_whole_weights(network->slot, code, err);
}

void step_expect_latents(const struct step *step, const struct plan *plan,
                         struct value value, int32_t n, int32_t channels)
{
    const struct shape shape = {n, step->height / LATENT_FACTOR,
                                step->width / LATENT_FACTOR, channels};
    plan_expect(plan, value, shape, DTYPE_F32);
}

void step_expect_picture(const struct step *step, const struct plan *plan,
                         struct value value)
{
    const struct shape shape = {1, step->height, step->width, PICTURE_CHANNELS};
    plan_expect(plan, value, shape, DTYPE_F32);
}

void step_to_unit(float *samples, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        const float value = samples[i] * 0.5F + 0.5F;
        samples[i] = value < 0.0F ? 0.0F : value > 1.0F ? 1.0F : value;
    }
}

const char *step_more_precision(const struct job *job)
{
    return job->context.dtype == DTYPE_BF16 ? "; --precision f32 may help" : "";
}

enum dr_code step_run(struct job *job, const struct step *step, struct dr_error *err)
{
    switch (step->kind) {
    case STEP_TEXT: return step_run_text(job, step, err);
    case STEP_READ: return step_run_read(job, step, err);
    case STEP_RESIZE: return step_run_resize(job, step, err);
    case STEP_ENCODE: return step_run_encode(job, step, err);
    case STEP_NOISE: return step_run_noise(job, step, err);
    case STEP_SAMPLE: return step_run_sample(job, step, err);
    case STEP_READ_LATENTS: return step_run_read_latents(job, step, err);
    case STEP_WRITE_LATENTS: return step_run_write_latents(job, step, err);
    case STEP_DECODE: return step_run_decode(job, step, err);
    case STEP_WRITE: return step_run_write(job, step, err);
    }
    return DR_OK;
}
