/* library_rate — how fast the library itself convolves here and now: the yardstick.
 *
 * Machines are noisy and differ; a share of this rate, measured in the same run, does not.
 */
#ifndef BENCH_LIBRARY_RATE_H
#define BENCH_LIBRARY_RATE_H

#include <time.h>

struct library_conv {
    int n, in, out, side; /* 3x3, stride 1, padding 1, side x side */
};

extern const struct library_conv library_convs[6];

/* FLOP/s of one of them in bfloat16 (float32 where bf16 is 0), in the layouts that the
 * library likes best; the best of `runs` by that clock. 0 where it fails. */
double library_conv_rate(const struct library_conv *conv, int bf16, int runs,
                         clockid_t clock);

/* The same for its GEMM: 480 rows of 480 inputs on each thread, with 480 outputs, so that all is in a core's
 * own cache. */
double library_gemm_rate(int bf16, int threads, int runs, clockid_t clock);

/* The median of six rates. */
double library_median(const double rates[static 6]);

#endif
