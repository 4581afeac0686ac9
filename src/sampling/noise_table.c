/* Made as the reference makes it, float32 where it has float32: a wrong last digit is harmless in a sigma, but
 * `exponential` cuts times to integers, and there it decides between 998 and 999.
 */
#include "sampling/noise_table.h"

#include <math.h>
#include <stdint.h>

enum {
    LAST_TIME = NOISE_LAST_TIME
};

/* Stable Diffusion's training, any version: configs of its schedulers. */
static const double beta_first = 0.00085, beta_last = 0.012;

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

void noise_table_make(struct noise_table *table, bool zero_terminal_snr,
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

static double log_sigma(const struct noise_table *table, int32_t time)
{
    return (double)(float)log((double)table->sigma[time]);
}

double noise_table_sigma(const struct noise_table *table, enum noise_blend blend,
                         double time)
{
    const int32_t low = (int32_t)fmin(time, LAST_TIME),
                  high = low < LAST_TIME ? low + 1 : low;
    const double weight = fmin(time, LAST_TIME) - low;
    if (blend == NOISE_BLEND_LOG) {
        const double a = log_sigma(table, low), b = log_sigma(table, high);
        return exp(a + (b - a) * weight);
    }
    const double a = (double)table->sigma[low], b = (double)table->sigma[high];
    return a + (b - a) * weight;
}

double noise_table_time(const struct noise_table *table, double sigma)
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
