/* preview_fit — learns the map of previews (preview_map.h) from one picture of a job: its final latents beside its pixels.
 * What was learned is kept in the store under the VAE's digest, since it belongs to the VAE.
 *
 * Threads: plain values; the store has its own lock.
 */
#ifndef SERVICE_PREVIEW_FIT_H
#define SERVICE_PREVIEW_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "service/preview_map.h"
#include "service/store.h"

struct preview_fit {
    float *latents; /* of the picture that is made; NULL: none yet */
    int32_t image, height, width;
    struct preview_map map;
    bool is_fitted;
};
void preview_fit_finish(struct preview_fit *fit);

/* A preview of the job: the last step's is kept. Nothing where a map was fitted. */
void preview_fit_take_latents(struct preview_fit *fit,
                              const struct dr_preview *preview);
/* The finished picture: as dr_generate_options.image. One that was cut is left out. */
void preview_fit_take_image(struct preview_fit *fit, int32_t index, const float *rgb,
                            int32_t width, int32_t height);

/* False: no map is known for this VAE. digest: of dr_vae_info. */
bool preview_fit_recall(struct store *store, const char *digest,
                        struct preview_map *map);
/* An error is none: it is fitted again. */
void preview_fit_keep(struct store *store, const char *digest,
                      const struct preview_map *map);

#endif
