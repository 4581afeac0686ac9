#include "sampling/guidance.h"

#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "sampling/latent.h"

/* To each image of the batch. */
static void write_latent(const struct guidance_batch *batch, const float *input,
                         size_t cells)
{
    float block[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        latent_block_to_channels_last(input, block, cells, first, count);
        for (size_t image = 0; image < (size_t)batch->count; ++image)
            plan_write(batch->unet->plan, batch->unet->latent,
                       LATENT_CHANNELS * (image * cells + first),
                       LATENT_CHANNELS * count, block);
    }
}

/* Values of one context's answer, channels last: of the plan where it still has them. */
static void read_answer(const struct guidance *guidance, int32_t context, size_t cells,
                        size_t first, size_t values, float *answer)
{
    const size_t at = LATENT_CHANNELS * ((size_t)context * cells + first);
    const struct unet_plan *const unet = guidance->batches[0].unet;
    if (guidance->batch_count == 1)
        plan_read(unet->plan, unet->result, at, values, answer);
    else
        memcpy(answer, guidance->answers + at, values * sizeof *answer);
}

static void combine(const struct guidance *guidance, size_t cells)
{
    float negative[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    float answer[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    float part[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        const size_t values = LATENT_CHANNELS * count;
        read_answer(guidance, 0, cells, first, values, answer);
        memcpy(negative, answer, values * sizeof *negative);
        for (int32_t c = 1; guidance->guided && c < guidance->context_count; ++c) {
            const float weight = guidance->weights ? guidance->weights[c - 1] : 1.0F;
            const float scale = weight * guidance->cfg;
            read_answer(guidance, c, cells, first, values, part);
            for (size_t i = 0; i < values; ++i)
                answer[i] += scale * (part[i] - negative[i]);
        }
        latent_block_to_channels_first(answer, guidance->prediction, cells, first,
                                       count);
    }
}

static enum dr_code run_batch(const struct guidance *guidance,
                              const struct guidance_batch *batch,
                              const struct sampler_call *call, size_t count,
                              struct dr_error *err)
{
    const struct plan_progress progress = {NULL, NULL, guidance->cancel};
    enum dr_code code = DR_OK;
    if (guidance->prepare)
        code = guidance->prepare(guidance->cookie, batch, guidance->call_count, err);
    if (code != DR_OK) return code;
    write_latent(batch, call->input, count / LATENT_CHANNELS);
    unet_plan_set_time(batch->unet, call->time);
    code = plan_run(batch->unet->plan, &progress, err);
    if (code == DR_OK && guidance->batch_count > 1)
        plan_read(batch->unet->plan, batch->unet->result, 0,
                  (size_t)batch->count * count,
                  guidance->answers + (size_t)batch->first * count);
    return code;
}

/* call->input -> guidance->prediction, both channels first. */
static enum dr_code evaluate(const struct guidance *guidance,
                             const struct sampler_call *call, size_t count,
                             struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < guidance->batch_count; ++i)
        code = run_batch(guidance, &guidance->batches[i], call, count, err);
    if (code == DR_OK) combine(guidance, count / LATENT_CHANNELS);
    return code;
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
