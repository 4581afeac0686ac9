/* sampler — the loop from noise to a latent, as data and one state machine.
 *
 * A sampler is a schedule (which noise levels) and an update (how a step is taken). The model
 * is not called from here: the sampler says what it wants evaluated and takes the answer, so
 * that whoever drives it can cancel, show progress, batch, and a test can put in any function.
 *
 *     sampler_init(&s, &options, ...);
 *     while (sampler_next(&s, &call)) {              // call.time, call.input
 *         ... prediction = model(call.input, call.time), guidance applied ...
 *         sampler_take(&s, prediction);
 *     }
 *     // s.latent is the result
 *
 * A run may be cut in two, at any step (sampler_options.end_step, first_step): the second sampler's
 * latent is filled with the first one's, and sampler_start is not called for it. What a method keeps
 * of earlier steps (dpmpp-2m, dpmpp-2m-sde, unipc) is not taken along: it begins anew, as with
 * diffusers' denoising_end and denoising_start.
 *
 * All vectors (latent, model input, history) lie in memory that the caller gives:
 * sampler_bytes tells how much, exactly. Arithmetic is elementwise in float32, coefficients in
 * double, so the layout of the latent is the caller's business.
 *
 * Reference: for euler to lcm, and for plms, deis, ddpm and tcd, diffusers' class of the same name
 * (schedulers/ *.py); for the others k-diffusion's function (k_diffusion/sampling.py), restart A1111's. Papers are
 * named beside each update (step_*.c). Which pairs of sampler and schedule go: sampler_rules.c.
 */
#ifndef SAMPLING_SAMPLER_H
#define SAMPLING_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"
#include "sampling/schedule.h"

/* X(NAME, "name on the command line") */
#define SAMPLERS(X)                           \
    X(EULER, "euler")                         \
    X(EULER_A, "euler-a")                     \
    X(HEUN, "heun")                           \
    X(DPMPP_2M, "dpmpp-2m")                   \
    X(DPMPP_2M_SDE, "dpmpp-2m-sde")           \
    X(UNIPC, "unipc")                         \
    X(DDIM, "ddim")                           \
    X(LCM, "lcm")                             \
    X(DPMPP_SDE, "dpmpp-sde")                 \
    X(DPMPP_2M_SDE_HEUN, "dpmpp-2m-sde-heun") \
    X(DPMPP_2S_A, "dpmpp-2s-a")               \
    X(DPMPP_3M_SDE, "dpmpp-3m-sde")           \
    X(DPM2, "dpm2")                           \
    X(DPM2_A, "dpm2-a")                       \
    X(LMS, "lms")                             \
    X(RESTART, "restart")                     \
    X(PLMS, "plms")                           \
    X(DEIS, "deis")                           \
    X(DDPM, "ddpm")                           \
    X(TCD, "tcd")

enum sampler_kind {
#define X(name, text) SAMPLER_##name,
    SAMPLERS(X)
#undef X
    SAMPLER_COUNT
};

enum prediction_kind {
    PREDICTION_EPSILON,
    PREDICTION_V
};

enum {
    SAMPLER_MAX_STEPS = 1000
};

const char *sampler_name(enum sampler_kind kind);
/* False, *kind untouched, where no sampler has the name. */
bool sampler_from_name(const char *name, enum sampler_kind *kind);
/* Does this sampler go with this schedule? The default and automatic always do. */
bool sampler_accepts(enum sampler_kind kind, enum schedule_kind schedule);

/* The first of its rule's list; and the one that A1111 takes for the sampler. */
enum schedule_kind sampler_default_schedule(enum sampler_kind kind);
enum schedule_kind sampler_automatic_schedule(enum sampler_kind kind);
/* The schedule that is run: default and automatic stand for another one. */
enum schedule_kind sampler_resolve_schedule(enum sampler_kind kind,
                                            enum schedule_kind schedule);

/* Does it read the tuning's eta, and its churn? */
bool sampler_takes_eta(enum sampler_kind kind);
bool sampler_takes_churn(enum sampler_kind kind);

/* Model evaluations of one step, at most: 1 or 2. */
int32_t sampler_calls_per_step(enum sampler_kind kind);

/* How much noise a sampler adds on its way. Levels are sigmas. */
struct sampler_tuning {
    bool is_given; /* false: the sampler's own, and no churn; the rest is not read */
    /* The share of noise in a step: of the ancestral samplers, the SDE samplers and ddim; gamma of tcd. 0..1; negative: the
     * sampler's own (ddim 0, tcd 0.3, the others 1). */
    double eta;
    /* euler, heun, dpm2: noise before each step whose level is from s_tmin to s_tmax, which raises the level by s_churn/steps, at most
     * sqrt(2) - 1 (arXiv 2206.00364 algorithm 2). All at least 0; s_tmax may be infinite. */
    double s_churn, s_tmin, s_tmax;
    double
        s_noise; /* factor of all noise that is added; at least 0, 1 changes nothing */
};

struct sampler_options {
    enum sampler_kind kind;
    enum schedule_kind schedule;
    enum prediction_kind prediction;
    int32_t steps;          /* 1..SAMPLER_MAX_STEPS */
    float strength;         /* 1: from pure noise; below: image-to-image, starts at step
                       * steps - min((int)(steps*strength), steps) */
    bool image_to_image;    /* strength applies, start from a given latent */
    bool zero_terminal_snr; /* the model was trained to start from noise alone */
    bool is_sdxl;           /* for align-your-steps */
    struct sampler_tuning tuning;
    /* Of the Brownian motion that dpmpp-sde, dpmpp-2m-sde-heun and dpmpp-3m-sde take their noise from
     * (brownian_tree.h). */
    enum random_kind tree_kind;
    uint64_t tree_seed;
    /* Of the schedule's steps those from `first_step` on and before `end_step`: a part of a run that
     * another sampler begins or ends. 0, 0: all. Where image-to-image begins later, that counts. */
    int32_t first_step, end_step;
    size_t count; /* floats of the latent; of all of a batch that shares the noise */
};

struct sampler_state; /* private; in sampler.c */

struct sampler {
    float *
        latent; /* [count], the state x; starts as the caller fills it (see sampler_start) */
    int32_t step;       /* current, 0-based; model calls may be more (heun) */
    int32_t step_count; /* that will be taken */
    struct sampler_state *state;
};

struct sampler_call {
    const float *input; /* [count]: x scaled for the model */
    float time;         /* what the UNet sees; may be fractional */
    double sigma;       /* noise level, for logs and previews */
};

/* The least strength that takes a step of so many (at least 1): 1/steps rounded up to three digits, as it is printed. */
double sampler_least_strength(int32_t steps);

/* Bytes of memory that sampler_init needs, exact; 64-aligned. Errors: DR_BAD_INPUT: steps out
 * of range (LCM takes at most 50), a pair that does not go (lists the ones that do), strength
 * outside 0..1 or one that leaves no step, a part without a step, no or too many floats, noise prediction where zero
 * terminal SNR leaves ddim or lcm nothing to predict it from. */
enum dr_code sampler_bytes(const struct sampler_options *options, size_t *bytes,
                           struct dr_error *err) DR_MUST_CHECK;

/* memory: sampler_bytes bytes, 64-aligned, the caller's, until the run ends. noise: where the
 * stochastic samplers draw from, once a step, in the reference's order (euler-a, dpmpp-2m-sde and ddpm
 * at the last step too, where it has no weight; the others not; restart only where it begins again); borrowed until the
 * run ends, may be NULL for the others. The same errors as sampler_bytes; the sampler is untouched then. */
enum dr_code sampler_init(struct sampler *sampler,
                          const struct sampler_options *options, void *memory,
                          struct random_source *noise,
                          struct dr_error *err) DR_MUST_CHECK;

/* Begin. Text-to-image: s.latent holds standard normal noise, which is multiplied by the
 * schedule's initial sigma. Image-to-image: s.latent holds the image's latent; noise [count]
 * is mixed in for the starting step (add_noise). noise may be NULL for text-to-image. */
void sampler_start(struct sampler *sampler, const float *noise);

/* The next evaluation wanted; false when done. Asked again before sampler_take it says the
 * same. call->input stays as it is until sampler_take. */
bool sampler_next(struct sampler *sampler, struct sampler_call *call);
/* The model's answer [count] (epsilon or v, guidance applied) to the last call; may not be
 * memory of the sampler's. */
void sampler_take(struct sampler *sampler, const float *prediction);

/* The picture as the model sees it now: the latents without noise [count] that its answer to the last call
 * stands for. Before sampler_take, which it does not disturb. out may be neither the answer nor
 * memory of the sampler's. */
void sampler_picture(const struct sampler *sampler, const float *prediction,
                     float *out);

/* Model evaluations in all, for progress: some samplers have two a step, but one in a step to 0. */
int32_t sampler_call_count(const struct sampler *sampler);

#endif
