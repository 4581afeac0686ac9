/* unet — Stable Diffusion's UNet: from noisy latents, a time step and a context to a prediction.
 *
 * The original key layout (input_blocks, middle_block, output_blocks). Levels, channels, the places and
 * depths of transformers and the context width are read from the tensors' names and shapes.
 * Heads: SD1.x has 8 at every level, SDXL head dimension 64; metadata darkroom.unet.heads or
 * darkroom.unet.head_dim takes precedence. proj_in/proj_out may be 1x1 kernels or matrices. A 9-channel
 * (inpainting) or 8-channel (pix2pix) UNet is recognised and refused by name.
 * Reference: diffusers models/unets/unet_2d_condition.py, unet_2d_blocks.py; 2112.10752.
 */
#ifndef MODEL_UNET_H
#define MODEL_UNET_H

#include "compute/plan.h"
#include "model/component.h"

struct unet_spec; /* opaque */

struct unet_info {
    int32_t in_channels, out_channels, model_channels, levels, context_width,
        time_width;
    int32_t vector_width; /* label_emb input; 0: none (SD1.x) */
    int32_t
        factor; /* 2^(levels-1): latent sides are best multiples of it; others work */
};

enum dr_code unet_spec_create(struct unet_spec **out,
                              const struct component_index *index, enum family family,
                              enum dtype dtype, struct dr_error *err) DR_MUST_CHECK;
/* component_spec_store of its component: before anything else uses the spec. */
enum dr_code unet_spec_store(struct unet_spec *spec, enum component_storage storage,
                             struct dr_error *err) DR_MUST_CHECK;
void unet_spec_destroy(struct unet_spec **spec);
const struct component_spec *unet_component(const struct unet_spec *spec);
struct unet_info unet_info(const struct unet_spec *spec);

struct unet_shape {
    int32_t n;               /* 2 for guidance: [unconditional, conditional] */
    int32_t height, width;   /* of the latent */
    int32_t tokens;          /* of the context: 77 for each chunk of the prompts */
    bool exact_convolutions; /* plan_options */
    const struct weight_deltas *deltas; /* of adapters (plan.h), or NULL */
};

struct unet_plan {
    struct plan *plan;
    struct value latent; /* input  [n,h,w,in] f32, channels-last */
    struct value time; /* input  [1 or n,1,1,model_channels] f32: unet_plan_set_time */
    struct value context; /* input  [n,1,tokens,context_width] f32 */
    struct value vector;  /* input  [n,1,1,vector_width] f32, or none */
    struct value result;  /* output [n,h,w,out] f32 */
};

enum dr_code unet_plan_create(struct unet_plan *out, const struct unet_spec *spec,
                              const struct unet_shape *shape, bool profile,
                              struct dr_error *err) DR_MUST_CHECK;
void unet_plan_destroy(struct unet_plan *plan);

/* Write a (maybe fractional) time step's embedding into the bound plan's time input: one row
 * for all images, or one for each where the network has a vector, which differs by image. */
void unet_plan_set_time(const struct unet_plan *plan, float time);

/* The sinusoid of a time step (or of one of SDXL's sizes): cosines first, max period 10000. */
void unet_time_embedding(float time, int32_t width, float *out);

#endif
