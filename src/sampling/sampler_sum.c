#include "sampling/sampler_sum.h"

#include <assert.h>

/* A loop for each number of terms: what is not added is not read. */
void sampler_sum(float *out, size_t count, int32_t term_count, const struct term *terms)
{
    const float *const v0 = terms[0].vector, *const v1 = terms[1].vector;
    const float w0 = (float)terms[0].weight, w1 = (float)terms[1].weight;
    assert(term_count >= 2 && term_count <= 5);
    if (term_count == 2) {
#pragma omp simd
        for (size_t i = 0; i < count; ++i)
            out[i] = w0 * v0[i] + w1 * v1[i];
        return;
    }
    const float *const v2 = terms[2].vector;
    const float w2 = (float)terms[2].weight;
    if (term_count == 3) {
#pragma omp simd
        for (size_t i = 0; i < count; ++i)
            out[i] = w0 * v0[i] + w1 * v1[i] + w2 * v2[i];
        return;
    }
    const float *const v3 = terms[3].vector;
    const float w3 = (float)terms[3].weight;
    if (term_count == 4) {
#pragma omp simd
        for (size_t i = 0; i < count; ++i)
            out[i] = w0 * v0[i] + w1 * v1[i] + w2 * v2[i] + w3 * v3[i];
        return;
    }
    const float *const v4 = terms[4].vector;
    const float w4 = (float)terms[4].weight;
#pragma omp simd
    for (size_t i = 0; i < count; ++i)
        out[i] = w0 * v0[i] + w1 * v1[i] + w2 * v2[i] + w3 * v3[i] + w4 * v4[i];
}
