/* noise_table — the 1000 noise levels of the training, and the levels between them.
 *
 * Betas from 0.00085 to 0.012, linear in their square root; abar, the running product of 1 - beta; and
 * sigma = sqrt((1 - abar) / abar), the noise beside a signal of 1. Made in float32 where the reference has float32
 * (schedule.h). Pure functions; any thread; 8 KB.
 */
#ifndef SAMPLING_NOISE_TABLE_H
#define SAMPLING_NOISE_TABLE_H

#include <stdbool.h>

#include "sampling/schedule.h"

enum {
    NOISE_LAST_TIME = SCHEDULE_TRAINING_STEPS - 1
};

struct noise_table {
    float abar[SCHEDULE_TRAINING_STEPS];
    float sigma[SCHEDULE_TRAINING_STEPS];
};

/* reaches_zero: as in struct schedule_grid. */
void noise_table_make(struct noise_table *table, bool zero_terminal_snr,
                      bool reaches_zero);

/* Between the levels of the table, linearly in sigma or in its logarithm. Beyond the last
 * time, where leading times may fall (by one, at 1000 steps), it is the last level. */
enum noise_blend {
    NOISE_BLEND_SIGMA,
    NOISE_BLEND_LOG
};
double noise_table_sigma(const struct noise_table *table, enum noise_blend blend,
                         double time);

/* The time whose log sigma this is, within the table's times: the inverse of noise_table_sigma, NOISE_BLEND_LOG. */
double noise_table_time(const struct noise_table *table, double sigma);

#endif
