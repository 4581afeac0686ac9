/* random — normally distributed noise identical to PyTorch's, so that a seed gives the same
 * noise as in other programs.
 *
 *     struct random_source random;
 *     random_init(&random, RANDOM_CUDA, 42);
 *     random_normal(&random, latent, count);
 *
 * RANDOM_CPU   torch.Generator("cpu").manual_seed(seed), torch.randn in float32: the Mersenne
 *              twister mt19937, seeded with the low 32 bits of the seed. Calls for 16 and more
 *              values and for fewer take different paths, as there; a value left over by a
 *              short call is kept for the next short call.
 * RANDOM_CUDA  torch.randn on a CUDA device, as AUTOMATIC1111's rng_philox writes it:
 *              Philox4x32-10, the counter's first word counting calls, its third the values
 *              of a call.
 *
 * The integer streams are exact. The floats are within 1e-6 of PyTorch's, whose logarithm and
 * cosine differ from one processor to the next by as much. Consecutive calls continue the
 * stream; how the values are divided over calls matters, as in PyTorch.
 *
 * The struct holds all state: a copy of it is a second source that goes on in the same way.
 * One thread at a time.
 *
 * Source: Matsumoto and Nishimura, "Mersenne Twister", 1998; Salmon et al., "Parallel Random
 * Numbers: As Easy as 1, 2, 3", 2011; aten/src/ATen/native/cpu/DistributionTemplates.h and
 * ATen/core/DistributionsHelper.h (order of draws). Python's: Lib/random.py and Modules/_randommodule.c of CPython 3.11.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum random_kind {
    RANDOM_CPU,
    RANDOM_CUDA
};

struct random_source {
    enum random_kind kind;
    /* private below */
    uint64_t seed;
    uint32_t call_count;  /* CUDA */
    uint32_t state_index; /* CPU: the next of state to hand out; 624: twist first */
    uint32_t state[624];
    bool has_spare; /* CPU: the second value of a pair, for the next short call */
    double spare;
};

void random_init(struct random_source *source, enum random_kind kind, uint64_t seed);

/* count values of mean 0 and deviation 1. */
void random_normal(struct random_source *source, float *out, size_t count);

/* The next 32 bits of a RANDOM_CPU source's twister. */
uint32_t random_bits(struct random_source *source);

/* A RANDOM_CPU source whose twister is that of Python's random.Random(seed). Not for normal values. */
void random_init_python(struct random_source *source, uint64_t seed);
/* 0..count-1 of such a source, as Python's random.choice takes an item of count >= 1. */
uint32_t random_below(struct random_source *source, uint32_t count);

/* The bijection below RANDOM_CUDA: 128 bits of counter to 128 random ones. */
void random_philox(const uint32_t counter[static 4], const uint32_t key[static 2],
                   uint32_t out[static 4]);

#endif
