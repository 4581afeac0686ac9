#include "sampling/guidance.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "sampling/latent.h"

/* To each image of the batch. */
static void write_latent(const struct guidance *guidance, const float *input,
                         size_t cells)
{
    float block[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        latent_block_to_channels_last(input, block, cells, first, count);
        for (size_t image = 0; image < (guidance->guided ? 2 : 1); ++image)
            plan_write(guidance->unet->plan, guidance->unet->latent,
                       LATENT_CHANNELS * (image * cells + first),
                       LATENT_CHANNELS * count, block);
    }
}

static void read_prediction(const struct guidance *guidance, size_t cells)
{
    float answer[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    float prompt[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    const struct unet_plan *const unet = guidance->unet;
    const float cfg = guidance->cfg;
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        const size_t values = LATENT_CHANNELS * count;
        plan_read(unet->plan, unet->result, LATENT_CHANNELS * first, values, answer);
        if (guidance->guided) {
            plan_read(unet->plan, unet->result, LATENT_CHANNELS * (cells + first),
                      values, prompt);
            for (size_t i = 0; i < values; ++i)
                answer[i] += cfg * (prompt[i] - answer[i]);
        }
        latent_block_to_channels_first(answer, guidance->prediction, cells, first,
                                       count);
    }
}

/* call->input -> guidance->prediction, both channels first. */
static enum dr_code evaluate(const struct guidance *guidance,
                             const struct sampler_call *call, size_t count,
                             struct dr_error *err)
{
    struct plan *const plan = guidance->unet->plan;
    const size_t cells = count / LATENT_CHANNELS;
    const struct plan_progress progress = {NULL, NULL, guidance->cancel};
    write_latent(guidance, call->input, cells);
    unet_plan_set_time(guidance->unet, call->time);
    const enum dr_code code = plan_run(plan, &progress, err);
    if (code != DR_OK) return code;
    read_prediction(guidance, cells);
    return DR_OK;
}

/* The model's answer is there and not taken yet. Where the step has a second evaluation, the later picture
 * takes the place of the earlier. */
static bool keeps_picture(const struct guidance *guidance,
                          const struct sampler *sampler)
{
    const bool is_due = guidance->preview_every > 0 &&
                        (sampler->step + 1) % guidance->preview_every == 0;
    if (is_due) sampler_picture(sampler, guidance->prediction, guidance->picture);
    return is_due;
}

enum dr_code guidance_run(struct guidance *guidance, struct sampler *sampler,
                          size_t count, struct dr_error *err)
{
    const int32_t total = sampler_call_count(sampler);
    struct sampler_call call;
    guidance->ms = 0.0;
    guidance->call_count = 0;
    while (sampler_next(sampler, &call)) {
        const int32_t step = guidance->call_count;
        if (guidance->report) guidance->report(guidance->cookie, step, total);
        const double started = clock_ms();
        enum dr_code code = cancel_requested(guidance->cancel)
                                ? DR_CANCELLED
                                : evaluate(guidance, &call, count, err);
        if (code == DR_CANCELLED)
            return error_set(err, code, "cancelled at step %d of %d", (int)step + 1,
                             (int)total);
        if (code != DR_OK) return code;
        if (!latent_is_finite(guidance->prediction, count))
            return error_set(
                err, DR_NOT_FINITE,
                "the UNet's result is not finite (NaN or infinity) at step %d of %d",
                (int)step + 1, (int)total);
        const int32_t before = sampler->step;
        const bool is_due = keeps_picture(guidance, sampler);
        sampler_take(sampler, guidance->prediction);
        guidance->ms += clock_ms() - started;
        ++guidance->call_count;
        if (is_due && sampler->step > before)
            guidance->preview(guidance->cookie, sampler->step, sampler->step_count,
                              guidance->picture);
    }
    if (guidance->report)
        guidance->report(guidance->cookie, guidance->call_count, total);
    /* A finite answer may still take the latent beyond: not the VAE's fault, which is next. */
    if (!latent_is_finite(sampler->latent, count))
        return error_set(err, DR_NOT_FINITE,
                         "the latent is not finite (NaN or infinity) after the last "
                         "of %d steps, because of the UNet's results",
                         (int)total);
    return DR_OK;
}
