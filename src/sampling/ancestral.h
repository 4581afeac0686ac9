/* ancestral — a step down to below the next noise level, and noise that leads up to it again.
 *
 * Source: k-diffusion's get_ancestral_step; the variances are those of arXiv 2006.11239.
 */
#ifndef SAMPLING_ANCESTRAL_H
#define SAMPLING_ANCESTRAL_H

#include <math.h>

struct ancestral {
    double down; /* the level that the step leads to */
    double up;   /* the deviation of the noise that is added: down^2 + up^2 = to^2 */
};

/* from > 0, from >= to >= 0. eta: the share of the noise, 0..1; 0 adds none. */
static inline struct ancestral ancestral_step(double from, double to, double eta)
{
    const double up = eta * to * sqrt(fmax(from * from - to * to, 0)) / from;
    return (struct ancestral){.down = sqrt(fmax(to * to - up * up, 0)), .up = up};
}

#endif
