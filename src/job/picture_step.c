#include "job/picture_step.h"

#include <assert.h>

#include "base/clock.h"
#include "base/error.h"
#include "image/resize.h"
#include "job/step_run.h"
#include "model/latent_space.h"
#include "sampling/latent.h"

enum {
    MOST_FRAME_SIDE = 1 << 16
};

enum dr_code picture_step_open(struct job *job, struct dr_error *err)
{
    const enum dr_code code =
        image_reader_open(&job->reader, &job->head, job->request.init, err);
    if (code != DR_OK) return code;
    job->decoder_bytes = job->head.decoder_bytes;
    const struct init_frame frame = picture_step_frame(job);
    if (frame.width <= MOST_FRAME_SIDE && frame.height <= MOST_FRAME_SIDE) return DR_OK;
    picture_step_close(job);
    return error_set(err, DR_BAD_INPUT,
                     "%.600s has %d x %d pixels: padded to the proportions of %d x %d "
                     "pixels it would be too large; let it be cropped or stretched",
                     job->request.init, (int)job->head.width, (int)job->head.height,
                     (int)job->request.width, (int)job->request.height);
}

struct init_frame picture_step_frame(const struct job *job)
{
    const struct init_frame_sizes sizes = {.source_width = job->head.width,
                                           .source_height = job->head.height,
                                           .width = job->request.width,
                                           .height = job->request.height,
                                           .cut_width = job->request.cut_width,
                                           .cut_height = job->request.cut_height};
    return init_frame_make(&sizes, job->request.init_fit);
}

size_t picture_step_init_bytes(const struct job *job)
{
    const struct init_frame frame = picture_step_frame(job);
    return sizeof(float) * PICTURE_CHANNELS *
           init_frame_room(&frame, job->head.width, job->head.height);
}

void picture_step_close(struct job *job)
{
    image_reader_close(&job->reader);
}

size_t picture_step_pixels_bytes(int32_t width, int32_t height)
{
    return sizeof(float) * PICTURE_CHANNELS * (size_t)width * (size_t)height;
}

static struct resize_shape resize_of(const struct step *step)
{
    return (struct resize_shape){.source_width = step->source_width,
                                 .source_height = step->source_height,
                                 .target_width = step->width,
                                 .target_height = step->height};
}

size_t picture_step_scratch_bytes(const struct step *resize)
{
    const struct resize_shape shape = resize_of(resize);
    return resize_scratch_bytes(&shape);
}

enum dr_code step_run_read(struct job *job, const struct step *step,
                           struct dr_error *err)
{
    job->stage = DR_STAGE_ENCODE;
    const enum dr_code code =
        image_reader_pixels(job->reader, step_value_of(job, step->pixels), err);
    picture_step_close(
        job); /* its decoder's memory is not needed during the rest of the job */
    if (code != DR_OK) return code;
    const struct init_frame frame = picture_step_frame(job);
    init_frame_apply(&frame, job->head.width, job->head.height,
                     step_value_of(job, step->pixels));
    return DR_OK;
}

/* Samples in 0..1, and beyond where the resize overshoots, to the encoder's -1..1. */
static void put_samples(void *cookie, size_t first, size_t count, float *samples)
{
    const struct vae_encode_plan *const encode = cookie;
    for (size_t i = 0; i < count; ++i) {
        const float clamped = samples[i] < 0.0F   ? 0.0F
                              : samples[i] > 1.0F ? 1.0F
                                                  : samples[i];
        samples[i] = 2.0F * clamped - 1.0F;
    }
    plan_write(encode->plan, encode->image, first, count, samples);
}

enum dr_code step_run_resize(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    struct vae_encode_plan *const encode =
        &step_list_network_of(&job->list, step)->encode;
    const struct resize_shape shape = resize_of(step);
    const struct resize_target target = {put_samples, encode};
    const enum dr_code code = step_bind(job, step, NULL, err);
    if (code != DR_OK) return code;
    step_expect_picture(step, encode->plan, encode->image);
    resize_run(&shape, step_value_of(job, step->pixels), &target,
               step_value_of(job, step->scratch));
    return DR_OK;
}

/* The mean of the distribution, scaled. */
static void take_mean(const struct job *job, const struct step *step,
                      const float *moments)
{
    float mean[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    float *const latents = step_latents_of(job, step);
    const struct vae_info info = vae_info(job_vae_spec(job));
    const size_t cells = step_latent_count(step) / LATENT_CHANNELS;
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        vae_sample((int64_t)count, moments + 2 * LATENT_CHANNELS * first, NULL, mean);
        vae_scale(&info, mean, LATENT_CHANNELS * count);
        latent_block_to_channels_first(mean, latents, cells, first, count);
    }
}

enum dr_code step_run_encode(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    const struct vae_encode_plan *const encode =
        &step_list_network_of(&job->list, step)->encode;
    float *const moments = step_value_of(job, step->moments);
    const size_t count = 2 * step_latent_count(step);
    const bool wants_latents = step->latents != STEP_NONE;
    bool is_bound;
    enum dr_code code = step_bind(job, step, &is_bound, err);
    if (code != DR_OK) return code;
    assert(is_bound); /* by the resize, which wrote the input */
    job->stage = DR_STAGE_ENCODE;
    step_expect_latents(step, encode->plan, encode->moments, 1, 2 * LATENT_CHANNELS);
    const double started = clock_ms();
    code = step_run_network(job, step, err);
    if (code != DR_OK) return code;
    if (wants_latents) job->vae_ms += clock_ms() - started;
    plan_read(encode->plan, encode->moments, 0, count, moments);
    if (!latent_is_finite(moments, count))
        return error_set(
            err, DR_NOT_FINITE,
            "the VAE encoder's result is not finite (NaN or infinity) for %.600s",
            job->request.init);
    if (wants_latents) take_mean(job, step, moments);
    return DR_OK;
}
