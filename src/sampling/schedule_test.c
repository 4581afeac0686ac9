/* The tables of noise levels: values that the reference prints, and what holds for all. The
 * full comparison with diffusers is sampler_test's.
 */
#include "sampling/schedule.h"

#include <math.h>

#include "check.h"

static void check_near(double got, double want)
{
    check_real(fabs(got - want), <=, 1e-7 * fabs(want));
}

static void names_go_both_ways(void)
{
    for (enum schedule_kind kind = 0; kind < SCHEDULE_COUNT; ++kind) {
        enum schedule_kind found = SCHEDULE_COUNT;
        check(schedule_from_name(schedule_name(kind), &found));
        check_int(found, ==, kind);
    }
    enum schedule_kind untouched = SCHEDULE_LCM;
    check(!schedule_from_name("sgm_uniform", &untouched));
    check_int(untouched, ==, SCHEDULE_LCM);
}

/* diffusers' float32 values, not those of exact arithmetic. */
static void ends_are_the_float32_ones(void)
{
    struct schedule_step steps[SCHEDULE_TRAINING_STEPS];
    schedule_fill(&schedule_grid_fractional, SCHEDULE_NORMAL, SCHEDULE_TRAINING_STEPS,
                  0, &(struct schedule_model){0}, steps);
    check_near(steps[0].sigma, 14.6146469);
    check_near(steps[999].sigma, 0.029167535);
    check_real(steps[0].time, ==, 999);
    check_real(steps[999].time, ==, 0);
    check_real(steps[999].sigma_next, ==, 0);
    const double alpha = schedule_level(steps[0].sigma).alpha;
    check_near(alpha * alpha, 0.00466009509);
}

static void check_times(const struct schedule_grid *grid, enum schedule_kind kind,
                        int32_t count, const double *want, int32_t want_count)
{
    struct schedule_step steps[SCHEDULE_TRAINING_STEPS];
    schedule_fill(grid, kind, count, 0,
                  &(struct schedule_model){.zero_terminal_snr = false}, steps);
    for (int32_t i = 0; i < want_count; ++i)
        check_real(fabs(steps[i].time - want[i]), <=, 1e-4);
}

static void times_are_rounded_as_each_sampler_does(void)
{
    check_times(&schedule_grid_fractional, SCHEDULE_NORMAL, 20,
                (const double[]){999, 946.4211}, 2);
    check_times(&schedule_grid_whole, SCHEDULE_EXPONENTIAL, 20,
                (const double[]){998, 942, 881}, 3);
    check_times(&schedule_grid_whole, SCHEDULE_KARRAS, 20, (const double[]){999}, 1);
    check_times(&schedule_grid_fractional, SCHEDULE_LEADING, 20,
                (const double[]){951, 901}, 2);
    check_times(&schedule_grid_lcm, SCHEDULE_LCM, 4,
                (const double[]){999, 759, 499, 259}, 4);
    check_times(&schedule_grid_lcm, SCHEDULE_LCM, 8,
                (const double[]){999, 879, 759, 639, 499, 379, 259, 139}, 8);
    check_times(&schedule_grid_whole, SCHEDULE_SGM_UNIFORM, 4,
                (const double[]){999, 749.25, 499.5, 249.75}, 4);
}

/* 30 steps down from 966 lead to 933, though the next begins at 932. */
static void ddim_steps_by_its_stride(void)
{
    struct schedule_step steps[30], whole[SCHEDULE_TRAINING_STEPS];
    schedule_fill(&schedule_grid_ddim, SCHEDULE_TRAILING, 30, 0,
                  &(struct schedule_model){.zero_terminal_snr = false}, steps);
    schedule_fill(&schedule_grid_ddim, SCHEDULE_TRAILING, 1000, 0,
                  &(struct schedule_model){.zero_terminal_snr = false}, whole);
    check_real(steps[1].time, ==, 966);
    check_real(steps[2].time, ==, 932);
    check_real(steps[1].sigma_next, ==, whole[999 - 933].sigma);
    check_real(steps[29].sigma_next, ==, whole[999].sigma);
}

static void zero_terminal_signal(void)
{
    struct schedule_step steps[10];
    schedule_fill(&schedule_grid_whole, SCHEDULE_TRAILING, 10, 0,
                  &(struct schedule_model){.zero_terminal_snr = true}, steps);
    check_near(steps[0].sigma, 4096);
    schedule_fill(&schedule_grid_ddim, SCHEDULE_TRAILING, 10, 0,
                  &(struct schedule_model){.zero_terminal_snr = true}, steps);
    check(isinf(steps[0].sigma));
    check(isfinite(steps[0].sigma_next));
    check_real(schedule_level(steps[0].sigma).alpha, ==, 0);
    check_real(schedule_level(steps[0].sigma).noise, ==, 1);
}

static void check_falls(const struct schedule_step *steps, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        check(steps[i].time >= 0 && steps[i].time <= SCHEDULE_TRAINING_STEPS);
        check(steps[i].sigma > 0 && steps[i].sigma < 15);
        check(steps[i].sigma_next >= 0 && steps[i].sigma_next <= steps[i].sigma);
        if (i > 0) check(steps[i].time <= steps[i - 1].time);
        if (i > 0) check(steps[i].sigma <= steps[i - 1].sigma);
    }
}

static void every_schedule_falls(void)
{
    static const struct {
        const struct schedule_grid *grid;
        enum schedule_kind kind;
    } pairs[] = {
        {&schedule_grid_fractional, SCHEDULE_NORMAL          },
        {&schedule_grid_fractional, SCHEDULE_KARRAS          },
        {&schedule_grid_fractional, SCHEDULE_EXPONENTIAL     },
        {&schedule_grid_fractional, SCHEDULE_SGM_UNIFORM     },
        {&schedule_grid_fractional, SCHEDULE_LEADING         },
        {&schedule_grid_fractional, SCHEDULE_TRAILING        },
        {&schedule_grid_whole,      SCHEDULE_NORMAL          },
        {&schedule_grid_whole,      SCHEDULE_KARRAS          },
        {&schedule_grid_whole,      SCHEDULE_EXPONENTIAL     },
        {&schedule_grid_whole,      SCHEDULE_SGM_UNIFORM     },
        {&schedule_grid_whole,      SCHEDULE_LEADING         },
        {&schedule_grid_whole,      SCHEDULE_TRAILING        },
        {&schedule_grid_ddim,       SCHEDULE_LEADING         },
        {&schedule_grid_ddim,       SCHEDULE_TRAILING        },
        {&schedule_grid_ddim,       SCHEDULE_NORMAL          },
        {&schedule_grid_lcm,        SCHEDULE_LCM             },
        {&schedule_grid_tcd,        SCHEDULE_LCM             },
        {&schedule_grid_deis,       SCHEDULE_NORMAL          },
        {&schedule_grid_deis,       SCHEDULE_BETA            },
        {&schedule_grid_whole,      SCHEDULE_SIMPLE          },
        {&schedule_grid_whole,      SCHEDULE_BETA            },
        {&schedule_grid_whole,      SCHEDULE_KL_OPTIMAL      },
        {&schedule_grid_whole,      SCHEDULE_ALIGN_YOUR_STEPS},
        {&schedule_grid_log,        SCHEDULE_NORMAL          },
        {&schedule_grid_log,        SCHEDULE_KARRAS          },
        {&schedule_grid_log,        SCHEDULE_EXPONENTIAL     },
        {&schedule_grid_log,        SCHEDULE_POLYEXPONENTIAL },
        {&schedule_grid_log,        SCHEDULE_SGM_UNIFORM     },
        {&schedule_grid_log,        SCHEDULE_SIMPLE          },
        {&schedule_grid_log,        SCHEDULE_BETA            },
        {&schedule_grid_log,        SCHEDULE_KL_OPTIMAL      },
        {&schedule_grid_log,        SCHEDULE_ALIGN_YOUR_STEPS},
        {&schedule_grid_log,        SCHEDULE_LEADING         },
        {&schedule_grid_log_short,  SCHEDULE_NORMAL          },
        {&schedule_grid_log_short,  SCHEDULE_KARRAS          },
        {&schedule_grid_log_short,  SCHEDULE_KL_OPTIMAL      },
        {&schedule_grid_log_short,  SCHEDULE_TRAILING        }
    };
    struct schedule_step steps[SCHEDULE_TRAINING_STEPS];
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; ++p) {
        const int32_t most = pairs[p].kind == SCHEDULE_LCM ? SCHEDULE_LCM_STEPS
                                                           : SCHEDULE_TRAINING_STEPS;
        for (int32_t count = 1; count <= most; count += count < 70 ? 1 : 31) {
            schedule_fill(pairs[p].grid, pairs[p].kind, count, 0,
                          &(struct schedule_model){.zero_terminal_snr = false}, steps);
            check_falls(steps, count);
        }
    }
}

/* A1111's: 21 of 30 steps lead down, 9 again from about 2 to about 0.1; of 40 steps 20, and 10 twice. */
static void restart_goes_down_again(void)
{
    static const struct {
        int32_t steps, first, rises;
    } rows[] = {
        {19, 0,  0},
        {30, 0,  1},
        {40, 0,  2},
        {40, 25, 0}, /* 15 are left: too few */
        {60, 30, 1}
    };
    struct schedule_step steps[60];
    for (size_t r = 0; r < sizeof rows / sizeof *rows; ++r) {
        int32_t rises = 0;
        schedule_fill(&schedule_grid_restart, SCHEDULE_KARRAS, rows[r].steps,
                      rows[r].first, &(struct schedule_model){0}, steps);
        for (int32_t i = 0; i < rows[r].steps; ++i) {
            check(steps[i].sigma_next < steps[i].sigma);
            if (i == 0 || steps[i].sigma <= steps[i - 1].sigma_next) continue;
            check_real(steps[i].sigma, >, 1);
            check_real(steps[i - 1].sigma_next, <, 0.2);
            ++rises;
        }
        check_int(rises, ==, rows[r].rises);
        check_real(steps[rows[r].steps - 1].sigma_next, ==, 0);
    }
}

/* Ten steps and the end at 0 are the eleven published levels; SDXL's are other ones. */
static void published_levels_are_met(void)
{
    struct schedule_step steps[11];
    schedule_fill(&schedule_grid_log, SCHEDULE_ALIGN_YOUR_STEPS, 11, 0,
                  &(struct schedule_model){0}, steps);
    check_near(steps[1].sigma, 6.475);
    check_near(steps[9].sigma, 0.152);
    schedule_fill(&schedule_grid_log, SCHEDULE_ALIGN_YOUR_STEPS, 11, 0,
                  &(struct schedule_model){.is_sdxl = true}, steps);
    check_near(steps[1].sigma, 6.315);
    check_near(steps[9].sigma, 0.113);
}

static void times_and_levels_are_inverse(void)
{
    const struct schedule_model model = {0};
    for (int32_t time = 0; time < SCHEDULE_TRAINING_STEPS; time += 37) {
        const double sigma = schedule_sigma(&schedule_grid_log, &model, time);
        check_real(fabs(schedule_time(&model, sigma) - time), <=, 1e-6);
    }
    check_real(schedule_time(&model, 1000), ==, SCHEDULE_TRAINING_STEPS - 1);
    check_real(schedule_time(&model, 0), ==, 0);
}

static void levels_are_on_the_circle(void)
{
    for (double sigma = 0; sigma < 5000; sigma = sigma * 1.5 + 0.01) {
        const struct schedule_level level = schedule_level(sigma);
        check_near(level.alpha * level.alpha + level.noise * level.noise, 1);
        check_real(fabs(level.noise - sigma * level.alpha), <=, 1e-12);
    }
}

int main(void)
{
    check_run(names_go_both_ways);
    check_run(ends_are_the_float32_ones);
    check_run(times_are_rounded_as_each_sampler_does);
    check_run(ddim_steps_by_its_stride);
    check_run(zero_terminal_signal);
    check_run(every_schedule_falls);
    check_run(restart_goes_down_again);
    check_run(published_levels_are_met);
    check_run(times_and_levels_are_inverse);
    check_run(levels_are_on_the_circle);
    return check_done();
}
