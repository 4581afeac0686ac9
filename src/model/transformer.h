/* transformer — the UNet's attention over a feature map, with the prompt as context.
 *
 *     x ── norm · proj_in ── block 0 ── ... ── block depth-1 ── proj_out ──(+ x)
 *
 *     block:  h += self attention (norm1 h)
 *             h += cross attention (norm2 h, context)
 *             h += feed forward (norm3 h)           value * gelu(gate), four times as wide
 *
 * Channels-last activations are already a list of tokens, so nothing is transposed. Query, key and
 * value of self attention are one GEMM, key and value of cross attention another.
 * Reference: diffusers models/attention.py (BasicTransformerBlock), transformer_2d.py.
 */
#ifndef MODEL_TRANSFORMER_H
#define MODEL_TRANSFORMER_H

#include "model/layer.h"

struct transformer_block {
    struct layer norm1, norm2, norm3;
    struct layer qkv;       /* attn1: rows of q, k, v stacked; no bias */
    struct layer query;     /* attn2; no bias */
    struct layer key_value; /* attn2, of the context; no bias */
    struct layer self_out, cross_out;
    struct layer expand, contract; /* ff.net.0.proj, ff.net.2 */
};

struct transformer {
    struct layer norm, proj_in, proj_out;
    struct transformer_block *blocks;  /* in the spec's pool; NULL: out of memory */
    int32_t depth;                     /* 0 in a zeroed struct: no transformer here */
    int32_t channels, heads, head_dim; /* heads: set by the caller, see unet.c */
};

/* channels: of the map, -1 where not known. context: width of the prompt's states, -1 takes
 * it from the tensors. depth is read from the names. */
struct transformer_width {
    int32_t channels, context;
};
struct transformer transformer_need(struct component_spec *spec,
                                    const struct transformer_width *width,
                                    const char *path);

/* context [n,1,tokens,width] in the plan's type. */
struct value transformer_plan(struct plan *plan, const struct transformer *transformer,
                              struct value x, struct value context);

#endif
