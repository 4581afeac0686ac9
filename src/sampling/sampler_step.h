/* sampler_step — how a sampler takes a step, as data: the table of rules, and what their updates work on.
 *
 * Every update is a weighted sum of a few vectors: the latent, the model's answer, what was
 * kept of earlier steps, fresh noise. So a sampler is a row of sampler_rules (what it goes
 * with, what it keeps, where its noise comes from) and one small function that finds the weights, in
 * double; one loop over the floats serves all (sampler_sum). A new sampler is a row and a function. The functions are
 * in step_euler.c, step_multistep.c, step_sde.c and step_time.c.
 *
 * Two views of a noise level occur. Euler's family and k-diffusion's samplers keep the signal at weight 1, x = x0 +
 * sigma*eps, and scale x for the model; the others keep x = alpha*x0 + noise*eps, which is
 * what the model was trained on. In the second view lambda = log(alpha/noise) = -log(sigma),
 * hence a step of length h in lambda has exp(-h) = sigma_next/sigma, and 0 at the end is no
 * special case: exp(-h) is then 0.
 *
 * Private to the samplers: sampler.c lays out the memory and drives the steps.
 */
#ifndef SAMPLING_SAMPLER_STEP_H
#define SAMPLING_SAMPLER_STEP_H

#include "sampling/sampler.h"

enum {
    SAMPLER_MAX_KEPT = 5
};

enum sampler_noise {
    SAMPLER_NOISE_NONE,
    SAMPLER_NOISE_SEQUENCE, /* from the source, as it goes on */
    SAMPLER_NOISE_TREE /* from a Brownian tree; its scratch is kept[0] and kept[1] */
};

enum sampler_calls {
    SAMPLER_CALLS_ONE,
    SAMPLER_CALLS_TWO,      /* but one in a step to 0 */
    SAMPLER_CALLS_TWO_FIRST /* two in the first step alone, if another one follows */
};

/* Options that a sampler obeys, beside its noise's strength: bits. */
enum {
    SAMPLER_TAKES_ETA = 1,
    SAMPLER_TAKES_CHURN = 2
};

/* Take the model's answer; true when the step is complete, false for a second evaluation, which was prepared with
 * sampler_ask. */
typedef bool sampler_update(struct sampler *sampler, const float *answer);

struct sampler_rule {
    const enum schedule_kind *schedules; /* the default first */
    int32_t schedule_count;
    enum schedule_kind automatic; /* A1111's */
    const struct schedule_grid *grid;
    bool scales_input; /* Euler's view: the model sees x/sqrt(sigma^2 + 1) */
    enum sampler_calls calls;
    int32_t kept; /* vectors that live from one evaluation to the next */
    enum sampler_noise noise;
    unsigned options;
    double eta;          /* where none is given */
    bool draws_with_eta; /* noise is drawn only where eta is not 0 */
    sampler_update *update;
};

extern const struct sampler_rule sampler_rules[SAMPLER_COUNT];

struct sampler_state {
    const struct sampler_rule *rule;
    struct random_source *noise;
    struct schedule_step *steps; /* [total] */
    float *scratch; /* the scaled input; after the model's call, the fresh noise */
    float *kept[SAMPLER_MAX_KEPT];
    size_t count;
    int32_t start, total; /* first step taken, steps of the schedule */
    enum schedule_kind schedule;
    enum prediction_kind prediction;
    struct schedule_model model;
    struct sampler_tuning tuning; /* complete: nothing is open */
    int32_t first; /* step of the whole run, of which this may be a part */
    bool image_to_image;
    bool has_begun;  /* the step's first evaluation was prepared */
    bool is_halfway; /* the second evaluation of a step is due */
    double sigma;    /* of the evaluation that is due ... */
    float time;      /* ... and what the UNet is told */
    double from;     /* sigma of the step's first evaluation */
    double owed;     /* unipc: the weight of the next picture in kept[2] */
    enum random_kind tree_kind;
    uint64_t tree_seed;
    double tree_start, tree_end;
};

/* The step to take now, and whether it is the last of the schedule: a run may end before. */
static inline const struct schedule_step *sampler_current(const struct sampler *sampler)
{
    return &sampler->state->steps[sampler->state->start + sampler->step];
}

static inline bool sampler_is_last(const struct sampler *sampler)
{
    return sampler->state->start + sampler->step == sampler->state->total - 1;
}

/* The second evaluation of the step is to be at this level, of the latent as it is now. The time is worked out, or known
 * where the level is the step's end. */
void sampler_ask(struct sampler *sampler, double sigma);
void sampler_ask_end(struct sampler *sampler);

/* Fresh noise in scratch: the next of the sequence, or the tree's from one level to another. */
const float *sampler_draw(struct sampler *sampler);
const float *sampler_draw_between(struct sampler *sampler, double from, double to);

/* ---- What the model's answer means: every view of it is linear in x and the answer ---- */

struct mix {
    double x;      /* weight of the state */
    double answer; /* weight of the model's answer */
};

/* dx/dsigma = (x - x0)/sigma, and x0, in Euler's view. */
struct mix sampler_slope(enum prediction_kind prediction, double sigma);
struct mix sampler_denoised(enum prediction_kind prediction, double sigma);
/* The picture without noise, and the noise, from x = alpha*x0 + noise*eps. */
struct mix sampler_picture_mix(enum prediction_kind prediction,
                               struct schedule_level level);
struct mix sampler_noise_mix(enum prediction_kind prediction,
                             struct schedule_level level);

/* The picture that the answer stands for, in the sampler's view, becomes kept[first]; the ones that were in kept[first] to
 * kept[last] move up by one. */
void sampler_keep_picture(struct sampler *sampler, const float *answer, int32_t first,
                          int32_t last);

/* The updates, each in the file of its group. */
sampler_update step_euler, step_euler_a, step_heun, step_dpm2, step_dpm2_a, step_lms;
sampler_update step_dpmpp_2m, step_dpmpp_2m_sde, step_unipc, step_deis;
sampler_update step_dpmpp_2s_a, step_dpmpp_sde, step_dpmpp_2m_sde_heun,
    step_dpmpp_3m_sde;
sampler_update step_ddim, step_ddpm, step_plms, step_lcm, step_tcd;

#endif
