/* Two views of a noise level occur. Euler's family keeps the signal at weight 1, x = x0 +
 * sigma*eps, and scales x for the model; the others keep x = alpha*x0 + noise*eps, which is
 * what the model was trained on. In the second view lambda = log(alpha/noise) = -log(sigma),
 * hence a step of length h in lambda has exp(-h) = sigma_next/sigma, and 0 at the end is no
 * special case: exp(-h) is then 0.
 */
#include "sampling/sampler_step.h"

#include <assert.h>
#include <math.h>

/* ---- Weighted sums ---- */

struct term {
    double weight;
    const float *vector;
};

/* out = the sum of weight*vector, added in the terms' order in float32. out may be one of the
 * vectors: each float is read before it is written, at one place. */
static void combine(float *out, size_t count, int32_t term_count,
                    const struct term *terms)
{
    const float *const v0 = terms[0].vector, *const v1 = terms[1].vector;
    const float w0 = (float)terms[0].weight, w1 = (float)terms[1].weight;
    assert(term_count >= 2 && term_count <= 4);
    if (term_count == 2) {
#pragma omp simd
        for (size_t i = 0; i < count; ++i)
            out[i] = w0 * v0[i] + w1 * v1[i];
        return;
    }
    const float *const v2 = terms[2].vector;
    const float w2 = (float)terms[2].weight;
    if (term_count == 3) {
#pragma omp simd
        for (size_t i = 0; i < count; ++i)
            out[i] = w0 * v0[i] + w1 * v1[i] + w2 * v2[i];
        return;
    }
    const float *const v3 = terms[3].vector;
    const float w3 = (float)terms[3].weight;
#pragma omp simd
    for (size_t i = 0; i < count; ++i)
        out[i] = w0 * v0[i] + w1 * v1[i] + w2 * v2[i] + w3 * v3[i];
}

#define combine_into(out, count, ...)                              \
    combine((out), (count),                                        \
            (int32_t)(sizeof((const struct term[]){__VA_ARGS__}) / \
                      sizeof(struct term)),                        \
            (const struct term[]){__VA_ARGS__})

void sampler_mix_into(float *x, size_t count, double x_weight, double weight,
                      const float *vector)
{
    combine_into(x, count, {x_weight, x}, {weight, vector});
}

/* ---- What the model's answer means: both views of it are linear in x and the answer ---- */

struct mix {
    double x;      /* weight of the state */
    double answer; /* weight of the model's answer */
};

/* dx/dsigma = (x - x0)/sigma in Euler's view. */
static struct mix slope_of(enum prediction_kind prediction, double sigma)
{
    if (prediction == PREDICTION_EPSILON) return (struct mix){0, 1};
    const double square = sigma * sigma + 1;
    return (struct mix){sigma / square, 1 / sqrt(square)};
}

/* The picture without noise, from x = alpha*x0 + noise*eps. */
static struct mix picture_of(enum prediction_kind prediction,
                             struct schedule_level level)
{
    if (prediction == PREDICTION_EPSILON)
        return (struct mix){1 / level.alpha, -level.noise / level.alpha};
    return (struct mix){level.alpha, -level.noise};
}

/* The noise of the same x. */
static struct mix noise_of(enum prediction_kind prediction, struct schedule_level level)
{
    if (prediction == PREDICTION_EPSILON) return (struct mix){0, 1};
    return (struct mix){level.noise, level.alpha};
}

/* In Euler's view the model sees alpha*x, hence the weight of x. */
void sampler_picture(const struct sampler *sampler, const float *prediction, float *out)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level level =
        schedule_level(state->halfway ? step->sigma_next : step->sigma);
    const struct mix picture = picture_of(state->prediction, level);
    const double view = state->rule->scales_input ? level.alpha : 1;
    combine_into(out, state->count, {picture.x * view, sampler->latent},
                 {picture.answer, prediction});
}

/* ---- The updates ---- */

/* Euler's method on dx/dsigma: arXiv 2206.00364 algorithm 2 without churn. */
static bool euler_update(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct mix slope = slope_of(state->prediction, step->sigma);
    const double length = step->sigma_next - step->sigma;
    combine_into(sampler->latent, state->count, {1 + length * slope.x, sampler->latent},
                 {length * slope.answer, answer});
    return true;
}

/* Euler down to below the next level, then noise up to it: the ancestral step of k-diffusion,
 * with the variances of arXiv 2006.11239. */
static bool euler_a_update(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const double from = sampler_current(sampler)->sigma,
                 to = sampler_current(sampler)->sigma_next;
    const struct mix slope = slope_of(state->prediction, from);
    const double up = to * sqrt(fmax(from * from - to * to, 0)) / from;
    const double down = sqrt(fmax(to * to - up * up, 0));
    const double length = down - from;
    combine_into(sampler->latent, state->count, {1 + length * slope.x, sampler->latent},
                 {length * slope.answer, answer}, {up, state->scratch});
    return true;
}

/* The mean of the slopes at both ends: arXiv 2206.00364 algorithm 1. kept[0] is x with half
 * the first slope's way gone; the step to 0 has no slope at its end and stays Euler's. */
static bool heun_update(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const double length = step->sigma_next - step->sigma;
    float *const x = sampler->latent, *const half = state->kept[0];
    if (state->halfway) {
        const struct mix slope = slope_of(state->prediction, step->sigma_next);
        const double way = length / 2;
        combine_into(x, state->count, {1, half}, {way * slope.x, x},
                     {way * slope.answer, answer});
        state->halfway = false;
        return true;
    }
    if (sampler_is_last(sampler)) return euler_update(sampler, answer);
    const struct mix slope = slope_of(state->prediction, step->sigma);
    const double way = length / 2;
    combine_into(half, state->count, {1 + way * slope.x, x},
                 {way * slope.answer, answer});
    combine_into(x, state->count, {1 + length * slope.x, x},
                 {length * slope.answer, answer});
    state->halfway = true;
    return false;
}

/* kept[0] becomes the picture that the answer stands for, kept[1] the one before it. */
static void keep_picture(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct mix picture =
        picture_of(state->prediction, schedule_level(sampler_current(sampler)->sigma));
    float *const newest = state->kept[1];
    state->kept[1] = state->kept[0];
    state->kept[0] = newest;
    combine_into(newest, state->count, {picture.x, sampler->latent},
                 {picture.answer, answer});
}

/* The ratio of the step before to this one, in lambda; 0 where no line can be laid through the
 * last two pictures: at the first step, at the last, which is infinitely long, and where rounding
 * made two levels equal (near 1000 steps). */
static double step_ratio(const struct sampler *sampler)
{
    if (sampler->step == 0 || sampler_is_last(sampler)) return 0;
    const struct schedule_step *const step = sampler_current(sampler);
    if (step->sigma_next >= step->sigma || step->sigma >= step[-1].sigma) return 0;
    return log(step[-1].sigma / step->sigma) / log(step->sigma / step->sigma_next);
}

/* DPM-Solver++(2M): arXiv 2211.01095 algorithm 2. UniPC's predictor of order 2 is the same
 * step (arXiv 2302.04867, rho 1/2). The last step, to 0, is of first order. */
static bool dpmpp_2m_step(struct sampler *sampler)
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
        combine_into(x, state->count, {to.noise / from.noise, x},
                     {gain + bend, state->kept[0]}, {-bend, state->kept[1]});
    else
        combine_into(x, state->count, {to.noise / from.noise, x},
                     {gain, state->kept[0]});
    return true;
}

static bool dpmpp_2m_update(struct sampler *sampler, const float *answer)
{
    keep_picture(sampler, answer);
    return dpmpp_2m_step(sampler);
}

/* The same for the stochastic equation: sde-dpmsolver++ of the reference, order 2, midpoint. */
static bool dpmpp_2m_sde_update(struct sampler *sampler, const float *answer)
{
    keep_picture(sampler, answer);
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const double shrink = step->sigma_next / step->sigma;
    const double left = fmax(1 - shrink * shrink, 0);
    const double gain = to.alpha * left;
    const double ratio = step_ratio(sampler);
    const double bend = ratio > 0 ? 0.5 * gain / ratio : 0;
    const double fresh = to.noise * sqrt(left);
    float *const x = sampler->latent;
    const struct term old = {to.noise / from.noise * shrink, x};
    if (bend > 0)
        combine_into(x, state->count, old, {gain + bend, state->kept[0]},
                     {-bend, state->kept[1]}, {fresh, state->scratch});
    else
        combine_into(x, state->count, old, {gain, state->kept[0]},
                     {fresh, state->scratch});
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
static bool unipc_update(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    float *const x = sampler->latent, *const known = state->kept[2];
    keep_picture(sampler, answer);
    if (sampler->step > 0)
        combine_into(x, state->count, {1, known}, {state->owed, state->kept[0]});
    if (sampler_is_last(sampler)) return dpmpp_2m_step(sampler);

    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const double gain = to.alpha * (1 - step->sigma_next / step->sigma);
    const struct corrector rho = corrector_of(step, step_ratio(sampler));
    const struct term old = {to.noise / from.noise, x};
    const struct term start = {gain * (1 - rho.end - rho.line), state->kept[0]};
    if (rho.line != 0)
        combine_into(known, state->count, old, start,
                     {gain * rho.line, state->kept[1]});
    else
        combine_into(known, state->count, old, start);
    state->owed = gain * rho.end;
    return dpmpp_2m_step(sampler);
}

/* arXiv 2010.02502 equation 12 with sigma 0: the picture and the noise, mixed anew. */
static bool ddim_update(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const struct mix picture = picture_of(state->prediction, from);
    const struct mix noise = noise_of(state->prediction, from);
    combine_into(sampler->latent, state->count,
                 {to.alpha * picture.x + to.noise * noise.x, sampler->latent},
                 {to.alpha * picture.answer + to.noise * noise.answer, answer});
    return true;
}

/* arXiv 2310.04378 algorithm 3: jump to the picture, then noise of the next level. The skip
 * and output weights are those of the distillation: sigma_data 0.5, times scaled by 10. */
static bool lcm_update(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const double square = 0.5 * 0.5, time = 10 * step->time;
    const double skip = square / (time * time + square);
    const double output = time / sqrt(time * time + square);
    const struct mix picture =
        picture_of(state->prediction, schedule_level(step->sigma));
    const struct schedule_level to = schedule_level(step->sigma_next);
    float *const x = sampler->latent;
    const struct term old = {to.alpha * (output * picture.x + skip), x};
    const struct term seen = {to.alpha * output * picture.answer, answer};
    if (sampler_is_last(sampler))
        combine_into(x, state->count, old, seen);
    else
        combine_into(x, state->count, old, seen, {to.noise, state->scratch});
    return true;
}

/* ---- The table ---- */

static const enum schedule_kind sigma_schedules[] = {
    SCHEDULE_NORMAL,      SCHEDULE_KARRAS,  SCHEDULE_EXPONENTIAL,
    SCHEDULE_SGM_UNIFORM, SCHEDULE_LEADING, SCHEDULE_TRAILING};
static const enum schedule_kind ddim_schedules[] = {SCHEDULE_LEADING, SCHEDULE_TRAILING,
                                                    SCHEDULE_NORMAL};
static const enum schedule_kind lcm_schedules[] = {SCHEDULE_LCM};

#define GOES_WITH(list) \
    .schedules = (list), .schedule_count = sizeof(list) / sizeof((list)[0])

/* clang-format off */
const struct sampler_rule sampler_rules[SAMPLER_COUNT] = {
    [SAMPLER_EULER] = {
        GOES_WITH(sigma_schedules), .grid = &schedule_grid_fractional, .scales_input = true,
        .update = euler_update},
    [SAMPLER_EULER_A] = {
        GOES_WITH(sigma_schedules), .grid = &schedule_grid_fractional, .scales_input = true,
        .noise = SAMPLER_NOISE_ALWAYS, .update = euler_a_update},
    [SAMPLER_HEUN] = {
        GOES_WITH(sigma_schedules), .grid = &schedule_grid_fractional, .scales_input = true,
        .two_calls = true, .kept = 1, .update = heun_update},
    [SAMPLER_DPMPP_2M] = {
        GOES_WITH(sigma_schedules), .grid = &schedule_grid_whole, .kept = 2,
        .update = dpmpp_2m_update},
    [SAMPLER_DPMPP_2M_SDE] = {
        GOES_WITH(sigma_schedules), .grid = &schedule_grid_whole, .kept = 2,
        .noise = SAMPLER_NOISE_ALWAYS, .update = dpmpp_2m_sde_update},
    [SAMPLER_UNIPC] = {
        GOES_WITH(sigma_schedules), .grid = &schedule_grid_whole, .kept = 3,
        .update = unipc_update},
    [SAMPLER_DDIM] = {
        GOES_WITH(ddim_schedules), .grid = &schedule_grid_ddim, .update = ddim_update},
    [SAMPLER_LCM] = {
        GOES_WITH(lcm_schedules), .grid = &schedule_grid_lcm,
        .noise = SAMPLER_NOISE_BUT_LAST, .update = lcm_update},
};
/* clang-format on */
