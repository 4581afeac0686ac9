/* The tables are made as the reference makes them, float32 where it has float32, rounding as
 * NumPy and PyTorch round: a wrong last digit is harmless in a sigma, but `exponential` cuts
 * times to integers, and there it decides between 998 and 999.
 */
#include "sampling/schedule.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/name_list.h"

enum {
    LAST_TIME = SCHEDULE_TRAINING_STEPS - 1,
    LEADING_OFFSET = 1
};

/* Stable Diffusion's training, any version: configs of its schedulers. */
static const double beta_first = 0.00085, beta_last = 0.012;
static const double karras_rho = 7;

const struct schedule_grid schedule_grid_fractional = {0};
const struct schedule_grid schedule_grid_whole = {.spare_points = 1,
                                                  .whole_times = true,
                                                  .full_range = true};
const struct schedule_grid schedule_grid_ddim = {.whole_times = true,
                                                 .by_stride = true,
                                                 .reaches_zero = true};
const struct schedule_grid schedule_grid_lcm = {.whole_times = true,
                                                .reaches_zero = true};

struct noise_table {
    float abar[SCHEDULE_TRAINING_STEPS];
    float sigma[SCHEDULE_TRAINING_STEPS];
};

static double log_sigma(const struct noise_table *table, int32_t time)
{
    return (double)(float)log((double)table->sigma[time]);
}

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

/* ---- The 1000 levels of the training ---- */

static void training_betas(float beta[SCHEDULE_TRAINING_STEPS])
{
    const float from = (float)sqrt(beta_first), to = (float)sqrt(beta_last);
    const float step = (to - from) / (float)LAST_TIME;
    for (int32_t i = 0; i < SCHEDULE_TRAINING_STEPS; ++i) {
        /* From the nearer end, so that both ends are met exactly. */
        const float root = i < SCHEDULE_TRAINING_STEPS / 2
                               ? from + step * (float)i
                               : to - step * (float)(LAST_TIME - i);
        beta[i] = root * root;
    }
}

/* The product runs in double and is rounded once an element. */
static void running_product(const float beta[SCHEDULE_TRAINING_STEPS],
                            float abar[SCHEDULE_TRAINING_STEPS])
{
    double product = 1;
    for (int32_t i = 0; i < SCHEDULE_TRAINING_STEPS; ++i) {
        product *= (double)(1.0f - beta[i]);
        abar[i] = (float)product;
    }
}

/* Shift and scale sqrt(abar) so that nothing is left of the signal at the last time and the
 * first keeps its share: arXiv 2305.08891, algorithm 1. */
static void rescale_to_zero(float beta[SCHEDULE_TRAINING_STEPS])
{
    float root[SCHEDULE_TRAINING_STEPS];
    running_product(beta, root);
    for (int32_t i = 0; i < SCHEDULE_TRAINING_STEPS; ++i)
        root[i] = sqrtf(root[i]);
    const float first = root[0], last = root[LAST_TIME];
    const float scale = first / (first - last);
    float before = 1;
    for (int32_t i = 0; i < SCHEDULE_TRAINING_STEPS; ++i) {
        const float scaled = (root[i] - last) * scale;
        const float abar = scaled * scaled;
        beta[i] = 1.0f - abar / before;
        before = abar;
    }
}

static void noise_table_make(struct noise_table *table, bool zero_terminal_snr,
                             bool reaches_zero)
{
    float beta[SCHEDULE_TRAINING_STEPS];
    training_betas(beta);
    if (zero_terminal_snr) rescale_to_zero(beta);
    running_product(beta, table->abar);
    /* Not quite zero, so that the first sigma is 4096 and not infinite. */
    if (zero_terminal_snr && !reaches_zero) table->abar[LAST_TIME] = 0x1p-24f;
    for (int32_t i = 0; i < SCHEDULE_TRAINING_STEPS; ++i) {
        const float abar = table->abar[i];
        table->sigma[i] = abar > 0 ? sqrtf((1.0f - abar) / abar) : INFINITY;
    }
}

/* Between the levels of the table, linearly in sigma or in its logarithm. Beyond the last
 * time, where leading times may fall (by one, at 1000 steps), it is the last level. */
enum blend {
    BLEND_SIGMA,
    BLEND_LOG
};

static double sigma_between(const struct noise_table *table, enum blend blend,
                            double time)
{
    const int32_t low = (int32_t)fmin(time, LAST_TIME),
                  high = low < LAST_TIME ? low + 1 : low;
    const double weight = fmin(time, LAST_TIME) - low;
    if (blend == BLEND_LOG) {
        const double a = log_sigma(table, low), b = log_sigma(table, high);
        return exp(a + (b - a) * weight);
    }
    const double a = (double)table->sigma[low], b = (double)table->sigma[high];
    return a + (b - a) * weight;
}

/* The time whose log sigma this is: the inverse of sigma_between, BLEND_LOG. */
static double time_of_sigma(const struct noise_table *table, double sigma)
{
    const double wanted = log(fmax(sigma, 1e-10));
    int32_t low = 0, high = LAST_TIME;
    while (high - low > 1) {
        const int32_t middle = (low + high) / 2;
        if (wanted >= log_sigma(table, middle))
            low = middle;
        else
            high = middle;
    }
    const double a = log_sigma(table, low), b = log_sigma(table, high);
    const double weight = fmin(fmax((a - wanted) / (a - b), 0), 1);
    return (1 - weight) * low + weight * high;
}

/* Sigma at a time of an even spacing. Infinity must not meet interpolation's 0 * infinity. */
static double sigma_of_time(const struct schedule_grid *grid,
                            const struct noise_table *table, double time)
{
    if (!grid->reaches_zero) return sigma_between(table, BLEND_SIGMA, time);
    const double abar = (double)table->abar[(int32_t)fmin(time, LAST_TIME)];
    return abar > 0 ? sqrt((1 - abar) / abar) : (double)INFINITY;
}

/* ---- Times ---- */

static double normal_time(const struct schedule_grid *grid, int32_t steps, int32_t i)
{
    const int32_t points = steps + grid->spare_points;
    const double time = even(0, LAST_TIME, points, points - 1 - i);
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
    case SCHEDULE_KARRAS:
    case SCHEDULE_EXPONENTIAL:
    case SCHEDULE_COUNT: break;
    }
    assert(false && "a schedule spaced in time");
    return 0;
}

static void fill_by_time(const struct schedule_grid *grid,
                         const struct noise_table *table, enum schedule_kind kind,
                         int32_t steps, struct schedule_step *out)
{
    for (int32_t i = 0; i < steps; ++i) {
        out[i].time = spaced_time(grid, kind, steps, i);
        out[i].sigma = kind == SCHEDULE_SGM_UNIFORM
                           ? sigma_between(table, BLEND_LOG, out[i].time)
                           : sigma_of_time(grid, table, out[i].time);
    }
}

static void fill_by_sigma(const struct schedule_grid *grid,
                          const struct noise_table *table, enum schedule_kind kind,
                          int32_t steps, struct schedule_step *out)
{
    double most = (double)table->sigma[LAST_TIME], least = (double)table->sigma[0];
    if (!grid->full_range) {
        most = sigma_between(table, BLEND_SIGMA, normal_time(grid, steps, 0));
        least = sigma_between(table, BLEND_SIGMA, normal_time(grid, steps, steps - 1));
    }
    for (int32_t i = 0; i < steps; ++i) {
        double time;
        if (kind == SCHEDULE_KARRAS) {
            const double ramp = even(0, 1, steps, i);
            const double a = pow(most, 1 / karras_rho), b = pow(least, 1 / karras_rho);
            out[i].sigma = pow(a + ramp * (b - a), karras_rho);
            time = time_of_sigma(table, out[i].sigma);
            if (grid->whole_times) time = rint(time);
        } else {
            out[i].sigma = exp(even(log(most), log(least), steps, i));
            time = time_of_sigma(table, out[i].sigma);
            if (grid->whole_times) time = trunc(time);
        }
        out[i].time = time;
    }
}

void schedule_fill(const struct schedule_grid *grid, enum schedule_kind kind,
                   int32_t steps, bool zero_terminal_snr, struct schedule_step *out)
{
    assert(kind != SCHEDULE_DEFAULT && kind < SCHEDULE_COUNT);
    assert(steps >= 1 && steps <= SCHEDULE_TRAINING_STEPS);
    assert(kind != SCHEDULE_LCM || steps <= SCHEDULE_LCM_STEPS);
    struct noise_table table;
    noise_table_make(&table, zero_terminal_snr, grid->reaches_zero);
    if (kind == SCHEDULE_KARRAS || kind == SCHEDULE_EXPONENTIAL)
        fill_by_sigma(grid, &table, kind, steps, out);
    else
        fill_by_time(grid, &table, kind, steps, out);

    /* The reference keeps sigmas and fractional times in float32, abar in its table. */
    for (int32_t i = 0; i < steps && !grid->reaches_zero; ++i) {
        out[i].sigma = (double)(float)out[i].sigma;
        out[i].time = (double)(float)out[i].time;
    }
    const int32_t stride = SCHEDULE_TRAINING_STEPS / steps;
    for (int32_t i = 0; i < steps; ++i) {
        if (grid->by_stride)
            out[i].sigma_next =
                sigma_of_time(grid, &table, fmax(out[i].time - stride, 0));
        else
            out[i].sigma_next = i + 1 < steps ? out[i + 1].sigma : 0;
    }
}
