/* layer — a weight with its bias, the smallest part of a network.
 *
 * Two groups of functions. layer_need_* requests the tensors "<path>.weight" and
 * "<path>.bias" while a spec is built; a width that is not known (-1) is taken from the tensor.
 * layer_* adds the operator to a plan. A layer's pointers are NULL if its tensors are
 * missing: then component_spec_end fails, and no plan is made.
 */
#ifndef MODEL_LAYER_H
#define MODEL_LAYER_H

#include "compute/plan.h"
#include "model/component.h"

enum {
    LAYER_GROUPS = 32
};                               /* of every group norm: diffusers norm_num_groups */
#define LAYER_NORM_EPSILON 1e-5F /* of every layer norm: torch.nn.LayerNorm's default */

struct layer {
    const struct weight *weight, *bias;
};

enum layer_mask {
    LAYER_SEES_ALL,
    LAYER_SEES_BEFORE /* causal: a token attends to itself and to the tokens before it */
};

/* The expected layer. in, out: -1 means "take it from the tensor". */
struct layer_shape {
    enum weight_kind kind; /* CONV is 3x3; LINEAR; VECTOR: a norm's scale and bias */
    int32_t in, out;       /* VECTOR: out alone */
    bool exact; /* float32 even if the spec's type is not: for small layers */
};

/* ---- naming ---- */

struct layer layer_need(struct component_spec *spec, const struct layer_shape *shape,
                        const char *path, ...) __attribute__((format(printf, 3, 4)));
#define LAYER_CONV(in_, out_) (&(struct layer_shape){WEIGHT_CONV, (in_), (out_), false})
#define LAYER_LINEAR(in_, out_) \
    (&(struct layer_shape){WEIGHT_LINEAR, (in_), (out_), false})
#define LAYER_NORM(channels_) \
    (&(struct layer_shape){WEIGHT_VECTOR, 1, (channels_), false})

/* Up to three layers of one shape, stacked along their rows: one GEMM instead of three.
 * The shape is that of each layer. */
struct layer_stack {
    const char *path;     /* names are below it: "<path>.<name>.weight" */
    const char *names[3]; /* ends early at NULL */
    bool without_bias;
};
struct layer layer_need_stack(struct component_spec *spec,
                              const struct layer_shape *shape,
                              const struct layer_stack *stack);

/* Channels of a layer; -1 where it is missing. */
int32_t layer_out(const struct layer *layer);
int32_t layer_in(const struct layer *layer);

/* ---- planning ---- */

/* 3x3, stride 1, padded to the same size; residual may be VALUE_NONE. */
struct value layer_conv(struct plan *plan, struct value x, const struct layer *layer,
                        struct value residual);
struct value layer_linear(struct plan *plan, struct value x, const struct layer *layer,
                          struct value residual);
/* The same with the result in float32. */
struct value layer_conv_f32(struct plan *plan, struct value x,
                            const struct layer *layer);
struct value layer_linear_f32(struct plan *plan, struct value x,
                              const struct layer *layer, enum activation activation);
/* Nearest to height and width, then 3x3. */
struct value layer_upsample(struct plan *plan, struct value x,
                            const struct layer *layer, int32_t height, int32_t width);

struct value layer_norm(struct plan *plan, struct value x, const struct layer *layer);
/* activation: NONE or SILU. */
struct value layer_group_norm(struct plan *plan, struct value x,
                              const struct layer *layer, float epsilon,
                              enum activation activation);

/* Attention over one token list, from a product whose columns are q, k and v. */
struct value layer_self_attention(struct plan *plan, struct value qkv, int32_t heads,
                                  enum layer_mask mask);

/* The value in another type; itself where it has that type already. */
struct value layer_convert(struct plan *plan, struct value x, enum dtype dtype);

#endif
