/* vae — the KL autoencoder: decodes latents to an image, and encodes an image to latents.
 *
 * Original names (encoder., decoder., quant_conv, post_quant_conv). Channels, levels and blocks
 * are read from the tensors; attention weights may be 1x1 kernels or matrices. Scale factor,
 * shift, mean and std belong to the VAE: darkroom.vae.* metadata, else the family's.
 * Reference: diffusers models/autoencoders/autoencoder_kl.py, vae.py; 2112.10752.
 */
#ifndef MODEL_VAE_H
#define MODEL_VAE_H

#include "compute/plan.h"
#include "model/component.h"
#include "model/latent_space.h"

struct vae_spec; /* opaque */

struct vae_info {
    bool has_encoder;
    /* latents = (z - shift - mean) * scale / std; mean and std of each channel, mostly 0 and 1 */
    float scale_factor;
    float shift_factor;
    float latents_mean[LATENT_CHANNELS], latents_std[LATENT_CHANNELS];
};

/* family gives the scale factor where the file does not: SD1.x 0.18215, SDXL 0.13025 (for a
 * stand-alone VAE: the family of the checkpoint that it will serve). A VAE must be complete:
 * decoder and encoder. Errors: DR_INCOMPLETE, DR_UNSUPPORTED (16 latent channels, 3 levels, ...). */
enum dr_code vae_spec_create(struct vae_spec **out, const struct component_index *index,
                             enum family family, enum dtype dtype,
                             struct dr_error *err) DR_MUST_CHECK;
/* component_spec_store of its component: before anything else uses the spec. */
enum dr_code vae_spec_store(struct vae_spec *spec, enum component_storage storage,
                            struct dr_error *err) DR_MUST_CHECK;
void vae_spec_destroy(struct vae_spec **spec);
const struct component_spec *vae_component(const struct vae_spec *spec);
struct vae_info vae_info(const struct vae_spec *spec);

struct vae_plan_options {
    int32_t n, latent_height, latent_width;
    size_t
        whole_bytes; /* plan_options: activations of more bytes are made in bands; 0: no bands */
    size_t
        most_bytes; /* plan_options: bytes that the plan may take to make bands faster; 0: as few as possible */
    bool profile;
    bool exact_convolutions; /* plan_options */
};

struct vae_decode_plan {
    struct plan *plan;
    struct value
        latent; /* input  [n,h,w,4] f32 in the UNet's scale: the plan's caller divides by
                          * vae_unscale before; see there */
    struct value image; /* output [n,8h,8w,3] f32, nominally -1..1, not clamped */
};
enum dr_code vae_decode_plan_create(struct vae_decode_plan *out,
                                    const struct vae_spec *spec,
                                    const struct vae_plan_options *options,
                                    struct dr_error *err) DR_MUST_CHECK;
void vae_decode_plan_destroy(struct vae_decode_plan *plan);

struct vae_encode_plan {
    struct plan *plan;
    struct value image; /* input  [n,8h,8w,3] f32 in -1..1 */
    struct value
        moments; /* output [n,h,w,8] f32: mean (4), log variance (4, not clamped) */
};
enum dr_code vae_encode_plan_create(struct vae_encode_plan *out,
                                    const struct vae_spec *spec,
                                    const struct vae_plan_options *options,
                                    struct dr_error *err) DR_MUST_CHECK;
void vae_encode_plan_destroy(struct vae_encode_plan *plan);

/* In place over count values of latents, channels last: from the UNet's scale to the decoder's
 * input (z * std / s + mean + shift), and back. */
void vae_unscale(const struct vae_info *info, float *latent, size_t count);
void vae_scale(const struct vae_info *info, float *latent, size_t count);

/* Latents from moments: mean, plus exp(clamp(logvar, -30, 20) / 2) * noise where noise is not
 * NULL. moments [n,h,w,8]; latent and noise [n,h,w,4]. Not scaled yet. */
void vae_sample(int64_t cells, const float *moments, const float *noise, float *latent);

#endif
