/* sampler_sum — the one loop over the floats that all samplers share: a weighted sum of vectors.
 *
 *     sum_into(x, count, {1 + a, x}, {b, answer});
 *
 * Weights are found in double and rounded to float32 once; the terms are added in their order in float32.
 */
#ifndef SAMPLING_SAMPLER_SUM_H
#define SAMPLING_SAMPLER_SUM_H

#include <stddef.h>
#include <stdint.h>

struct term {
    double weight;
    const float *vector; /* [count] */
};

/* out [count] = the sum of weight*vector of 2 to 5 terms. out may be one of the
 * vectors: each float is read before it is written, at one place. */
void sampler_sum(float *out, size_t count, int32_t term_count,
                 const struct term *terms);

#define sum_into(out, count, ...)                                      \
    sampler_sum((out), (count),                                        \
                (int32_t)(sizeof((const struct term[]){__VA_ARGS__}) / \
                          sizeof(struct term)),                        \
                (const struct term[]){__VA_ARGS__})

#endif
