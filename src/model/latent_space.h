/* latent_space — the latent images of Stable Diffusion 1.x and SDXL.
 *
 * Every supported UNet and VAE uses these: a network with other latents is refused when its
 * spec is made, so code that passes latents to a plan can rely on them.
 */
#ifndef MODEL_LATENT_SPACE_H
#define MODEL_LATENT_SPACE_H

#include <stddef.h>
#include <stdint.h>

enum {
    LATENT_CHANNELS = 4,
    LATENT_FACTOR = 8, /* pixels along a side of one latent cell */
};

/* Floats of the latents of one picture; width and height in pixels. */
static inline size_t latent_space_count(int32_t width, int32_t height)
{
    return (size_t)LATENT_CHANNELS * (size_t)(width / LATENT_FACTOR) *
           (size_t)(height / LATENT_FACTOR);
}

#endif
