/* The table of samplers, and which schedule goes with which. */
#include <assert.h>

#include "base/name_list.h"
#include "sampling/sampler_step.h"

/* What the samplers go with whose steps lead from any level to any other. */
static const enum schedule_kind sigma_schedules[] = {SCHEDULE_NORMAL,
                                                     SCHEDULE_KARRAS,
                                                     SCHEDULE_EXPONENTIAL,
                                                     SCHEDULE_POLYEXPONENTIAL,
                                                     SCHEDULE_SGM_UNIFORM,
                                                     SCHEDULE_SIMPLE,
                                                     SCHEDULE_BETA,
                                                     SCHEDULE_KL_OPTIMAL,
                                                     SCHEDULE_ALIGN_YOUR_STEPS,
                                                     SCHEDULE_LEADING,
                                                     SCHEDULE_TRAILING};
/* Those of diffusers' class. */
static const enum schedule_kind deis_schedules[] = {
    SCHEDULE_NORMAL, SCHEDULE_KARRAS,  SCHEDULE_EXPONENTIAL,
    SCHEDULE_BETA,   SCHEDULE_LEADING, SCHEDULE_TRAILING};
static const enum schedule_kind time_schedules[] = {SCHEDULE_LEADING, SCHEDULE_TRAILING,
                                                    SCHEDULE_NORMAL};
static const enum schedule_kind plms_schedules[] = {SCHEDULE_LEADING};
static const enum schedule_kind lcm_schedules[] = {SCHEDULE_LCM};

#define GOES_WITH(list) \
    .schedules = (list), .schedule_count = sizeof(list) / sizeof((list)[0])

/* `automatic` and what the short grid leaves out are A1111's: modules/sd_samplers_kdiffusion.py. */
/* clang-format off */
const struct sampler_rule sampler_rules[SAMPLER_COUNT] = {
    [SAMPLER_EULER] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_NORMAL, .grid = &schedule_grid_fractional,
        .scales_input = true, .options = SAMPLER_TAKES_CHURN, .update = step_euler},
    [SAMPLER_EULER_A] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_NORMAL, .grid = &schedule_grid_fractional,
        .scales_input = true, .options = SAMPLER_TAKES_ETA, .eta = 1,
        .noise = SAMPLER_NOISE_SEQUENCE, .update = step_euler_a},
    [SAMPLER_HEUN] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_NORMAL, .grid = &schedule_grid_fractional,
        .scales_input = true, .calls = SAMPLER_CALLS_TWO, .kept = 1, .options = SAMPLER_TAKES_CHURN,
        .update = step_heun},
    [SAMPLER_DPMPP_2M] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_KARRAS, .grid = &schedule_grid_whole,
        .kept = 2, .update = step_dpmpp_2m},
    [SAMPLER_DPMPP_2M_SDE] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_EXPONENTIAL, .grid = &schedule_grid_whole,
        .kept = 2, .options = SAMPLER_TAKES_ETA, .eta = 1, .noise = SAMPLER_NOISE_SEQUENCE,
        .update = step_dpmpp_2m_sde},
    [SAMPLER_UNIPC] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_NORMAL, .grid = &schedule_grid_whole,
        .kept = 3, .update = step_unipc},
    [SAMPLER_DDIM] = {
        GOES_WITH(time_schedules), .automatic = SCHEDULE_LEADING, .grid = &schedule_grid_ddim,
        .options = SAMPLER_TAKES_ETA, .draws_with_eta = true, .noise = SAMPLER_NOISE_SEQUENCE,
        .update = step_ddim},
    [SAMPLER_LCM] = {
        GOES_WITH(lcm_schedules), .automatic = SCHEDULE_LCM, .grid = &schedule_grid_lcm,
        .noise = SAMPLER_NOISE_SEQUENCE, .update = step_lcm},
    [SAMPLER_DPMPP_SDE] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_KARRAS, .grid = &schedule_grid_log,
        .scales_input = true, .calls = SAMPLER_CALLS_TWO, .kept = 3, .options = SAMPLER_TAKES_ETA,
        .eta = 1, .noise = SAMPLER_NOISE_TREE, .update = step_dpmpp_sde},
    [SAMPLER_DPMPP_2M_SDE_HEUN] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_EXPONENTIAL, .grid = &schedule_grid_log,
        .scales_input = true, .kept = 4, .options = SAMPLER_TAKES_ETA, .eta = 1,
        .noise = SAMPLER_NOISE_TREE, .update = step_dpmpp_2m_sde_heun},
    [SAMPLER_DPMPP_2S_A] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_KARRAS, .grid = &schedule_grid_log,
        .scales_input = true, .calls = SAMPLER_CALLS_TWO, .kept = 1, .options = SAMPLER_TAKES_ETA,
        .eta = 1, .noise = SAMPLER_NOISE_SEQUENCE, .update = step_dpmpp_2s_a},
    [SAMPLER_DPMPP_3M_SDE] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_EXPONENTIAL,
        .grid = &schedule_grid_log_short, .scales_input = true, .kept = 5,
        .options = SAMPLER_TAKES_ETA, .eta = 1, .noise = SAMPLER_NOISE_TREE,
        .update = step_dpmpp_3m_sde},
    [SAMPLER_DPM2] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_KARRAS, .grid = &schedule_grid_log_short,
        .scales_input = true, .calls = SAMPLER_CALLS_TWO, .kept = 1, .options = SAMPLER_TAKES_CHURN,
        .update = step_dpm2},
    [SAMPLER_DPM2_A] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_KARRAS, .grid = &schedule_grid_log_short,
        .scales_input = true, .calls = SAMPLER_CALLS_TWO, .kept = 1, .options = SAMPLER_TAKES_ETA,
        .eta = 1, .noise = SAMPLER_NOISE_SEQUENCE, .update = step_dpm2_a},
    [SAMPLER_LMS] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_NORMAL, .grid = &schedule_grid_log,
        .scales_input = true, .kept = 4, .update = step_lms},
    [SAMPLER_RESTART] = {
        GOES_WITH(sigma_schedules), .automatic = SCHEDULE_KARRAS, .grid = &schedule_grid_restart,
        .scales_input = true, .calls = SAMPLER_CALLS_TWO, .kept = 1,
        .noise = SAMPLER_NOISE_SEQUENCE, .update = step_heun},
    [SAMPLER_PLMS] = {
        GOES_WITH(plms_schedules), .automatic = SCHEDULE_LEADING, .grid = &schedule_grid_ddim,
        .calls = SAMPLER_CALLS_TWO_FIRST, .kept = 4, .update = step_plms},
    [SAMPLER_DEIS] = {
        GOES_WITH(deis_schedules), .automatic = SCHEDULE_NORMAL, .grid = &schedule_grid_deis,
        .kept = 2, .update = step_deis},
    [SAMPLER_DDPM] = {
        GOES_WITH(time_schedules), .automatic = SCHEDULE_LEADING, .grid = &schedule_grid_lcm,
        .noise = SAMPLER_NOISE_SEQUENCE, .update = step_ddpm},
    [SAMPLER_TCD] = {
        GOES_WITH(lcm_schedules), .automatic = SCHEDULE_LCM, .grid = &schedule_grid_tcd,
        .options = SAMPLER_TAKES_ETA, .eta = 0.3, .draws_with_eta = true,
        .noise = SAMPLER_NOISE_SEQUENCE, .update = step_tcd},
};
/* clang-format on */

static const char *const names[] = {
#define X(name, text) text,
    SAMPLERS(X)
#undef X
};

const char *sampler_name(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return names[kind];
}

bool sampler_from_name(const char *name, enum sampler_kind *kind)
{
    const size_t found = name_list_find(names, SAMPLER_COUNT, name);
    if (found < SAMPLER_COUNT) *kind = (enum sampler_kind)found;
    return found < SAMPLER_COUNT;
}

bool sampler_accepts(enum sampler_kind kind, enum schedule_kind schedule)
{
    assert(kind < SAMPLER_COUNT);
    if (schedule == SCHEDULE_DEFAULT || schedule == SCHEDULE_AUTOMATIC) return true;
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

enum schedule_kind sampler_automatic_schedule(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return sampler_rules[kind].automatic;
}

enum schedule_kind sampler_resolve_schedule(enum sampler_kind kind,
                                            enum schedule_kind schedule)
{
    if (schedule == SCHEDULE_DEFAULT) return sampler_default_schedule(kind);
    return schedule == SCHEDULE_AUTOMATIC ? sampler_automatic_schedule(kind) : schedule;
}

bool sampler_takes_eta(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return (sampler_rules[kind].options & SAMPLER_TAKES_ETA) != 0;
}

bool sampler_takes_churn(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return (sampler_rules[kind].options & SAMPLER_TAKES_CHURN) != 0;
}

int32_t sampler_calls_per_step(enum sampler_kind kind)
{
    assert(kind < SAMPLER_COUNT);
    return sampler_rules[kind].calls == SAMPLER_CALLS_TWO ? 2 : 1;
}
