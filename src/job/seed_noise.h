/* seed_noise — the noise that a picture begins with: of its seed, turned towards that of a variation seed, and taken over from
 * another size, as A1111 does it (modules/rng.py of stable-diffusion-webui).
 *
 *     plain          the generator's first numbers
 *     variation      slerp(strength, seed's, variation seed's): along great circles, column by column of the latent
 *     seed resize    both of the other size, put into the middle of the seed's noise of this size
 *
 * Afterwards the generator goes on behind what it gave for this size, or begins anew with the seed and a delta.
 * Pure functions over the caller's memory; one thread.
 */
#ifndef JOB_SEED_NOISE_H
#define JOB_SEED_NOISE_H

#include "base/random.h"
#include "darkroom/darkroom.h"

struct seed_noise {
    enum random_kind kind;
    uint64_t seed, variation_seed;
    double variation_strength; /* 0: none */
    int32_t width, height;     /* of the latent, in cells */
    int32_t from_width,
        from_height;    /* of the one whose noise is taken over; 0: this one's */
    int32_t seed_delta; /* of the generator that goes on */
};

/* For picture image_idx of a batch that begins with this seed. Sizes are those of the latent. */
struct seed_noise seed_noise_of(const struct dr_sampling *sampling, enum dr_rng rng,
                                uint64_t seed, int32_t image_idx, int32_t width,
                                int32_t height);

/* The seeds of picture image_idx. With a variation all pictures have the first one's seed. */
uint64_t seed_noise_seed(const struct dr_sampling *sampling, uint64_t first,
                         int32_t image_idx);

/* Floats of scratch that seed_noise_draw needs; 0 for plain noise. */
size_t seed_noise_scratch(const struct seed_noise *noise);

/* Fill out [4, height, width] and begin the generator, which then goes on with the noise of steps. */
void seed_noise_draw(const struct seed_noise *noise, float *scratch,
                     struct random_source *random, float *out);

#endif
