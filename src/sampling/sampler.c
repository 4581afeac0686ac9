/* What a run may be, where its memory lies, and the order in which it goes on. The steps
 * themselves are in sampler_step.c.
 */
#include "sampling/sampler.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name_list.h"
#include "base/size.h"
#include "sampling/sampler_step.h"

enum {
    SAMPLER_ALIGN = 64
};

static const char *const sampler_names[] = {
#define X(name, text) text,
    SAMPLERS(X)
#undef X
};

const char *sampler_name(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return sampler_names[kind];
}

bool sampler_from_name(const char *name, enum sampler_kind *kind)
{
    const size_t found = name_list_find(sampler_names, SAMPLER_COUNT, name);
    if (found < SAMPLER_COUNT) *kind = (enum sampler_kind)found;
    return found < SAMPLER_COUNT;
}

bool sampler_accepts(enum sampler_kind kind, enum schedule_kind schedule)
{
    assert(kind < SAMPLER_COUNT);
    if (schedule == SCHEDULE_DEFAULT) return true;
    for (int32_t i = 0; i < sampler_rules[kind].schedule_count; ++i) {
        if (sampler_rules[kind].schedules[i] == schedule) return true;
    }
    return false;
}

enum schedule_kind sampler_default_schedule(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return sampler_rules[kind].schedules[0];
}

/* ---- Options ---- */

static enum schedule_kind schedule_of(const struct sampler_options *options)
{
    return options->schedule == SCHEDULE_DEFAULT
               ? sampler_default_schedule(options->kind)
               : options->schedule;
}

static enum dr_code refuse_pair(const struct sampler_options *options,
                                struct dr_error *err)
{
    const struct sampler_rule *const rule = &sampler_rules[options->kind];
    char list[128] = "";
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
    return check_steps(options, err);
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

static bool needs_scratch(const struct sampler_rule *rule)
{
    return rule->scales_input || rule->noise != SAMPLER_NOISE_NEVER;
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
        layout_add(&layout, needs_scratch(rule) ? count : 0, sizeof(float));
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
    if (needs_scratch(rule)) sampler->state->scratch = (void *)(memory + scratch);
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

enum dr_code sampler_init(struct sampler *sampler,
                          const struct sampler_options *options, void *memory,
                          struct random_source *noise, struct dr_error *err)
{
    size_t bytes;
    enum dr_code code = check_options(options, err);
    if (code != DR_OK) return code;
    assert(memory && (uintptr_t)memory % SAMPLER_ALIGN == 0);
    assert(noise || sampler_rules[options->kind].noise == SAMPLER_NOISE_NEVER);
    code = lay_out(options, memory, sampler, &bytes, err);
    if (code != DR_OK) return code;

    struct sampler_state *const state = sampler->state;
    state->noise = noise;
    state->total = options->steps;
    state->start = start_step(options);
    sampler->step_count = end_step(options) - state->start;
    state->schedule = schedule_of(options);
    state->prediction = options->prediction;
    state->image_to_image = options->image_to_image;
    schedule_fill(state->rule->grid, state->schedule, state->total,
                  options->zero_terminal_snr, state->steps);
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
    state->halfway = false;
    if (!state->image_to_image) {
        scale(sampler->latent, state->count, initial_sigma(state), sampler->latent);
        return;
    }
    assert(noise);
    const double sigma = sampler_current(sampler)->sigma;
    const struct schedule_level level = schedule_level(sigma);
    if (state->rule->scales_input)
        sampler_mix_into(sampler->latent, state->count, 1, sigma, noise);
    else
        sampler_mix_into(sampler->latent, state->count, level.alpha, level.noise,
                         noise);
}

bool sampler_next(struct sampler *sampler, struct sampler_call *call)
{
    const struct sampler_state *const state = sampler->state;
    if (sampler->step >= sampler->step_count) return false;
    const struct schedule_step *const step =
        sampler_current(sampler) + (state->halfway ? 1 : 0);
    *call = (struct sampler_call){.input = sampler->latent,
                                  .time = (float)step->time,
                                  .sigma = step->sigma};
    if (state->rule->scales_input) {
        scale(state->scratch, state->count, schedule_level(step->sigma).alpha,
              sampler->latent);
        call->input = state->scratch;
    }
    return true;
}

void sampler_take(struct sampler *sampler, const float *prediction)
{
    struct sampler_state *const state = sampler->state;
    assert(sampler->step < sampler->step_count);
    const enum sampler_noise use = state->rule->noise;
    if (use == SAMPLER_NOISE_ALWAYS ||
        (use == SAMPLER_NOISE_BUT_LAST && !sampler_is_last(sampler)))
        random_normal(state->noise, state->scratch, state->count);
    if (state->rule->update(sampler, prediction)) ++sampler->step;
}

int32_t sampler_call_count(const struct sampler *sampler)
{
    const struct sampler_state *const state = sampler->state;
    const int32_t steps = sampler->step_count;
    const bool ends = state->start + steps == state->total;
    return !state->rule->two_calls ? steps : 2 * steps - (ends ? 1 : 0);
}
