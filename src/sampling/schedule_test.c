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
                  false, steps);
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
    schedule_fill(grid, kind, count, false, steps);
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
    schedule_fill(&schedule_grid_ddim, SCHEDULE_TRAILING, 30, false, steps);
    schedule_fill(&schedule_grid_ddim, SCHEDULE_TRAILING, 1000, false, whole);
    check_real(steps[1].time, ==, 966);
    check_real(steps[2].time, ==, 932);
    check_real(steps[1].sigma_next, ==, whole[999 - 933].sigma);
    check_real(steps[29].sigma_next, ==, whole[999].sigma);
}

static void zero_terminal_signal(void)
{
    struct schedule_step steps[10];
    schedule_fill(&schedule_grid_whole, SCHEDULE_TRAILING, 10, true, steps);
    check_near(steps[0].sigma, 4096);
    schedule_fill(&schedule_grid_ddim, SCHEDULE_TRAILING, 10, true, steps);
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
        {&schedule_grid_fractional, SCHEDULE_NORMAL     },
        {&schedule_grid_fractional, SCHEDULE_KARRAS     },
        {&schedule_grid_fractional, SCHEDULE_EXPONENTIAL},
        {&schedule_grid_fractional, SCHEDULE_SGM_UNIFORM},
        {&schedule_grid_fractional, SCHEDULE_LEADING    },
        {&schedule_grid_fractional, SCHEDULE_TRAILING   },
        {&schedule_grid_whole,      SCHEDULE_NORMAL     },
        {&schedule_grid_whole,      SCHEDULE_KARRAS     },
        {&schedule_grid_whole,      SCHEDULE_EXPONENTIAL},
        {&schedule_grid_whole,      SCHEDULE_SGM_UNIFORM},
        {&schedule_grid_whole,      SCHEDULE_LEADING    },
        {&schedule_grid_whole,      SCHEDULE_TRAILING   },
        {&schedule_grid_ddim,       SCHEDULE_LEADING    },
        {&schedule_grid_ddim,       SCHEDULE_TRAILING   },
        {&schedule_grid_ddim,       SCHEDULE_NORMAL     },
        {&schedule_grid_lcm,        SCHEDULE_LCM        }
    };
    struct schedule_step steps[SCHEDULE_TRAINING_STEPS];
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; ++p) {
        const int32_t most = pairs[p].kind == SCHEDULE_LCM ? SCHEDULE_LCM_STEPS
                                                           : SCHEDULE_TRAINING_STEPS;
        for (int32_t count = 1; count <= most; count += count < 70 ? 1 : 31) {
            schedule_fill(pairs[p].grid, pairs[p].kind, count, false, steps);
            check_falls(steps, count);
        }
    }
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
    check_run(levels_are_on_the_circle);
    return check_done();
}
