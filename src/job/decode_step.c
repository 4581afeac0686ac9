/* One picture's latents to samples (STEP_DECODE). */
#include "base/clock.h"
#include "base/error.h"
#include "job/step_run.h"
#include "model/latent_space.h"
#include "sampling/latent.h"

/* A sampled latent to the decoder's input. */
static void write_input(const struct job *job, const struct step *step,
                        const struct vae_decode_plan *decode)
{
    float block[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    const struct vae_info info = vae_info(job_vae_spec(job));
    const float *const latents = step_latents_of(job, step);
    const size_t cells = step_latent_count(step) / LATENT_CHANNELS;
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        latent_block_to_channels_last(latents, block, cells, first, count);
        vae_unscale(&info, block, LATENT_CHANNELS * count);
        plan_write(decode->plan, decode->latent, LATENT_CHANNELS * first,
                   LATENT_CHANNELS * count, block);
    }
}

/* For a step that goes on from the picture. */
static void take_pixels(const struct job *job, const struct step *step,
                        const struct vae_decode_plan *decode, size_t count)
{
    float *const pixels = step_value_of(job, step->pixels);
    plan_read(decode->plan, decode->image, 0, count, pixels);
    step_to_unit(pixels, count);
}

enum dr_code step_run_decode(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    const struct vae_decode_plan *const decode =
        &step_list_network_of(&job->list, step)->decode;
    const size_t count =
        (size_t)PICTURE_CHANNELS * (size_t)step->width * (size_t)step->height;
    enum dr_code code = step_bind(job, step, NULL, err);
    if (code != DR_OK) return code;
    step_expect_latents(step, decode->plan, decode->latent, 1, LATENT_CHANNELS);
    step_expect_picture(step, decode->plan, decode->image);
    const double started = clock_ms();
    job->stage = DR_STAGE_DECODE;
    write_input(job, step, decode);
    code = step_run_network(job, step, err);
    if (code != DR_OK) return code;
    job->vae_ms += clock_ms() - started;
    ++job->vae_runs;
    if (!latent_is_finite_in(decode->plan, decode->image, 0, count))
        return error_set(
            err, DR_NOT_FINITE,
            "the VAE decoder's result is not finite (NaN or infinity) for picture "
            "%d; another VAE may help%s",
            (int)step->image_idx + 1, step_more_precision(job));
    if (step->pixels != STEP_NONE) take_pixels(job, step, decode, count);
    return DR_OK;
}
