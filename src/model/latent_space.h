/* latent_space — the latent images of Stable Diffusion 1.x and SDXL.
 *
 * Every UNet and every VAE that is accepted has these: a network with others is refused where its
 * spec is made, so whoever hands latents to a plan may count on them.
 */
#ifndef MODEL_LATENT_SPACE_H
#define MODEL_LATENT_SPACE_H

enum {
    LATENT_CHANNELS = 4,
    LATENT_FACTOR = 8, /* pixels along a side of one latent cell */
};

#endif
