/* reference_fixture — the operators of plan.h as plain float32 loops.
 *
 * What a newcomer reads to know what an operator means, and what tests hold the fast ones
 * against. No threads, no blocking, sums in double. Arrays are dense, channels-last
 * [n, h, w, c] for maps, row-major [out, in, kh, kw] for kernels.
 *
 * These loops are not what the sanitizers are there to check, and take most of a test's time under
 * them: so they are compiled without (REFERENCE).
 */
#ifndef COMPUTE_REFERENCE_FIXTURE_H
#define COMPUTE_REFERENCE_FIXTURE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compute/plan.h"

#define REFERENCE static inline __attribute__((no_sanitize("address", "undefined")))

struct reference_conv {
    struct shape input;
    int32_t out, kernel_height, kernel_width, stride;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
};
REFERENCE void reference_conv(const struct reference_conv *shape, const float *x,
                              const float *kernel, const float *bias, float *y);
REFERENCE void reference_upsample(
    struct shape input, int32_t height, int32_t width, const float *x,
    float *y); /* nearest, as PyTorch: floor(i * in / out) */
/* x [rows,in], weight [out,in], bias [out] or NULL, y [rows,out] */
REFERENCE void reference_linear(int64_t rows, int32_t in, int32_t out, const float *x,
                                const float *weight, const float *bias, float *y);
REFERENCE float reference_activation(enum activation activation, float x);
REFERENCE void reference_group_norm(struct shape shape, int32_t groups, float epsilon,
                                    const float *x, const float *scale,
                                    const float *bias, float *y);
REFERENCE void reference_layer_norm(int64_t rows, int32_t c, float epsilon,
                                    const float *x, const float *scale,
                                    const float *bias, float *y);
struct reference_attention {
    int32_t n, query_tokens, key_tokens, heads, head_dim;
    float scale;
    bool causal;
};
/* q [n,tq,heads*d], k and v [n,tk,heads*d], y as q */
REFERENCE void reference_attention(const struct reference_attention *shape,
                                   const float *q, const float *k, const float *v,
                                   float *y);

REFERENCE size_t at4(int64_t a, int64_t b, int64_t b_count, int64_t c, int64_t c_count,
                     int64_t d, int64_t d_count)
{
    return (size_t)(((a * b_count + b) * c_count + c) * d_count + d);
}

REFERENCE int32_t result_size(int32_t size, int32_t before, int32_t after,
                              int32_t kernel, int32_t stride)
{
    return (size + before + after - kernel) / stride + 1;
}

/* A sum of products, in four parts: so they do not wait for each other. */
REFERENCE double dot(const float *a, const float *b, int32_t count)
{
    double sums[4] = {0};
    int32_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int32_t part = 0; part < 4; ++part)
            sums[part] += (double)a[i + part] * (double)b[i + part];
    for (; i < count; ++i)
        sums[0] += (double)a[i] * (double)b[i];
    return sums[0] + sums[1] + (sums[2] + sums[3]);
}

/* The sums under the window whose corner is (top, left), for all output channels.
 * across: the kernel as [kh, kw, in, out], so that the innermost loop goes through what lies together. */
REFERENCE void add_window(const struct reference_conv *s, const float *image,
                          const float *across, int32_t top, int32_t left, double *sums)
{
    for (int32_t ky = 0; ky < s->kernel_height; ++ky)
        for (int32_t kx = 0; kx < s->kernel_width; ++kx) {
            const int32_t y = top + ky, x = left + kx;
            if (y < 0 || y >= s->input.h || x < 0 || x >= s->input.w) continue;
            for (int32_t i = 0; i < s->input.c; ++i) {
                const double number =
                    (double)image[at4(0, y, 0, x, s->input.w, i, s->input.c)];
                const float *const row =
                    across +
                    at4(0, ky, 0, kx, s->kernel_width, i, s->input.c) * (size_t)s->out;
                for (int32_t o = 0; o < s->out; ++o)
                    sums[o] += number * (double)row[o];
            }
        }
}

REFERENCE void reference_conv(const struct reference_conv *s, const float *x,
                              const float *kernel, const float *bias, float *y)
{
    const int32_t height =
        result_size(s->input.h, s->pad_top, s->pad_bottom, s->kernel_height, s->stride);
    const int32_t width =
        result_size(s->input.w, s->pad_left, s->pad_right, s->kernel_width, s->stride);
    const size_t image = (size_t)s->input.h * (size_t)s->input.w * (size_t)s->input.c;
    const size_t taps = (size_t)s->kernel_height * (size_t)s->kernel_width;
    const size_t in = (size_t)s->input.c, out = (size_t)s->out;
    double *const sums = malloc(out * sizeof *sums);
    float *const across = malloc(out * in * taps * sizeof *across);
    if (!sums || !across) abort();
    for (size_t o = 0; o < out; ++o)
        for (size_t i = 0; i < in; ++i)
            for (size_t tap = 0; tap < taps; ++tap)
                across[(tap * in + i) * out + o] = kernel[(o * in + i) * taps + tap];
    for (int32_t n = 0; n < s->input.n; ++n)
        for (int32_t i = 0; i < height; ++i)
            for (int32_t j = 0; j < width; ++j) {
                memset(sums, 0, out * sizeof *sums);
                add_window(s, x + (size_t)n * image, across, i * s->stride - s->pad_top,
                           j * s->stride - s->pad_left, sums);
                for (int32_t o = 0; o < s->out; ++o)
                    y[at4(n, i, height, j, width, o, s->out)] =
                        (float)(sums[o] + (bias ? (double)bias[o] : 0.0));
            }
    free(across);
    free(sums);
}

REFERENCE void reference_upsample(struct shape input, int32_t height, int32_t width,
                                  const float *x, float *y)
{
    for (int32_t n = 0; n < input.n; ++n)
        for (int32_t i = 0; i < height; ++i)
            for (int32_t j = 0; j < width; ++j)
                for (int32_t c = 0; c < input.c; ++c) {
                    const int64_t from_i = (int64_t)i * input.h / height;
                    const int64_t from_j = (int64_t)j * input.w / width;
                    y[at4(n, i, height, j, width, c, input.c)] =
                        x[at4(n, from_i, input.h, from_j, input.w, c, input.c)];
                }
}

REFERENCE void reference_linear(int64_t rows, int32_t in, int32_t out, const float *x,
                                const float *weight, const float *bias, float *y)
{
    for (int64_t row = 0; row < rows; ++row)
        for (int32_t o = 0; o < out; ++o) {
            const double sum = dot(x + row * in, weight + (int64_t)o * in, in);
            y[row * out + o] = (float)(sum + (bias ? (double)bias[o] : 0.0));
        }
}

REFERENCE float reference_activation(enum activation activation, float x)
{
    const double v = (double)x;
    switch (activation) {
    case ACTIVATION_NONE: break;
    case ACTIVATION_SILU: return (float)(v / (1.0 + exp(-v)));
    case ACTIVATION_GELU: return (float)(v * 0.5 * erfc(-v * 0.70710678118654752));
    case ACTIVATION_QUICK_GELU: return (float)(v / (1.0 + exp(-1.702 * v)));
    }
    return x;
}

/* The numbers of one group of one image: mean and variance, then y. */
REFERENCE void norm_group(struct shape s, int32_t first, int32_t size, float epsilon,
                          const float *x, const float *scale, const float *bias,
                          float *y)
{
    const int64_t pixels = (int64_t)s.h * s.w;
    double mean = 0, variance = 0;
    for (int64_t p = 0; p < pixels; ++p)
        for (int32_t c = first; c < first + size; ++c)
            mean += (double)x[p * s.c + c];
    mean /= (double)(pixels * size);
    for (int64_t p = 0; p < pixels; ++p)
        for (int32_t c = first; c < first + size; ++c) {
            const double away = (double)x[p * s.c + c] - mean;
            variance += away * away;
        }
    variance /= (double)(pixels * size);
    const double by = 1.0 / sqrt(variance + (double)epsilon);
    for (int64_t p = 0; p < pixels; ++p)
        for (int32_t c = first; c < first + size; ++c)
            y[p * s.c + c] =
                (float)(((double)x[p * s.c + c] - mean) * by * (double)scale[c] +
                        (double)bias[c]);
}

REFERENCE void reference_group_norm(struct shape shape, int32_t groups, float epsilon,
                                    const float *x, const float *scale,
                                    const float *bias, float *y)
{
    const size_t image = (size_t)shape.h * (size_t)shape.w * (size_t)shape.c;
    const int32_t size = shape.c / groups;
    for (int32_t n = 0; n < shape.n; ++n)
        for (int32_t g = 0; g < groups; ++g)
            norm_group(shape, g * size, size, epsilon, x + (size_t)n * image, scale,
                       bias, y + (size_t)n * image);
}

REFERENCE void reference_layer_norm(int64_t rows, int32_t c, float epsilon,
                                    const float *x, const float *scale,
                                    const float *bias, float *y)
{
    for (int64_t row = 0; row < rows; ++row)
        norm_group((struct shape){1, 1, 1, c}, 0, c, epsilon, x + row * c, scale, bias,
                   y + row * c);
}

/* One query of one head; the softmax in two passes, without storing the scores. */
REFERENCE void attend(const struct reference_attention *s, int32_t seen, const float *q,
                      const float *k, const float *v, float *y)
{
    const int64_t step = (int64_t)s->heads * s->head_dim;
    double peak = -INFINITY, total = 0;
    for (int pass = 0; pass < 2; ++pass)
        for (int32_t j = 0; j < seen; ++j) {
            const double score = dot(q, k + j * step, s->head_dim) * (double)s->scale;
            if (pass == 0) {
                if (score > peak) peak = score;
                continue;
            }
            const double p = exp(score - peak);
            total += p;
            for (int32_t d = 0; d < s->head_dim; ++d)
                y[d] = (float)((double)y[d] + p * (double)v[j * step + d]);
        }
    for (int32_t d = 0; d < s->head_dim; ++d)
        y[d] = (float)((double)y[d] / total);
}

REFERENCE void reference_attention(const struct reference_attention *s, const float *q,
                                   const float *k, const float *v, float *y)
{
    const int64_t step = (int64_t)s->heads * s->head_dim;
    for (int32_t n = 0; n < s->n; ++n)
        for (int32_t head = 0; head < s->heads; ++head)
            for (int32_t i = 0; i < s->query_tokens; ++i) {
                const int64_t at = ((int64_t)n * s->query_tokens + i) * step +
                                   (int64_t)head * s->head_dim;
                const int64_t keys =
                    (int64_t)n * s->key_tokens * step + (int64_t)head * s->head_dim;
                int32_t seen = s->key_tokens;
                if (s->causal && i + 1 < seen) seen = i + 1;
                for (int32_t d = 0; d < s->head_dim; ++d)
                    y[at + d] = 0;
                attend(s, seen, q + at, k + keys, v + keys, y + at);
            }
}

#undef REFERENCE

#endif
