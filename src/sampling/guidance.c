#include "sampling/guidance.h"

#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "sampling/latent.h"

/* call->input -> guidance->prediction, both channels first. */
static enum dr_code evaluate(const struct guidance *guidance,
                             const struct sampler_call *call, size_t count,
                             struct dr_error *err)
{
    struct plan *const plan = guidance->unet->plan;
    const size_t cells = count / LATENT_CHANNELS;
    const struct plan_progress progress = {NULL, NULL, guidance->cancel};
    float *const latent = plan_data(plan, guidance->unet->latent);
    latent_to_channels_last(call->input, latent, cells);
    if (guidance->guided) memcpy(latent + count, latent, sizeof(float) * count);
    unet_plan_set_time(guidance->unet, call->time);
    const enum dr_code code = plan_run(plan, &progress, err);
    if (code != DR_OK) return code;
    float *const result = plan_data(plan, guidance->unet->result);
    if (guidance->guided) {
        const float *const prompt = result + count;
        const float cfg = guidance->cfg;
        for (size_t i = 0; i < count; ++i)
            result[i] += cfg * (prompt[i] - result[i]);
    }
    latent_to_channels_first(result, guidance->prediction, cells);
    return DR_OK;
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
        sampler_take(sampler, guidance->prediction);
        guidance->ms += clock_ms() - started;
        ++guidance->call_count;
    }
    if (guidance->report)
        guidance->report(guidance->cookie, guidance->call_count, total);
    /* A finite answer may still take the latent beyond: not the VAE's fault, which is next. */
    if (!latent_is_finite(sampler->latent, count))
        return error_set(err, DR_NOT_FINITE,
                         "the UNet's results took the latent to infinity or NaN by the "
                         "last of %d steps",
                         (int)total);
    return DR_OK;
}
