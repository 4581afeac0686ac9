/* Euler's family: steps along dx/dsigma, in Euler's view. */
#include "sampling/sampler_step.h"

#include <math.h>
#include <string.h>

#include "sampling/ancestral.h"
#include "sampling/sampler_sum.h"

enum {
    LMS_ORDER = 4
};

/* Euler's method on dx/dsigma: arXiv 2206.00364 algorithm 2. */
bool step_euler(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct mix slope = sampler_slope(state->prediction, state->sigma);
    const double length = sampler_current(sampler)->sigma_next - state->sigma;
    sum_into(sampler->latent, state->count, {1 + length * slope.x, sampler->latent},
             {length * slope.answer, answer});
    return true;
}

/* Euler down to below the next level, then noise up to it: the ancestral step of k-diffusion,
 * with the variances of arXiv 2006.11239. */
bool step_euler_a(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const double from = state->sigma;
    const struct mix slope = sampler_slope(state->prediction, from);
    const struct ancestral step =
        ancestral_step(from, sampler_current(sampler)->sigma_next, state->tuning.eta);
    const double length = step.down - from;
    const float *const noise = sampler_draw(sampler);
    sum_into(sampler->latent, state->count, {1 + length * slope.x, sampler->latent},
             {length * slope.answer, answer}, {step.up * state->tuning.s_noise, noise});
    return true;
}

/* The mean of the slopes at both ends: arXiv 2206.00364 algorithm 1. kept[0] is x with half
 * the first slope's way gone; the step to 0 has no slope at its end and stays Euler's. Restart (arXiv 2306.14878) takes
 * the same steps. */
bool step_heun(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const double end = sampler_current(sampler)->sigma_next;
    float *const x = sampler->latent, *const half = state->kept[0];
    const struct mix slope = sampler_slope(state->prediction, state->sigma);
    if (state->is_halfway) {
        const double way = (end - state->from) / 2;
        sum_into(x, state->count, {1, half}, {way * slope.x, x},
                 {way * slope.answer, answer});
        return true;
    }
    if (end <= 0) return step_euler(sampler, answer);
    const double length = end - state->sigma, way = length / 2;
    sum_into(half, state->count, {1 + way * slope.x, x}, {way * slope.answer, answer});
    sum_into(x, state->count, {1 + length * slope.x, x},
             {length * slope.answer, answer});
    sampler_ask_end(sampler);
    return false;
}

/* Half a step in log sigma towards `end`; kept[0] is where it began. */
static void go_halfway(struct sampler *sampler, double end, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct mix slope = sampler_slope(state->prediction, state->sigma);
    const double middle = (double)(float)sqrt(state->sigma * end);
    const double length = middle - state->sigma;
    float *const x = sampler->latent;
    memcpy(state->kept[0], x, sizeof *x * state->count);
    sum_into(x, state->count, {1 + length * slope.x, x},
             {length * slope.answer, answer});
    sampler_ask(sampler, middle);
}

/* The whole step with the slope at its middle: DPM-Solver-2, arXiv 2206.00927 algorithm 1, as k-diffusion has it. */
bool step_dpm2(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const double end = sampler_current(sampler)->sigma_next;
    if (end <= 0) return step_euler(sampler, answer);
    if (!state->is_halfway) {
        go_halfway(sampler, end, answer);
        return false;
    }
    const struct mix slope = sampler_slope(state->prediction, state->sigma);
    const double length = end - state->from;
    float *const x = sampler->latent;
    sum_into(x, state->count, {1, state->kept[0]}, {length * slope.x, x},
             {length * slope.answer, answer});
    return true;
}

/* The same down to below the next level, then noise up to it. */
bool step_dpm2_a(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct ancestral step =
        ancestral_step(state->from, sampler_current(sampler)->sigma_next,
                       state->tuning.eta);
    if (step.down <= 0) return step_euler(sampler, answer);
    if (!state->is_halfway) {
        go_halfway(sampler, step.down, answer);
        return false;
    }
    const struct mix slope = sampler_slope(state->prediction, state->sigma);
    const double length = step.down - state->from;
    float *const x = sampler->latent;
    const float *const noise = sampler_draw(sampler);
    sum_into(x, state->count, {1, state->kept[0]}, {length * slope.x, x},
             {length * slope.answer, answer}, {step.up * state->tuning.s_noise, noise});
    return true;
}

/* The integral over the step of the polynomial that is 1 at step -j and 0 at the `order` - 1 others before and at the
 * start: degree 3 at most, for which Gauss' formula with two points is exact. */
static double lms_weight(const struct schedule_step *step, int32_t order, int32_t j)
{
    const double middle = (step->sigma + step->sigma_next) / 2,
                 half = (step->sigma_next - step->sigma) / 2;
    double sum = 0;
    for (int32_t side = -1; side <= 1; side += 2) {
        const double at = middle + side * half / sqrt(3.0);
        double value = 1;
        for (int32_t k = 0; k < order; ++k)
            if (k != j)
                value *= (at - step[-k].sigma) / (step[-j].sigma - step[-k].sigma);
        sum += half * value;
    }
    return sum;
}

/* How many of the slopes since the start lie at levels of their own. */
static int32_t lms_order(const struct sampler *sampler)
{
    const struct schedule_step *const step = sampler_current(sampler);
    int32_t order = 1;
    while (order < LMS_ORDER && order <= sampler->step &&
           step[-order].sigma > step[1 - order].sigma)
        ++order;
    return order;
}

/* The polynomial through the last four slopes (Adams and Bashforth, for steps of any length). kept[0] to kept[2] are the
 * slopes before this one, the latest first. */
bool step_lms(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct mix slope = sampler_slope(state->prediction, state->sigma);
    const int32_t order = lms_order(sampler);
    float *const x = sampler->latent, *const oldest = state->kept[3];
    sum_into(oldest, state->count, {slope.x, x}, {slope.answer, answer});
    for (int32_t i = 3; i > 0; --i)
        state->kept[i] = state->kept[i - 1];
    state->kept[0] = oldest;
    struct term terms[1 + LMS_ORDER] = {
        {1, x}
    };
    for (int32_t j = 0; j < order; ++j)
        terms[1 + j] = (struct term){lms_weight(step, order, j), state->kept[j]};
    sampler_sum(x, state->count, 1 + order, terms);
    return true;
}
