/* checkpoint_autoencoder — VAE weights that are computed, not trained, and return the picture.
 *
 * So a test can ask what a VAE does to a picture without a trained file. The network is the
 * ordinary one; what carries the picture through it are its skip connections:
 *
 *     encoder   colours into channels, 2x2 means at each stride of 2: 8x8 means of the colours
 *               mixed by an orthogonal 4x4 matrix that belongs to the latent space
 *     decoder   unmixed by the same matrix, the nearest value at each upsampling
 *
 * The last convolutions of residual blocks and of attention are zero. What is left to undo is
 * the norm and SiLU at the end of both halves. Each norm group that carries colours has them as
 * +v and -v beside constants +K and -K: so its mean is 0, its variance nearly a constant, and
 * silu(v) - silu(-v) = v gives the colour back. That takes four channels a group, and all widths
 * of a half at least as many as its first: `autoencoder_sizes`.
 *
 * The seed is a fine-tuning: the decoder's colours are a few percent stronger or weaker, and
 * a little shifted, by the seed; the latent space is the same.
 */
#ifndef TOOLS_CHECKPOINT_AUTOENCODER_H
#define TOOLS_CHECKPOINT_AUTOENCODER_H

#include <stdbool.h>

#include "checkpoint_values.h"

/* Small sizes that it works with. */
struct vae_sizes autoencoder_sizes(void);

struct autoencoder {
    uint64_t latent_space, seed;
};

/* Put the run's values in the place of the random ones in target. Does nothing for tensors whose
 * values do not matter. The tensor is one of a VAE. */
void autoencoder_fill(const struct autoencoder *autoencoder,
                      const struct layout_tensor *tensor, const struct value_run *run,
                      float *target);

#endif
