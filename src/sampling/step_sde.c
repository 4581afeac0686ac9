/* k-diffusion's DPM-Solver++ (arXiv 2211.01095) for the stochastic equation, in Euler's view, where a step of length h in
 * lambda = -log(sigma) has exp(-h) = sigma_next/sigma. */
#include "sampling/sampler_step.h"

#include <math.h>
#include <string.h>

#include "sampling/ancestral.h"
#include "sampling/sampler_sum.h"

enum {
    /* kept[0] and kept[1] are the tree's where noise comes from a tree. */
    BEHIND_THE_TREE = 2
};

/* out = share*x0 + (1 - share)*denoised + fresh*noise, with denoised what the answer to x stands for; out may be x. */
static void go_to(const struct sampler *sampler, float *out, double share,
                  const float *start, const float *answer, double fresh,
                  const float *noise)
{
    const struct sampler_state *const state = sampler->state;
    const struct mix seen = sampler_denoised(state->prediction, state->sigma);
    const double gain = 1 - share;
    const float *const x = sampler->latent;
    const struct term parts[] = {
        {share,              start },
        {gain * seen.x,      x     },
        {gain * seen.answer, answer},
        {fresh,              noise }
    };
    sampler_sum(out, state->count, noise ? 4 : 3, parts);
}

/* What is left of x in a step to 0 is the picture. */
static bool go_to_picture(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct mix seen = sampler_denoised(state->prediction, state->sigma);
    sum_into(sampler->latent, state->count, {seen.x, sampler->latent},
             {seen.answer, answer});
    return true;
}

/* DPM-Solver++(2S), algorithm 1, to below the next level, then noise up to it. kept[0]: where the step began. */
bool step_dpmpp_2s_a(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct ancestral step =
        ancestral_step(state->from, sampler_current(sampler)->sigma_next,
                       state->tuning.eta);
    float *const x = sampler->latent, *const start = state->kept[0];
    if (step.down <= 0) return go_to_picture(sampler, answer);
    if (!state->is_halfway) {
        const double middle = (double)(float)sqrt(state->from * step.down);
        memcpy(start, x, sizeof *x * state->count);
        go_to(sampler, x, middle / state->from, start, answer, 0, NULL);
        sampler_ask(sampler, middle);
        return false;
    }
    go_to(sampler, x, step.down / state->from, start, answer,
          step.up * state->tuning.s_noise, sampler_draw(sampler));
    return true;
}

/* The same with ancestral steps to the middle and to the end, and the noise of a tree. */
bool step_dpmpp_sde(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const double from = state->from, end = sampler_current(sampler)->sigma_next;
    float *const x = sampler->latent, *const start = state->kept[BEHIND_THE_TREE];
    if (end <= 0) return go_to_picture(sampler, answer);
    const double middle = (double)(float)sqrt(from * end);
    const double to = state->is_halfway ? end : middle;
    const struct ancestral step = ancestral_step(from, to, state->tuning.eta);
    const float *const noise = sampler_draw_between(sampler, from, to);
    if (!state->is_halfway) memcpy(start, x, sizeof *x * state->count);
    go_to(sampler, x, step.down / from, start, answer, step.up * state->tuning.s_noise,
          noise);
    if (state->is_halfway) return true;
    sampler_ask(sampler, middle);
    return false;
}

/* The lengths in lambda of this step and the ones before it; 0 where there is none, or where rounding made two levels
 * equal. */
static double length_of(const struct sampler *sampler, int32_t back)
{
    const struct schedule_step *const step = sampler_current(sampler) - back;
    if (back > sampler->step || step->sigma <= step->sigma_next) return 0;
    return log(step->sigma / step->sigma_next);
}

/* What the methods of order 2 and 3 have in common: x shrinks, the picture gains, noise comes in. */
struct sde_step {
    double old, gain, fresh;
    double length; /* (1 + eta) h */
};

static struct sde_step sde_step_of(const struct sampler_state *state,
                                   const struct schedule_step *step)
{
    const double h = log(step->sigma / step->sigma_next), eta = state->tuning.eta;
    return (struct sde_step){.old = exp(-(1 + eta) * h),
                             .gain = -expm1(-(1 + eta) * h),
                             .fresh = step->sigma_next * sqrt(-expm1(-2 * eta * h)) *
                                      state->tuning.s_noise,
                             .length = (1 + eta) * h};
}

/* DPM-Solver++(2M) SDE, Heun's variant: the line through the last two pictures, integrated exactly. */
bool step_dpmpp_2m_sde_heun(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    float *const x = sampler->latent, **const seen = state->kept + BEHIND_THE_TREE;
    sampler_keep_picture(sampler, answer, BEHIND_THE_TREE, BEHIND_THE_TREE + 1);
    if (step->sigma_next <= 0) return go_to_picture(sampler, answer);
    const struct sde_step part = sde_step_of(state, step);
    const double h = length_of(sampler, 0), before = length_of(sampler, 1);
    const float *const noise =
        sampler_draw_between(sampler, step->sigma, step->sigma_next);
    if (!(h > 0 && before > 0)) {
        sum_into(x, state->count, {part.old, x}, {part.gain, seen[0]},
                 {part.fresh, noise});
        return true;
    }
    const double bend = (1 - part.gain / part.length) * h / before;
    sum_into(x, state->count, {part.old, x}, {part.gain + bend, seen[0]},
             {-bend, seen[1]}, {part.fresh, noise});
    return true;
}

/* DPM-Solver++(3M) SDE of k-diffusion: the parabola through the last three pictures, where there are three. */
bool step_dpmpp_3m_sde(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    float *const x = sampler->latent, **const seen = state->kept + BEHIND_THE_TREE;
    sampler_keep_picture(sampler, answer, BEHIND_THE_TREE, BEHIND_THE_TREE + 2);
    if (step->sigma_next <= 0) return go_to_picture(sampler, answer);
    const struct sde_step part = sde_step_of(state, step);
    const double h = length_of(sampler, 0), h1 = length_of(sampler, 1),
                 h2 = length_of(sampler, 2);
    const float *const noise =
        sampler_draw_between(sampler, step->sigma, step->sigma_next);
    if (!(h > 0 && h1 > 0)) {
        sum_into(x, state->count, {part.old, x}, {part.gain, seen[0]},
                 {part.fresh, noise});
        return true;
    }
    /* Weights of the first difference, seen[0] - seen[1], and of the second, seen[1] - seen[2]. */
    const double phi_2 = 1 - part.gain / part.length, phi_3 = phi_2 / part.length - 0.5;
    const double r0 = h1 / h, r1 = h2 / h, all = r0 + r1;
    const double curve = h2 > 0 ? phi_2 * r0 / all - phi_3 / all : 0;
    const double first = (phi_2 + curve) / r0, second = h2 > 0 ? -curve / r1 : 0;
    if (h2 > 0)
        sum_into(x, state->count, {part.old, x}, {part.gain + first, seen[0]},
                 {second - first, seen[1]}, {-second, seen[2]}, {part.fresh, noise});
    else
        sum_into(x, state->count, {part.old, x}, {part.gain + first, seen[0]},
                 {-first, seen[1]}, {part.fresh, noise});
    return true;
}
