/* guidance — a sampler's questions, answered by the UNet.
 *
 * The sampler (sampler.h) says what it wants evaluated and knows no network; the plan runs one
 * network and knows no sampler. This is the loop between them: each call's input is laid out
 * for the network, both halves of the batch run at once, and
 *
 *     answer = negative + cfg * (prompt - negative)
 *
 * goes back. Unguided (cfg 1) the batch is the prompt alone.
 *
 * Samplers hold latents channels first, the network takes them channels last (latent.h).
 * Tests: pipeline_test.c holds the loop against diffusers, for every sampler.
 */
#ifndef SAMPLING_GUIDANCE_H
#define SAMPLING_GUIDANCE_H

#include "base/cancel.h"
#include "model/unet.h"
#include "sampling/sampler.h"

struct guidance {
    /* Bound, its contexts filled: [negative, prompt] where guided, else [prompt]. Borrowed. */
    const struct unet_plan *unet;
    bool guided;
    float cfg;
    float *prediction; /* [count]: room for the answer, the caller's */
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

/* Run a started sampler to its end: sampler->latent is the result. count: floats of the latent.
 * Errors: DR_CANCELLED, DR_NOT_FINITE; both name the step. Allocates nothing. */
enum dr_code guidance_run(struct guidance *guidance, struct sampler *sampler,
                          size_t count, struct dr_error *err) DR_MUST_CHECK;

#endif
