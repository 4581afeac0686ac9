/* Methods that lay a line through what they saw in earlier steps, in the view that the model was trained on. */
#include "sampling/sampler_step.h"

#include <math.h>

#include "sampling/sampler_sum.h"

/* The ratio of the step before to this one, in lambda; 0 where no line can be laid through the
 * last two pictures: at the first step, at one to 0, which is infinitely long, and where rounding
 * made two levels equal (near 1000 steps). */
static double step_ratio(const struct sampler *sampler)
{
    const struct schedule_step *const step = sampler_current(sampler);
    if (sampler->step == 0 || step->sigma_next <= 0) return 0;
    if (step->sigma_next >= step->sigma || step->sigma >= step[-1].sigma) return 0;
    return log(step[-1].sigma / step->sigma) / log(step->sigma / step->sigma_next);
}

/* DPM-Solver++(2M): arXiv 2211.01095 algorithm 2. UniPC's predictor of order 2 is the same
 * step (arXiv 2302.04867, rho 1/2). The last step, to 0, is of first order. */
static bool second_order(struct sampler *sampler)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const double gain = to.alpha * (1 - step->sigma_next / step->sigma);
    const double ratio = step_ratio(sampler);
    const double bend = ratio > 0 ? 0.5 * gain / ratio : 0;
    float *const x = sampler->latent;
    if (bend > 0)
        sum_into(x, state->count, {to.noise / from.noise, x},
                 {gain + bend, state->kept[0]}, {-bend, state->kept[1]});
    else
        sum_into(x, state->count, {to.noise / from.noise, x}, {gain, state->kept[0]});
    return true;
}

bool step_dpmpp_2m(struct sampler *sampler, const float *answer)
{
    sampler_keep_picture(sampler, answer, 0, 1);
    return second_order(sampler);
}

/* With eta 1, as the reference has it, and with less. shrink: exp(-h). */
struct sde_shares {
    double old;   /* exp(-eta h) */
    double gain;  /* 1 - exp(-(1 + eta) h) */
    double fresh; /* sqrt(1 - exp(-2 eta h)) */
};

static struct sde_shares sde_shares_of(double shrink, double eta)
{
    if (eta == 1) {
        const double left = fmax(1 - shrink * shrink, 0);
        return (struct sde_shares){.old = shrink, .gain = left, .fresh = sqrt(left)};
    }
    const double old = pow(shrink, eta);
    return (struct sde_shares){.old = old,
                               .gain = fmax(1 - shrink * old, 0),
                               .fresh = sqrt(fmax(1 - old * old, 0))};
}

/* The same for the stochastic equation: sde-dpmsolver++ of the reference, order 2, midpoint. */
bool step_dpmpp_2m_sde(struct sampler *sampler, const float *answer)
{
    sampler_keep_picture(sampler, answer, 0, 1);
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const struct sde_shares shares =
        sde_shares_of(step->sigma_next / step->sigma, state->tuning.eta);
    const double gain = to.alpha * shares.gain;
    const double ratio = step_ratio(sampler);
    const double bend = ratio > 0 ? 0.5 * gain / ratio : 0;
    const double fresh = to.noise * shares.fresh * state->tuning.s_noise;
    const float *const noise = sampler_draw(sampler);
    float *const x = sampler->latent;
    const struct term old = {to.noise / from.noise * shares.old, x};
    if (bend > 0)
        sum_into(x, state->count, old, {gain + bend, state->kept[0]},
                 {-bend, state->kept[1]}, {fresh, noise});
    else
        sum_into(x, state->count, old, {gain, state->kept[0]}, {fresh, noise});
    return true;
}

/* The weights of UniC with B(h) = exp(-h) - 1, order 1 or 2, for the step that `step` is:
 * how far to go towards the picture at its end, and along the line through the two before. */
struct corrector {
    double end;  /* rho of (picture at the end - picture at the start) */
    double line; /* rho/r of (picture before - picture at the start) */
};

static struct corrector corrector_of(const struct schedule_step *step, double ratio)
{
    if (!(ratio > 0)) return (struct corrector){.end = 0.5, .line = 0};
    /* Where the earlier picture lies, in steps from the start of this one. */
    const double r = -ratio;
    const double hh = log(step->sigma_next / step->sigma);
    const double b_of_h = step->sigma_next / step->sigma - 1;
    const double phi_2 = b_of_h / hh - 1;
    const double phi_3 = phi_2 / hh - 0.5;
    const double b1 = phi_2 / b_of_h, b2 = 2 * phi_3 / b_of_h;
    /* rho_line + rho_end = b1 and r rho_line + rho_end = b2. */
    const double line = (b1 - b2) / (1 - r);
    return (struct corrector){.end = b1 - line, .line = line / r};
}

/* UniPC-2, B2, on pictures: arXiv 2302.04867 algorithms 5 and 6. The corrector redoes a step
 * when the picture at its end is known. All of it but that picture's term is known when the
 * predictor runs, and is put by then, in kept[2]; so nothing older need be kept. */
bool step_unipc(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    float *const x = sampler->latent, *const known = state->kept[2];
    sampler_keep_picture(sampler, answer, 0, 1);
    if (sampler->step > 0)
        sum_into(x, state->count, {1, known}, {state->owed, state->kept[0]});
    if (step->sigma_next <= 0) return second_order(sampler);

    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const double gain = to.alpha * (1 - step->sigma_next / step->sigma);
    const struct corrector rho = corrector_of(step, step_ratio(sampler));
    const struct term old = {to.noise / from.noise, x};
    const struct term start = {gain * (1 - rho.end - rho.line), state->kept[0]};
    if (rho.line != 0)
        sum_into(known, state->count, old, start, {gain * rho.line, state->kept[1]});
    else
        sum_into(known, state->count, old, start);
    state->owed = gain * rho.end;
    return second_order(sampler);
}

/* DEIS of order 2 in rho = noise/alpha, which is sigma: arXiv 2204.13902, the t-AB method; the reference integrates the
 * line through the last two noises over log rho. kept[0], kept[1]: the noises that the last answers stand for. */
static double deis_weight(double at, double here, double other)
{
    return at * (log(at) - log(other) - 1) / (log(here) - log(other));
}

/* Few steps end with one of first order. */
enum {
    DEIS_FEW_STEPS = 15
};

static bool deis_has_line(const struct sampler *sampler)
{
    const struct schedule_step *const step = sampler_current(sampler);
    if (sampler->step == 0 || step[-1].sigma <= step->sigma) return false;
    return !sampler_is_last(sampler) || sampler->state->total >= DEIS_FEW_STEPS;
}

bool step_deis(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const struct mix noise = sampler_noise_mix(state->prediction, from);
    float *const x = sampler->latent, *const newest = state->kept[1];
    state->kept[1] = state->kept[0];
    state->kept[0] = newest;
    sum_into(newest, state->count, {noise.x, x}, {noise.answer, answer});
    const struct term old = {to.alpha / from.alpha, x};
    if (!deis_has_line(sampler)) {
        sum_into(x, state->count, old,
                 {to.alpha * (step->sigma_next - step->sigma), newest});
        return true;
    }
    const double end = step->sigma_next, here = step->sigma, before = step[-1].sigma;
    const double first =
                     deis_weight(end, here, before) - deis_weight(here, here, before),
                 second =
                     deis_weight(end, before, here) - deis_weight(here, before, here);
    sum_into(x, state->count, old, {to.alpha * first, newest},
             {to.alpha * second, state->kept[1]});
    return true;
}
