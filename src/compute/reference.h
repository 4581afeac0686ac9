/* reference — the operators of plan.h as plain float32 loops.
 *
 * What a newcomer reads to know what an operator means, and what tests hold the fast ones
 * against. No threads, no blocking, sums in double. Arrays are dense, channels-last
 * [n, h, w, c] for maps, row-major [out, in, kh, kw] for kernels.
 */
#ifndef COMPUTE_REFERENCE_H
#define COMPUTE_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "compute/plan.h"

struct reference_conv {
    struct shape input;
    int32_t out, kernel_height, kernel_width, stride;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
};
void reference_conv(const struct reference_conv *shape, const float *x,
                    const float *kernel, const float *bias, float *y);
void reference_upsample(struct shape input, int32_t height, int32_t width,
                        const float *x,
                        float *y); /* nearest, as PyTorch: floor(i * in / out) */
/* x [rows,in], weight [out,in], bias [out] or NULL, y [rows,out] */
void reference_linear(int64_t rows, int32_t in, int32_t out, const float *x,
                      const float *weight, const float *bias, float *y);
float reference_activation(enum activation activation, float x);
void reference_group_norm(struct shape shape, int32_t groups, float epsilon,
                          const float *x, const float *scale, const float *bias,
                          float *y);
void reference_layer_norm(int64_t rows, int32_t c, float epsilon, const float *x,
                          const float *scale, const float *bias, float *y);
struct reference_attention {
    int32_t n, query_tokens, key_tokens, heads, head_dim;
    float scale;
    bool causal;
};
/* q [n,tq,heads*d], k and v [n,tk,heads*d], y as q */
void reference_attention(const struct reference_attention *shape, const float *q,
                         const float *k, const float *v, float *y);

#endif
