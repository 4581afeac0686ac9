#include "sampling/guidance.h"

#include <math.h>
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

/* What one evaluation runs: all contexts, or those behind the negative prompt. */
struct evaluation {
    const struct guidance_batch *batches;
    int32_t batch_count;
    int32_t base; /* the context that the others are seen from */
    float cfg;
    bool is_guided;
};

bool guidance_has_step(double from, double to, int32_t step, int32_t steps)
{
    return (from == 0 && to == 0) || (step >= from * steps && step < to * steps);
}

static struct evaluation evaluation_of(const struct guidance *guidance,
                                       const struct sampler *sampler,
                                       const struct sampler_call *call)
{
    const bool is_within = guidance_has_step(guidance->from, guidance->to,
                                             sampler->step, sampler->step_count);
    const bool is_left_out =
        guidance->call_count % 2 == 1 && call->sigma < guidance->least_sigma;
    if (guidance->guided && guidance->alone_count > 0 && (!is_within || is_left_out))
        return (struct evaluation){guidance->alone, guidance->alone_count, 1, 1, false};
    return (struct evaluation){guidance->batches, guidance->batch_count, 0,
                               guidance->cfg, guidance->guided};
}

/* Values of one context's answer, channels last: of the plan where it still has them. */
static void read_answer(const struct guidance *guidance, const struct evaluation *run,
                        int32_t context, size_t cells, size_t first, size_t values,
                        float *answer)
{
    const int32_t image = context - run->batches[0].first;
    const struct unet_plan *const unet = run->batches[0].unet;
    const int32_t kept = run->batch_count == 1 ? image : context;
    const size_t at = LATENT_CHANNELS * ((size_t)kept * cells + first);
    if (run->batch_count == 1)
        plan_read(unet->plan, unet->result, at, values, answer);
    else
        memcpy(answer, guidance->answers + at, values * sizeof *answer);
}

/* Sums of a vector's values and squares, for its deviation. */
struct spread {
    double sum, squares;
};

static void spread_add(struct spread *spread, const float *values, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        spread->sum += (double)values[i];
        spread->squares += (double)values[i] * (double)values[i];
    }
}

static double spread_deviation(const struct spread *spread, size_t count)
{
    const double mean = spread->sum / (double)count;
    return sqrt(fmax(spread->squares / (double)count - mean * mean, 0));
}

/* The prediction's deviation, put back to that of the prompt's own answer. */
static void rescale(const struct guidance *guidance, const struct spread *prompt,
                    size_t count)
{
    struct spread all = {0};
    spread_add(&all, guidance->prediction, count);
    const double deviation = spread_deviation(&all, count);
    if (!(deviation > 0)) return;
    const double ratio = spread_deviation(prompt, count) / deviation;
    const float factor = (float)(guidance->rescale * ratio + 1 - guidance->rescale);
    for (size_t i = 0; i < count; ++i)
        guidance->prediction[i] *= factor;
}

static void combine(const struct guidance *guidance, const struct evaluation *run,
                    size_t cells)
{
    float base[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    float answer[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    float part[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    struct spread prompt = {0};
    const bool rescales = run->is_guided && guidance->rescale > 0;
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        const size_t values = LATENT_CHANNELS * count;
        read_answer(guidance, run, run->base, cells, first, values, answer);
        memcpy(base, answer, values * sizeof *base);
        for (int32_t c = run->base + 1; guidance->guided && c < guidance->context_count;
             ++c) {
            const float weight = guidance->weights ? guidance->weights[c - 1] : 1.0F;
            const float scale = weight * run->cfg;
            read_answer(guidance, run, c, cells, first, values, part);
            if (rescales && c == 1) spread_add(&prompt, part, values);
            for (size_t i = 0; i < values; ++i)
                answer[i] += scale * (part[i] - base[i]);
        }
        latent_block_to_channels_first(answer, guidance->prediction, cells, first,
                                       count);
    }
    if (rescales) rescale(guidance, &prompt, LATENT_CHANNELS * cells);
}

static enum dr_code run_batch(const struct guidance *guidance,
                              const struct evaluation *run,
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
    if (code == DR_OK && run->batch_count > 1)
        plan_read(batch->unet->plan, batch->unet->result, 0,
                  (size_t)batch->count * count,
                  guidance->answers + (size_t)batch->first * count);
    return code;
}

/* call->input -> guidance->prediction, both channels first. */
static enum dr_code evaluate(const struct guidance *guidance,
                             const struct sampler *sampler,
                             const struct sampler_call *call, size_t count,
                             struct dr_error *err)
{
    const struct evaluation run = evaluation_of(guidance, sampler, call);
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < run.batch_count; ++i)
        code = run_batch(guidance, &run, &run.batches[i], call, count, err);
    if (code == DR_OK) combine(guidance, &run, count / LATENT_CHANNELS);
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
                                : evaluate(guidance, sampler, &call, count, err);
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
