/* resnet — the residual block that the UNet and the VAE are built from.
 *
 *     x ─┬─ norm1 · silu · conv1 ─(+ time)─ norm2 · silu · conv2 ─(+)─ result
 *        └────────────── shortcut (1x1, where widths differ) ──────┘
 *
 * In the UNet's decoder x is a concatenation of the running map and a skip. It is never made:
 * norm1 reads both maps, and the shortcut is one product for each map, the second adding the
 * first. The time embedding's projection is added inside norm2, before its statistics.
 * Reference: diffusers models/resnet.py (ResnetBlock2D); 2112.10752.
 */
#ifndef MODEL_RESNET_H
#define MODEL_RESNET_H

#include "model/layer.h"

#define RESNET_UNET_EPSILON 1e-5F /* unet_2d_condition.py: norm_eps */
#define RESNET_VAE_EPSILON  1e-6F /* vae.py: resnet_eps */

struct resnet {
    struct layer norm1, conv1, norm2, conv2;
    struct layer time;                    /* UNet: from the activated time embedding */
    struct layer shortcut;                /* of x; NULL where the widths are equal */
    const struct weight *shortcut_second; /* the columns for the second map, no bias */
    int32_t out;                          /* channels; -1 where not known */
    float epsilon;
};

/* The two spellings of the tensors below one block. */
struct resnet_names {
    const char *norm1, *conv1, *time, *norm2, *conv2, *shortcut;
    float epsilon;
};
extern const struct resnet_names resnet_unet_names; /* in_layers.0, ... */
extern const struct resnet_names resnet_vae_names;  /* norm1, ..., no time */

struct resnet_width {
    int32_t in;     /* channels of x */
    int32_t second; /* of the map concatenated to it; 0: none */
    int32_t time;   /* of the time embedding; unused where the names have none */
};

struct resnet resnet_need(struct component_spec *spec, const struct resnet_names *names,
                          const struct resnet_width *width, const char *path);

struct resnet_values {
    struct value x;
    struct value second; /* or none */
    struct value time;   /* SiLU of the time embedding in the weights' type; or none */
};
struct value resnet_plan(struct plan *plan, const struct resnet *resnet,
                         const struct resnet_values *values);

#endif
