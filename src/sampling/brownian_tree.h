/* brownian_tree — the noise of the SDE samplers: increments of one Brownian motion, the same that torchsde's BrownianTree
 * has for a seed.
 *
 * The motion is defined on an interval of noise levels, [start, end]. Its increment over the whole is drawn first; each
 * interval is then halved (at levels rounded to 1e-6) with a draw of its own, so that a value depends on the seed and the
 * level alone, never on what was asked before. So more steps visit the same motion, and one image of a batch has the noise
 * that it would have alone.
 *
 *     increment over [start, end]                seed of the root
 *     |-------------------|------------------|   halved: SeedSequence(seed, spawn_key=(0, 0))
 *     |--------|----------|                      (0, 1); the right one (1, 1); and so on, about 24 times
 *
 * The integers (the seeds of all draws) are exact. The floats are sums in another order than torchsde's.
 * An increment costs some 50 draws of count values. Memory: the caller's. One thread at a time.
 * Source: torchsde _brownian/brownian_interval.py, derived.py (halfway_tree, tol 1e-6, pool_size 24); arXiv 2105.13493.
 */
#ifndef SAMPLING_BROWNIAN_TREE_H
#define SAMPLING_BROWNIAN_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

struct brownian_tree {
    enum random_kind kind; /* the generator of the draws */
    uint64_t seed;
    double start, end;      /* 0 < start <= end */
    size_t count;           /* values of the motion */
    float *current, *noise; /* scratch, [count] each, the caller's */
};

/* out [count] = (motion at to - motion at from) / sqrt(|to - from|): standard normal, and independent of other increments
 * that do not overlap. Levels outside [start, end] are moved to its ends; 0 where nothing is left between them. out may
 * not be the tree's scratch. */
void brownian_tree_increment(const struct brownian_tree *tree, double from, double to,
                             float *out);

#endif
