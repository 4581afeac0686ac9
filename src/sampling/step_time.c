/* Methods that step from one time of the training to another, in the view that the model was trained on. */
#include "sampling/sampler_step.h"

#include <math.h>
#include <string.h>

#include "sampling/sampler_sum.h"

enum {
    PLMS_ORDER = 4
};

/* x at `to` as the picture and the noise at `from`, mixed anew: weights of x and of the answer. */
static struct mix mixed_anew(enum prediction_kind prediction,
                             struct schedule_level from, struct schedule_level to,
                             double noise_weight)
{
    const struct mix picture = sampler_picture_mix(prediction, from);
    const struct mix noise = sampler_noise_mix(prediction, from);
    return (struct mix){.x = to.alpha * picture.x + noise_weight * noise.x,
                        .answer =
                            to.alpha * picture.answer + noise_weight * noise.answer};
}

/* arXiv 2010.02502 equation 12; eta 0 adds no noise. */
bool step_ddim(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const double ratio = from.alpha / to.alpha;
    const double fresh =
        state->tuning.eta * (to.noise / from.noise) * sqrt(fmax(1 - ratio * ratio, 0));
    const double kept =
        fresh > 0 ? sqrt(fmax(to.noise * to.noise - fresh * fresh, 0)) : to.noise;
    const struct mix mix = mixed_anew(state->prediction, from, to, kept);
    float *const x = sampler->latent;
    if (state->tuning.eta > 0) {
        const float *const noise = sampler_draw(sampler);
        sum_into(x, state->count, {mix.x, x}, {mix.answer, answer},
                 {fresh * state->tuning.s_noise, noise});
    } else {
        sum_into(x, state->count, {mix.x, x}, {mix.answer, answer});
    }
    return true;
}

/* arXiv 2006.11239 algorithm 2 with the smaller of its variances, for any times: the posterior of the level between the
 * picture and x. */
bool step_ddpm(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next);
    const double alpha = from.alpha / to.alpha, beta = fmax(1 - alpha * alpha, 0);
    const double all = from.noise * from.noise, left = to.noise * to.noise;
    const struct mix picture = sampler_picture_mix(state->prediction, from);
    const double of_picture = to.alpha * beta / all;
    const double fresh = sqrt(fmax(left / all * beta, 0));
    const float *const noise = sampler_draw(sampler);
    float *const x = sampler->latent;
    sum_into(x, state->count, {of_picture * picture.x + alpha * left / all, x},
             {of_picture * picture.answer, answer}, {fresh, noise});
    return true;
}

/* Adams and Bashforth's weights for 1 to 4 answers, the latest first. */
/* clang-format off */
static const double plms_weights[PLMS_ORDER][PLMS_ORDER] = {
    {1},
    {3 / 2.0, -1 / 2.0},
    {23 / 12.0, -16 / 12.0, 5 / 12.0},
    {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0}
};
/* clang-format on */

/* kept[0] to kept[2]: the answers before this one, the latest first. */
static void keep_answer(struct sampler_state *state, const float *answer)
{
    float *const oldest = state->kept[2];
    state->kept[2] = state->kept[1];
    state->kept[1] = state->kept[0];
    state->kept[0] = oldest;
    memcpy(oldest, answer, sizeof *answer * state->count);
}

/* Pseudo linear multistep: arXiv 2202.09778 equation 12. The first step is done twice, the second time with the mean of
 * the answers at both of its ends, from where it began, which is kept[3]. */
bool step_plms(struct sampler *sampler, const float *answer)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const struct schedule_level to = schedule_level(step->sigma_next);
    const struct mix mix =
        mixed_anew(state->prediction, schedule_level(step->sigma), to, to.noise);
    float *const x = sampler->latent;
    if (state->is_halfway) {
        sum_into(x, state->count, {mix.x, state->kept[3]}, {mix.answer / 2, answer},
                 {mix.answer / 2, state->kept[0]});
        return true;
    }
    const int32_t order =
        sampler->step + 1 < PLMS_ORDER ? sampler->step + 1 : PLMS_ORDER;
    const double *const weights = plms_weights[order - 1];
    struct term terms[1 + PLMS_ORDER] = {
        {mix.x,                   x     },
        {mix.answer * weights[0], answer}
    };
    for (int32_t i = 1; i < order; ++i)
        terms[1 + i] = (struct term){mix.answer * weights[i], state->kept[i - 1]};
    const bool comes_again = sampler->step == 0 && !sampler_is_last(sampler);
    if (comes_again) memcpy(state->kept[3], x, sizeof *x * state->count);
    sampler_sum(x, state->count, 1 + order, terms);
    keep_answer(state, answer);
    if (comes_again) sampler_ask_end(sampler);
    return !comes_again;
}

/* arXiv 2310.04378 algorithm 3: jump to the picture, then noise of the next level. The skip
 * and output weights are those of the distillation: sigma_data 0.5, times scaled by 10. */
bool step_lcm(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const double square = 0.5 * 0.5, time = 10 * step->time;
    const double skip = square / (time * time + square);
    const double output = time / sqrt(time * time + square);
    const struct mix picture =
        sampler_picture_mix(state->prediction, schedule_level(step->sigma));
    const struct schedule_level to = schedule_level(step->sigma_next);
    float *const x = sampler->latent;
    const struct term old = {to.alpha * (output * picture.x + skip), x};
    const struct term seen = {to.alpha * output * picture.answer, answer};
    if (sampler_is_last(sampler)) {
        sum_into(x, state->count, old, seen);
        return true;
    }
    const float *const noise = sampler_draw(sampler);
    sum_into(x, state->count, old, seen, {to.noise, noise});
    return true;
}

/* Trajectory consistency: arXiv 2402.19159 algorithm 4. Down to a share 1 - eta of the next time (eta is its gamma), then noise up to
 * that time. */
bool step_tcd(struct sampler *sampler, const float *answer)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const double eta = state->tuning.eta;
    const double time = (double)floorf((float)(1 - eta) * (float)step->time_next);
    const struct schedule_level from = schedule_level(step->sigma),
                                to = schedule_level(step->sigma_next),
                                down =
                                    schedule_level(schedule_sigma(state->rule->grid,
                                                                  &state->model, time));
    const struct mix mix = mixed_anew(state->prediction, from, down, down.noise);
    float *const x = sampler->latent;
    if (!(eta > 0) || sampler_is_last(sampler)) {
        sum_into(x, state->count, {mix.x, x}, {mix.answer, answer});
        return true;
    }
    const double share = to.alpha / down.alpha;
    const float *const noise = sampler_draw(sampler);
    sum_into(x, state->count, {share * mix.x, x}, {share * mix.answer, answer},
             {sqrt(fmax(1 - share * share, 0)), noise});
    return true;
}
