/* guidance — a sampler's questions, answered by the UNet.
 *
 * The sampler (sampler.h) says what it wants evaluated and knows no network; the plan runs one
 * network and knows no sampler. This is the loop between them: each call's input is laid out
 * for the network, the network answers for every context, and
 *
 *     answer = negative + sum of cfg * weight_i * (part_i - negative)
 *
 * goes back: usually one part of weight 1, the prompt; several where it has ANDs (composable
 * diffusion, 2206.01714). Unguided (cfg 1) there is one context, and its answer is the answer.
 *
 * Steps outside the interval, and some at low noise levels (least_sigma), are not guided: the negative prompt is not
 * evaluated there, in batches of their own, and the answer is the prompt's (several parts: the first, and from it towards
 * the others by their weights). rescale puts the answer's deviation back to the prompt's (arXiv 2305.08891, 3.4).
 *
 * Contexts of one length run in batches of two, so several parts take more time but not more
 * memory; contexts of another length have a plan of their own.
 *
 * Samplers hold latents channels first, the network takes them channels last (latent.h).
 * Tests: pipeline_test.c holds the loop against diffusers, for every sampler.
 */
#ifndef SAMPLING_GUIDANCE_H
#define SAMPLING_GUIDANCE_H

#include "base/cancel.h"
#include "model/unet.h"
#include "sampling/sampler.h"

/* One run of the network: contexts first .. first + count - 1, as a batch. */
struct guidance_batch {
    const struct unet_plan *unet; /* borrowed */
    int32_t first, count;         /* count: of the plan's batch */
};

enum {
    GUIDANCE_MAX_CONTEXTS = 257 /* the negative prompt and the parts of the prompt */
};

struct guidance {
    /* In order, together all contexts. Borrowed. */
    const struct guidance_batch *batches;
    int32_t batch_count, context_count;
    bool guided; /* context 0 is the negative prompt */
    /* The batches of all contexts but the negative prompt, for evaluations that are not guided; 0: all are. */
    const struct guidance_batch *alone;
    int32_t alone_count;
    double from, to; /* shares of the steps that are guided; both 0: all */
    double
        least_sigma; /* below it every other evaluation is not guided, as A1111's s_min_uncond */
    double rescale;       /* 0..1 */
    const float *weights; /* of the contexts after it; NULL: each 1 */
    float cfg;
    float *prediction; /* [count]: room for the answer, the caller's */
    float *
        answers; /* [context_count, count]: the caller's; NULL where there is one batch */
    /* Bind a batch's plan and fill its contexts for this evaluation, counted from 0. NULL: they are bound and
     * filled. Errors: end the run. */
    enum dr_code (*prepare)(void *cookie, const struct guidance_batch *batch,
                            int32_t call, struct dr_error *err);
    /* Before each evaluation and once after the last; may be NULL. */
    void (*report)(void *cookie, int32_t done, int32_t total);
    void *cookie;
    const struct cancel *cancel; /* may be NULL */
    /* After each step that preview_every divides (0: none): how many steps are done, and the picture as
     * the model saw it in the last of them (sampler_picture), in `picture` [count], which is the caller's. The
     * run goes on as it would without. */
    int32_t preview_every;
    void (*preview)(void *cookie, int32_t done, int32_t total, const float *picture);
    float *picture;
    /* filled: time of the evaluations, and how many; also where it fails */
    double ms;
    int32_t call_count;
};

/* Is step `step` of `steps` within the shares? Both 0: it is. */
bool guidance_has_step(double from, double to, int32_t step, int32_t steps);

/* Run a started sampler to its end: sampler->latent is the result. count: floats of the latent.
 * Errors: DR_CANCELLED, DR_NOT_FINITE; both name the step; prepare's. Allocates nothing. */
enum dr_code guidance_run(struct guidance *guidance, struct sampler *sampler,
                          size_t count, struct dr_error *err) DR_MUST_CHECK;

#endif
