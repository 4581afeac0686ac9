/* What a run may be, where its memory lies, and the order in which it goes on. The steps
 * themselves are in step_*.c.
 */
#include "sampling/sampler.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "sampling/brownian_tree.h"
#include "sampling/sampler_step.h"
#include "sampling/sampler_sum.h"

enum {
    SAMPLER_ALIGN = 64
};

/* ---- Options ---- */

static enum schedule_kind schedule_of(const struct sampler_options *options)
{
    return sampler_resolve_schedule(options->kind, options->schedule);
}

static enum dr_code refuse_pair(const struct sampler_options *options,
                                struct dr_error *err)
{
    const struct sampler_rule *const rule = &sampler_rules[options->kind];
    char list[256] = "";
    size_t used = 0;
    for (int32_t i = 0; i < rule->schedule_count; ++i) {
        const int wrote = snprintf(list + used, sizeof list - used, "%s%s",
                                   i ? ", " : "", schedule_name(rule->schedules[i]));
        assert(wrote > 0 && (size_t)wrote < sizeof list - used);
        used += (size_t)wrote;
    }
    return error_set(err, DR_BAD_INPUT,
                     "the sampler %s does not support the schedule %s; it supports: "
                     "%s",
                     sampler_name(options->kind), schedule_name(options->schedule),
                     list);
}

/* Steps that image-to-image takes. strength was a decimal number, and (int)(steps*strength) is
 * meant for that: as a float, 0.7 is 0.699999988 and would lose one of 10 steps. */
static int32_t steps_taken(const struct sampler_options *options)
{
    if (!options->image_to_image) return options->steps;
    const double decimal = rint((double)options->strength * 1e6) / 1e6;
    const int32_t taken = (int32_t)(options->steps * decimal);
    return taken < options->steps ? taken : options->steps;
}

/* The part of the schedule that is run. */
static int32_t end_step(const struct sampler_options *options)
{
    return options->end_step ? options->end_step : options->steps;
}

static int32_t start_step(const struct sampler_options *options)
{
    const int32_t start = options->steps - steps_taken(options);
    return start > options->first_step ? start : options->first_step;
}

double sampler_least_strength(int32_t steps)
{
    int32_t scale = 1000;
    while (scale / steps < 100)
        scale *= 10;
    return (double)((scale + steps - 1) / steps) / scale;
}

static enum dr_code check_steps(const struct sampler_options *options,
                                struct dr_error *err)
{
    const int32_t most =
        schedule_of(options) == SCHEDULE_LCM ? SCHEDULE_LCM_STEPS : SAMPLER_MAX_STEPS;
    if (options->steps < 1 || options->steps > most)
        return error_set(err, DR_BAD_INPUT, "%d steps: the sampler %s takes 1 to %d",
                         (int)options->steps, sampler_name(options->kind), (int)most);
    const int32_t end = end_step(options);
    if (options->first_step < 0 || end > options->steps || options->first_step >= end)
        return error_set(err, DR_BAD_INPUT,
                         "steps %d to %d of %d: a part of a run has at least one step",
                         (int)options->first_step, (int)end, (int)options->steps);
    if (!options->image_to_image) return DR_OK;
    if (!(options->strength >= 0 && options->strength <= 1))
        return error_set(err, DR_BAD_INPUT, "strength %g: give a value between 0 and 1",
                         (double)options->strength);
    if (start_step(options) >= end)
        return error_set(
            err, DR_BAD_INPUT,
            "strength %g of %d steps leaves no step; give a strength of at least "
            "%.3g, or more steps",
            (double)options->strength, (int)options->steps,
            sampler_least_strength(options->steps));
    return DR_OK;
}

/* What the sampler would not read is refused: it would be a picture without it. */
static enum dr_code check_tuning(const struct sampler_options *options,
                                 struct dr_error *err)
{
    const struct sampler_tuning *const tuning = &options->tuning;
    const unsigned takes = sampler_rules[options->kind].options;
    if (!tuning->is_given) return DR_OK;
    if (!(tuning->eta <= 1) || !(tuning->s_churn >= 0) || !(tuning->s_tmin >= 0) ||
        !(tuning->s_tmax >= 0) || !(tuning->s_noise >= 0) || isinf(tuning->s_churn) ||
        isinf(tuning->s_noise))
        return error_set(err, DR_BAD_INPUT,
                         "eta %g, s_churn %g, s_tmin %g, s_tmax %g, s_noise %g: eta is "
                         "at most 1, the others are at least 0",
                         tuning->eta, tuning->s_churn, tuning->s_tmin, tuning->s_tmax,
                         tuning->s_noise);
    if (tuning->eta >= 0 && !(takes & SAMPLER_TAKES_ETA))
        return error_set(
            err, DR_BAD_INPUT,
            "eta %g: the sampler %s adds no noise that it could scale; "
            "leave it out, or take an ancestral or SDE sampler, ddim or tcd",
            tuning->eta, sampler_name(options->kind));
    if (tuning->s_churn > 0 && !(takes & SAMPLER_TAKES_CHURN))
        return error_set(err, DR_BAD_INPUT,
                         "s_churn %g: the sampler %s has none; leave it out, or take "
                         "euler, heun or dpm2",
                         tuning->s_churn, sampler_name(options->kind));
    return DR_OK;
}

static enum dr_code check_options(const struct sampler_options *options,
                                  struct dr_error *err)
{
    if (options->kind >= SAMPLER_COUNT)
        return error_set(err, DR_BAD_INPUT, "sampler number %d: there are %d",
                         (int)options->kind, (int)SAMPLER_COUNT);
    if (options->schedule >= SCHEDULE_COUNT)
        return error_set(err, DR_BAD_INPUT, "schedule number %d: there are %d",
                         (int)options->schedule, (int)SCHEDULE_COUNT);
    if (!sampler_accepts(options->kind, options->schedule))
        return refuse_pair(options, err);
    /* abar 0 leaves nothing of the picture in x, and x - eps is 0/0 of it. */
    if (options->zero_terminal_snr && options->prediction == PREDICTION_EPSILON &&
        sampler_rules[options->kind].grid->reaches_zero)
        return error_set(
            err, DR_BAD_INPUT,
            "the sampler %s cannot start a noise-predicting (eps) model at zero "
            "terminal SNR; use v prediction or another sampler",
            sampler_name(options->kind));
    const enum dr_code code = check_tuning(options, err);
    return code == DR_OK ? check_steps(options, err) : code;
}

/* ---- Memory: state, steps, latent, scratch, kept, each on its own cache line ---- */

struct layout {
    size_t bytes;
    bool overflow;
};

/* Append a part of count*size bytes; its offset. */
static size_t layout_add(struct layout *layout, size_t count, size_t size)
{
    const size_t offset = layout->bytes;
    size_t part, end;
    if (!size_mul(count, size, &part) || !size_add(offset, part, &end) ||
        !size_add(end, SAMPLER_ALIGN - 1, &end))
        layout->overflow = true;
    else
        layout->bytes = end - end % SAMPLER_ALIGN;
    return offset;
}

/* What is open is the sampler's own. */
static struct sampler_tuning tuning_of(const struct sampler_options *options)
{
    const double own = sampler_rules[options->kind].eta;
    struct sampler_tuning tuning = options->tuning;
    if (!tuning.is_given)
        return (struct sampler_tuning){.eta = own, .s_tmax = INFINITY, .s_noise = 1};
    if (tuning.eta < 0) tuning.eta = own;
    return tuning;
}

static bool needs_scratch(const struct sampler_options *options)
{
    const struct sampler_rule *const rule = &sampler_rules[options->kind];
    const bool draws = rule->noise != SAMPLER_NOISE_NONE &&
                       !(rule->draws_with_eta && tuning_of(options).eta == 0);
    return rule->scales_input || draws;
}

/* The one walk over the memory: with memory NULL it counts, else it sets the pointers too. */
static enum dr_code lay_out(const struct sampler_options *options,
                            unsigned char *memory, struct sampler *sampler,
                            size_t *bytes, struct dr_error *err)
{
    const struct sampler_rule *const rule = &sampler_rules[options->kind];
    const size_t count = options->count;
    struct layout layout = {0};
    size_t kept[SAMPLER_MAX_KEPT];
    const size_t state = layout_add(&layout, 1, sizeof(struct sampler_state));
    const size_t steps =
        layout_add(&layout, (size_t)options->steps, sizeof(struct schedule_step));
    const size_t latent = layout_add(&layout, count, sizeof(float));
    const size_t scratch =
        layout_add(&layout, needs_scratch(options) ? count : 0, sizeof(float));
    for (int32_t i = 0; i < rule->kept; ++i)
        kept[i] = layout_add(&layout, count, sizeof(float));
    if (layout.overflow || count == 0)
        return error_set(err, DR_BAD_INPUT, "a latent of %zu floats", count);
    *bytes = layout.bytes;
    if (!memory) return DR_OK;

    *sampler = (struct sampler){.state = (void *)(memory + state),
                                .latent = (void *)(memory + latent)};
    *sampler->state = (struct sampler_state){.rule = rule,
                                             .count = count,
                                             .steps = (void *)(memory + steps)};
    if (needs_scratch(options)) sampler->state->scratch = (void *)(memory + scratch);
    for (int32_t i = 0; i < rule->kept; ++i)
        sampler->state->kept[i] = (void *)(memory + kept[i]);
    return DR_OK;
}

enum dr_code sampler_bytes(const struct sampler_options *options, size_t *bytes,
                           struct dr_error *err)
{
    const enum dr_code code = check_options(options, err);
    return code == DR_OK ? lay_out(options, NULL, NULL, bytes, err) : code;
}

/* ---- The run ---- */

static void scale(float *out, size_t count, double weight, const float *vector)
{
    const float w = (float)weight;
#pragma omp simd
    for (size_t i = 0; i < count; ++i)
        out[i] = w * vector[i];
}

/* From the least to the highest level of the run, as k-diffusion lets the motion run. */
static void span_tree(struct sampler_state *state)
{
    state->tree_start = INFINITY;
    state->tree_end = 0;
    for (int32_t i = state->first; i < state->total; ++i) {
        const double from = state->steps[i].sigma, to = state->steps[i].sigma_next;
        state->tree_end = fmax(state->tree_end, from);
        state->tree_start = fmin(state->tree_start, to > 0 ? to : from);
    }
}

enum dr_code sampler_init(struct sampler *sampler,
                          const struct sampler_options *options, void *memory,
                          struct random_source *noise, struct dr_error *err)
{
    size_t bytes;
    enum dr_code code = check_options(options, err);
    if (code != DR_OK) return code;
    assert(memory && (uintptr_t)memory % SAMPLER_ALIGN == 0);
    code = lay_out(options, memory, sampler, &bytes, err);
    if (code != DR_OK) return code;

    struct sampler_state *const state = sampler->state;
    state->noise = noise;
    state->total = options->steps;
    state->first = options->steps - steps_taken(options);
    state->start = start_step(options);
    sampler->step_count = end_step(options) - state->start;
    state->schedule = schedule_of(options);
    state->prediction = options->prediction;
    state->image_to_image = options->image_to_image;
    state->model =
        (struct schedule_model){.zero_terminal_snr = options->zero_terminal_snr,
                                .is_sdxl = options->is_sdxl};
    state->tuning = tuning_of(options);
    state->tree_kind = options->tree_kind;
    state->tree_seed = options->tree_seed;
    schedule_fill(state->rule->grid, state->schedule, state->total, state->first,
                  &state->model, state->steps);
    span_tree(state);
    return DR_OK;
}

/* The standard deviation of the first x. In Euler's view it is the first sigma; with leading
 * times, which start well below 999, that of signal and noise together. */
static double initial_sigma(const struct sampler_state *state)
{
    if (!state->rule->scales_input) return 1;
    const double sigma = state->steps[0].sigma;
    return state->schedule == SCHEDULE_LEADING ? sqrt(sigma * sigma + 1) : sigma;
}

void sampler_start(struct sampler *sampler, const float *noise)
{
    struct sampler_state *const state = sampler->state;
    sampler->step = 0;
    state->has_begun = false;
    state->is_halfway = false;
    if (!state->image_to_image) {
        scale(sampler->latent, state->count, initial_sigma(state), sampler->latent);
        return;
    }
    assert(noise);
    const double sigma = sampler_current(sampler)->sigma;
    const struct schedule_level level = schedule_level(sigma);
    if (state->rule->scales_input)
        sum_into(sampler->latent, state->count, {1, sampler->latent}, {sigma, noise});
    else
        sum_into(sampler->latent, state->count, {level.alpha, sampler->latent},
                 {level.noise, noise});
}

const float *sampler_draw(struct sampler *sampler)
{
    struct sampler_state *const state = sampler->state;
    assert(state->noise && state->scratch);
    random_normal(state->noise, state->scratch, state->count);
    return state->scratch;
}

const float *sampler_draw_between(struct sampler *sampler, double from, double to)
{
    const struct sampler_state *const state = sampler->state;
    const struct brownian_tree tree = {.kind = state->tree_kind,
                                       .seed = state->tree_seed,
                                       .start = state->tree_start,
                                       .end = state->tree_end,
                                       .count = state->count,
                                       .current = state->kept[0],
                                       .noise = state->kept[1]};
    brownian_tree_increment(&tree, from, to, state->scratch);
    return state->scratch;
}

void sampler_ask(struct sampler *sampler, double sigma)
{
    struct sampler_state *const state = sampler->state;
    state->sigma = sigma;
    state->time = (float)schedule_time(&state->model, sigma);
    state->is_halfway = true;
}

void sampler_ask_end(struct sampler *sampler)
{
    struct sampler_state *const state = sampler->state;
    state->sigma = sampler_current(sampler)->sigma_next;
    state->time = (float)sampler_current(sampler)->time_next;
    state->is_halfway = true;
}

/* Noise that raises the level of x from one sigma to another. */
static void raise_level(struct sampler *sampler, double from, double to)
{
    const struct sampler_state *const state = sampler->state;
    const float *const noise = sampler_draw(sampler);
    sum_into(sampler->latent, state->count, {1, sampler->latent},
             {sqrt(to * to - from * from) * state->tuning.s_noise, noise});
}

/* How far the level is raised before this step: arXiv 2206.00364 algorithm 2. */
static double churn_of(const struct sampler_state *state, double sigma)
{
    const struct sampler_tuning *const tuning = &state->tuning;
    if (!(tuning->s_churn > 0) || sigma < tuning->s_tmin || sigma > tuning->s_tmax)
        return 0;
    return fmin(tuning->s_churn / (state->total - state->first), sqrt(2.0) - 1);
}

/* The level of the first evaluation: the step's, with the noise that comes before it. */
static void begin_step(struct sampler *sampler)
{
    struct sampler_state *const state = sampler->state;
    const struct schedule_step *const step = sampler_current(sampler);
    const bool is_first = state->start + sampler->step == state->first;
    if (!is_first && state->rule->grid->restarts && step[-1].sigma_next < step->sigma)
        raise_level(sampler, step[-1].sigma_next, step->sigma);
    state->sigma = step->sigma;
    state->time = (float)step->time;
    const double churn = churn_of(state, step->sigma);
    if (churn > 0) {
        state->sigma = (double)(float)(step->sigma * (1 + churn));
        state->time = (float)schedule_time(&state->model, state->sigma);
        raise_level(sampler, step->sigma, state->sigma);
    } else if (state->tuning.s_churn > 0) {
        (void)sampler_draw(
            sampler); /* as the reference does, for the steps that follow */
    }
    state->from = state->sigma;
    state->has_begun = true;
}

bool sampler_next(struct sampler *sampler, struct sampler_call *call)
{
    struct sampler_state *const state = sampler->state;
    if (sampler->step >= sampler->step_count) return false;
    if (!state->has_begun) begin_step(sampler);
    *call = (struct sampler_call){.input = sampler->latent,
                                  .time = state->time,
                                  .sigma = state->sigma};
    if (state->rule->scales_input) {
        scale(state->scratch, state->count, schedule_level(state->sigma).alpha,
              sampler->latent);
        call->input = state->scratch;
    }
    return true;
}

void sampler_take(struct sampler *sampler, const float *prediction)
{
    struct sampler_state *const state = sampler->state;
    assert(sampler->step < sampler->step_count && state->has_begun);
    if (!state->rule->update(sampler, prediction)) return;
    state->is_halfway = false;
    state->has_begun = false;
    ++sampler->step;
}

int32_t sampler_call_count(const struct sampler *sampler)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_step *const steps = state->steps + state->start;
    int32_t count = sampler->step_count;
    switch (state->rule->calls) {
    case SAMPLER_CALLS_ONE: break;
    case SAMPLER_CALLS_TWO:
        for (int32_t i = 0; i < sampler->step_count; ++i)
            count += steps[i].sigma_next > 0;
        break;
    case SAMPLER_CALLS_TWO_FIRST: count += state->start + 1 < state->total; break;
    }
    return count;
}

/* ---- What the model's answer means ---- */

struct mix sampler_slope(enum prediction_kind prediction, double sigma)
{
    if (prediction == PREDICTION_EPSILON) return (struct mix){0, 1};
    const double square = sigma * sigma + 1;
    return (struct mix){sigma / square, 1 / sqrt(square)};
}

struct mix sampler_denoised(enum prediction_kind prediction, double sigma)
{
    if (prediction == PREDICTION_EPSILON) return (struct mix){1, -sigma};
    const double square = sigma * sigma + 1;
    return (struct mix){1 / square, -sigma / sqrt(square)};
}

struct mix sampler_picture_mix(enum prediction_kind prediction,
                               struct schedule_level level)
{
    if (prediction == PREDICTION_EPSILON)
        return (struct mix){1 / level.alpha, -level.noise / level.alpha};
    return (struct mix){level.alpha, -level.noise};
}

struct mix sampler_noise_mix(enum prediction_kind prediction,
                             struct schedule_level level)
{
    if (prediction == PREDICTION_EPSILON) return (struct mix){0, 1};
    return (struct mix){level.noise, level.alpha};
}

void sampler_keep_picture(struct sampler *sampler, const float *answer, int32_t first,
                          int32_t last)
{
    struct sampler_state *const state = sampler->state;
    const struct mix picture =
        state->rule->scales_input
            ? sampler_denoised(state->prediction, state->sigma)
            : sampler_picture_mix(state->prediction, schedule_level(state->sigma));
    float *const newest = state->kept[last];
    for (int32_t i = last; i > first; --i)
        state->kept[i] = state->kept[i - 1];
    state->kept[first] = newest;
    sum_into(newest, state->count, {picture.x, sampler->latent},
             {picture.answer, answer});
}

/* In Euler's view the model sees alpha*x, hence the weight of x. */
void sampler_picture(const struct sampler *sampler, const float *prediction, float *out)
{
    const struct sampler_state *const state = sampler->state;
    const struct schedule_level level = schedule_level(state->sigma);
    const struct mix picture = sampler_picture_mix(state->prediction, level);
    const double view = state->rule->scales_input ? level.alpha : 1;
    sum_into(out, state->count, {picture.x * view, sampler->latent},
             {picture.answer, prediction});
}
