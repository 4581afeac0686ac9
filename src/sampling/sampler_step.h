/* sampler_step — how each sampler takes a step: the table of samplers and their updates.
 *
 * Every update is a weighted sum of a few vectors: the latent, the model's answer, what was
 * kept of earlier steps, fresh noise. So a sampler is a row of sampler_rules (what it goes
 * with, what it keeps, when it draws noise) and one small function that finds the weights, in
 * double; one loop over the floats serves all. A new sampler is a row and a function.
 *
 * Private to sampler.c, which lays out the memory, drives the steps and draws the noise.
 */
#ifndef SAMPLING_SAMPLER_STEP_H
#define SAMPLING_SAMPLER_STEP_H

#include "sampling/sampler.h"

enum {
    SAMPLER_MAX_KEPT = 3
};

enum sampler_noise {
    SAMPLER_NOISE_NEVER,
    SAMPLER_NOISE_ALWAYS,
    SAMPLER_NOISE_BUT_LAST
};

/* Take the model's answer; true when the step is complete, false for a second evaluation. The
 * fresh noise, where the rule asks for it, lies in scratch. */
typedef bool sampler_update(struct sampler *sampler, const float *answer);

struct sampler_rule {
    const enum schedule_kind *schedules; /* the default first */
    int32_t schedule_count;
    const struct schedule_grid *grid;
    bool scales_input; /* Euler's view: the model sees x/sqrt(sigma^2 + 1) */
    bool two_calls;    /* a second evaluation at the end of each step but the last */
    int32_t kept;      /* vectors that live from one evaluation to the next */
    enum sampler_noise noise;
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
    bool image_to_image;
    bool halfway; /* heun: the second evaluation of a step is due */
    double owed;  /* unipc: the weight of the next picture in kept[2] */
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

/* x = x_weight*x + weight*vector, elementwise in float32. */
void sampler_mix_into(float *x, size_t count, double x_weight, double weight,
                      const float *vector);

#endif
