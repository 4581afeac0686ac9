/* Times are rounded as NumPy and PyTorch round them; the levels are noise_table.h's. */
#include "sampling/schedule.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "base/name_list.h"
#include "sampling/beta_quantile.h"
#include "sampling/noise_table.h"

enum {
    LAST_TIME = NOISE_LAST_TIME,
    LEADING_OFFSET = 1,
    PUBLISHED_LEVELS = 11
};

static const double karras_rho = 7, beta_shape = 0.6;

/* Align Your Steps: the levels that its authors publish for ten steps. */
static const double published_sd15[PUBLISHED_LEVELS] = {14.615, 6.475, 3.861, 2.697,
                                                        1.886,  1.396, 0.963, 0.652,
                                                        0.399,  0.152, 0.029};
static const double published_sdxl[PUBLISHED_LEVELS] = {14.615, 6.315, 3.771, 2.181,
                                                        1.342,  0.862, 0.555, 0.380,
                                                        0.234,  0.113, 0.029};

/* Restart: with at least 20 steps, 9 of them go down again from about 2 when about 0.1 is reached; with at least 36, a
 * quarter of them twice. */
static const double restart_below = 0.1, restart_from = 2;
enum {
    RESTART_STEPS = 9,
    LEAST_STEPS_FOR_TWO = 36
};

const struct schedule_grid schedule_grid_fractional = {0};
const struct schedule_grid schedule_grid_whole = {.spare_points = 1,
                                                  .whole_times = true,
                                                  .full_range = true};
const struct schedule_grid schedule_grid_deis = {
    .spare_points = 1, .whole_times = true, .full_range = true, .ends_at_least = true};
const struct schedule_grid schedule_grid_ddim = {.whole_times = true,
                                                 .by_stride = true,
                                                 .reaches_zero = true};
const struct schedule_grid schedule_grid_lcm = {.whole_times = true,
                                                .reaches_zero = true};
const struct schedule_grid schedule_grid_tcd = {.whole_times = true,
                                                .ends_at_least = true,
                                                .reaches_zero = true};
const struct schedule_grid schedule_grid_log = {.full_range = true,
                                                .blends_logs = true};
const struct schedule_grid schedule_grid_log_short = {.left_out_points = 1,
                                                      .full_range = true,
                                                      .blends_logs = true};
const struct schedule_grid schedule_grid_restart = {.full_range = true,
                                                    .blends_logs = true,
                                                    .restarts = true};

static const char *const schedule_names[] = {
#define X(name, text) text,
    SCHEDULES(X)
#undef X
};

bool schedule_from_name(const char *name, enum schedule_kind *kind)
{
    const size_t found = name_list_find(schedule_names, SCHEDULE_COUNT, name);
    if (found == SCHEDULE_COUNT) return false;
    *kind = (enum schedule_kind)found;
    return true;
}

const char *schedule_name(enum schedule_kind kind)
{
    assert(kind < SCHEDULE_COUNT);
    return schedule_names[kind];
}

struct schedule_level schedule_level(double sigma)
{
    if (isinf(sigma)) return (struct schedule_level){.alpha = 0, .noise = 1};
    const double alpha = 1 / sqrt(sigma * sigma + 1);
    return (struct schedule_level){.alpha = alpha, .noise = sigma * alpha};
}

/* Element i of `points` values spaced evenly from `from` to `to`, which is met exactly. */
static double even(double from, double to, int32_t points, int32_t i)
{
    if (points == 1) return from;
    if (i == points - 1) return to;
    return from + i * ((to - from) / (points - 1));
}

/* Sigma at a time of an even spacing. Infinity must not meet interpolation's 0 * infinity. */
static double sigma_of_time(const struct schedule_grid *grid,
                            const struct noise_table *table, double time)
{
    if (!grid->reaches_zero)
        return noise_table_sigma(
            table, grid->blends_logs ? NOISE_BLEND_LOG : NOISE_BLEND_SIGMA, time);
    const double abar = (double)table->abar[(int32_t)fmin(time, LAST_TIME)];
    return abar > 0 ? sqrt((1 - abar) / abar) : (double)INFINITY;
}

double schedule_time(const struct schedule_model *model, double sigma)
{
    struct noise_table table;
    noise_table_make(&table, model->zero_terminal_snr, false);
    return noise_table_time(&table, sigma);
}

double schedule_sigma(const struct schedule_grid *grid,
                      const struct schedule_model *model, double time)
{
    struct noise_table table;
    noise_table_make(&table, model->zero_terminal_snr, grid->reaches_zero);
    return sigma_of_time(grid, &table, time);
}

/* ---- Times ---- */

static double normal_time(const struct schedule_grid *grid, int32_t steps, int32_t i)
{
    const int32_t points = steps + grid->spare_points;
    const double time = grid->blends_logs ? even(LAST_TIME, 0, points, i)
                                          : even(0, LAST_TIME, points, points - 1 - i);
    return grid->whole_times ? rint(time) : (double)(float)time;
}

/* Time i, the largest first, of the schedules that are spaced in time. */
static double spaced_time(const struct schedule_grid *grid, enum schedule_kind kind,
                          int32_t steps, int32_t i)
{
    const double top = SCHEDULE_TRAINING_STEPS;
    switch (kind) {
    case SCHEDULE_NORMAL: return normal_time(grid, steps, i);
    case SCHEDULE_SGM_UNIFORM: return even(LAST_TIME, 0, steps + 1, i);
    case SCHEDULE_SIMPLE: return LAST_TIME - trunc(i * (top / steps));
    case SCHEDULE_LEADING: {
        const int32_t points = steps + grid->spare_points;
        return (points - 1 - i) * (SCHEDULE_TRAINING_STEPS / points) + LEADING_OFFSET;
    }
    case SCHEDULE_TRAILING: {
        /* The stride as NumPy's arange has it, the difference of its first two values. */
        const double stride = top - (top - top / steps);
        return rint(top - i * stride) - 1;
    }
    case SCHEDULE_LCM: {
        const int32_t left_out =
            (int32_t)floor(i * ((double)SCHEDULE_LCM_STEPS / steps));
        return (SCHEDULE_LCM_STEPS - left_out) *
                   (SCHEDULE_TRAINING_STEPS / SCHEDULE_LCM_STEPS) -
               1;
    }
    case SCHEDULE_DEFAULT:
    case SCHEDULE_AUTOMATIC:
    case SCHEDULE_KARRAS:
    case SCHEDULE_EXPONENTIAL:
    case SCHEDULE_POLYEXPONENTIAL:
    case SCHEDULE_BETA:
    case SCHEDULE_KL_OPTIMAL:
    case SCHEDULE_ALIGN_YOUR_STEPS:
    case SCHEDULE_COUNT: break;
    }
    assert(false && "a schedule spaced in time");
    return 0;
}

static void fill_by_time(const struct schedule_grid *grid,
                         const struct noise_table *table, enum schedule_kind kind,
                         int32_t steps, struct schedule_step *out)
{
    const int32_t points = steps + grid->left_out_points;
    for (int32_t i = 0; i < steps; ++i) {
        out[i].time = spaced_time(grid, kind, points, i);
        out[i].sigma = kind == SCHEDULE_SGM_UNIFORM
                           ? noise_table_sigma(table, NOISE_BLEND_LOG, out[i].time)
                           : sigma_of_time(grid, table, out[i].time);
    }
}

/* ---- Levels ---- */

static double karras_sigma(double most, double least, int32_t points, int32_t i)
{
    const double ramp = even(0, 1, points, i);
    const double a = pow(most, 1 / karras_rho), b = pow(least, 1 / karras_rho);
    return pow(a + ramp * (b - a), karras_rho);
}

/* The published levels with their logarithms linear between them. */
static double published_sigma(const double *levels, int32_t points, int32_t i)
{
    const double place = even(0, PUBLISHED_LEVELS - 1, points, i);
    const int32_t low = (int32_t)fmin(place, PUBLISHED_LEVELS - 2);
    const double a = log(levels[low]), b = log(levels[low + 1]);
    return exp(a + (b - a) * (place - low));
}

static double spaced_sigma(enum schedule_kind kind, const struct schedule_model *model,
                           const double range[2], int32_t points, int32_t i)
{
    const double most = range[0], least = range[1];
    if (kind == SCHEDULE_KARRAS) return karras_sigma(most, least, points, i);
    if (kind == SCHEDULE_BETA)
        return least +
               beta_quantile(even(1, 0, points, i), beta_shape) * (most - least);
    if (kind == SCHEDULE_KL_OPTIMAL)
        return tan(even(atan(most), atan(least), points + 1, i));
    if (kind == SCHEDULE_ALIGN_YOUR_STEPS)
        return published_sigma(model->is_sdxl ? published_sdxl : published_sd15, points,
                               i);
    return exp(even(log(most), log(least), points, i));
}

/* Where the UNet sees whole times, the reference rounds those of karras and cuts those of the others that it has. */
static double time_of_level(const struct schedule_grid *grid,
                            const struct noise_table *table, enum schedule_kind kind,
                            double sigma)
{
    const double time = noise_table_time(table, sigma);
    if (!grid->whole_times || kind == SCHEDULE_KL_OPTIMAL ||
        kind == SCHEDULE_ALIGN_YOUR_STEPS)
        return time;
    return kind == SCHEDULE_KARRAS ? rint(time) : trunc(time);
}

static bool is_by_sigma(enum schedule_kind kind)
{
    return kind == SCHEDULE_KARRAS || kind == SCHEDULE_EXPONENTIAL ||
           kind == SCHEDULE_POLYEXPONENTIAL || kind == SCHEDULE_BETA ||
           kind == SCHEDULE_KL_OPTIMAL || kind == SCHEDULE_ALIGN_YOUR_STEPS;
}

static void fill_by_sigma(const struct schedule_grid *grid,
                          const struct noise_table *table, enum schedule_kind kind,
                          const struct schedule_model *model, int32_t steps,
                          struct schedule_step *out)
{
    const int32_t points = steps + grid->left_out_points;
    double range[2] = {(double)table->sigma[LAST_TIME], (double)table->sigma[0]};
    if (!grid->full_range && kind != SCHEDULE_KL_OPTIMAL) {
        range[0] =
            noise_table_sigma(table, NOISE_BLEND_SIGMA, normal_time(grid, steps, 0));
        range[1] = noise_table_sigma(table, NOISE_BLEND_SIGMA,
                                     normal_time(grid, steps, steps - 1));
    }
    for (int32_t i = 0; i < steps; ++i) {
        out[i].sigma = spaced_sigma(kind, model, range, points, i);
        out[i].time = time_of_level(grid, table, kind, out[i].sigma);
    }
}

/* ---- Steps ---- */

/* The reference keeps sigmas and fractional times in float32, abar in its table. */
static void round_to_float(struct schedule_step *out, int32_t steps)
{
    for (int32_t i = 0; i < steps; ++i) {
        out[i].sigma = (double)(float)out[i].sigma;
        out[i].time = (double)(float)out[i].time;
    }
}

/* Where each step leads. */
static void link_steps(const struct schedule_grid *grid,
                       const struct noise_table *table, enum schedule_kind kind,
                       int32_t steps, struct schedule_step *out)
{
    const int32_t stride = SCHEDULE_TRAINING_STEPS / steps;
    const double least = sigma_of_time(grid, table, 0);
    const double end = grid->ends_at_least || kind == SCHEDULE_KL_OPTIMAL ? least : 0;
    for (int32_t i = 0; i < steps; ++i) {
        const bool is_last = i + 1 == steps;
        if (grid->by_stride)
            out[i].sigma_next =
                sigma_of_time(grid, table, fmax(out[i].time - stride, 0));
        else
            out[i].sigma_next = is_last ? end : out[i + 1].sigma;
        out[i].time_next = is_last ? 0 : out[i + 1].time;
    }
}

static void step_between(const struct noise_table *table, float from, float to,
                         struct schedule_step *out)
{
    *out = (struct schedule_step){
        .time = (double)(float)noise_table_time(table, (double)from),
        .sigma = from,
        .sigma_next = to,
        .time_next = to > 0 ? (double)(float)noise_table_time(table, (double)to) : 0};
}

/* The first of the levels (the last one is 0) that is nearest to this one. */
static int32_t nearest(const float *levels, int32_t count, double level)
{
    int32_t best = 0;
    for (int32_t i = 1; i < count; ++i)
        if (fabs((double)levels[i] - level) < fabs((double)levels[best] - level))
            best = i;
    return best;
}

static void restart_levels(double most, double least, int32_t count, float *out)
{
    for (int32_t i = 0; i < count; ++i)
        out[i] = (float)karras_sigma(most, least, count, i);
}

/* Lay the same number of steps out anew: down in fewer, Karras' levels between the first and the last, and the
 * others again from the higher level. */
static void restart_steps(const struct noise_table *table, int32_t steps,
                          struct schedule_step *out)
{
    if (steps < SCHEDULE_LEAST_RESTART_STEPS) return;
    const int32_t times = steps < LEAST_STEPS_FOR_TWO ? 1 : 2;
    const int32_t again = times == 1 ? RESTART_STEPS : steps / 4;
    const int32_t once = steps - again * times;
    float levels[SCHEDULE_TRAINING_STEPS + 1], above[SCHEDULE_TRAINING_STEPS / 4 + 1];
    restart_levels(out[0].sigma, out[steps - 1].sigma, once, levels);
    levels[once] = 0;
    const int32_t low = nearest(levels, once + 1, restart_below),
                  high = nearest(levels, once + 1, restart_from);
    if (high >= low) return; /* the run begins below: it goes down once */
    restart_levels((double)levels[high], (double)levels[low], again + 1, above);
    int32_t filled = 0;
    for (int32_t i = 0; i < once; ++i) {
        step_between(table, levels[i], levels[i + 1], &out[filled++]);
        for (int32_t k = 0; i + 1 == low && k < times * again; ++k)
            step_between(table, above[k % again], above[k % again + 1], &out[filled++]);
    }
    assert(filled == steps);
}

void schedule_fill(const struct schedule_grid *grid, enum schedule_kind kind,
                   int32_t steps, int32_t first, const struct schedule_model *model,
                   struct schedule_step *out)
{
    assert(kind > SCHEDULE_AUTOMATIC && kind < SCHEDULE_COUNT);
    assert(steps >= 1 && steps <= SCHEDULE_TRAINING_STEPS);
    assert(first >= 0 && first < steps);
    assert(kind != SCHEDULE_LCM || steps <= SCHEDULE_LCM_STEPS);
    struct noise_table table;
    noise_table_make(&table, model->zero_terminal_snr, grid->reaches_zero);
    if (is_by_sigma(kind))
        fill_by_sigma(grid, &table, kind, model, steps, out);
    else
        fill_by_time(grid, &table, kind, steps, out);
    if (!grid->reaches_zero) round_to_float(out, steps);
    link_steps(grid, &table, kind, steps, out);
    if (grid->restarts) restart_steps(&table, steps - first, out + first);
}
