/* preview_map — latents as a small picture: each latent pixel becomes one pixel, by a linear map of its four channels.
 *
 *     rgb = offset + sum over channels of weight[channel] * latent[channel]         in 0..1, before it is clamped
 *
 * The map is that of the family (published coefficients) until one that was fitted to this VAE is known: the one with
 * the least squared error between a job's final latents and its decoded picture, brought to the latents' size.
 * Threads: plain values.
 */
#ifndef SERVICE_PREVIEW_MAP_H
#define SERVICE_PREVIEW_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include <darkroom/darkroom.h>

enum {
    PREVIEW_CHANNELS = 4,
    PREVIEW_MOST_SIDE = 256 /* pixels of a preview; larger latents are thinned out */
};

struct preview_map {
    double weight[PREVIEW_CHANNELS][3];
    double offset[3];
};

/* family: of dr_status. SD1.5's for one that is not known. */
struct preview_map preview_map_of_family(const char *family);

/* A PNG, malloc'ed; NULL: no memory. */
unsigned char *preview_map_png(const struct preview_map *map,
                               const struct dr_preview *preview, size_t *byte_count);

/* Fits a map: latents [4, height, width], rgb [8 height, 8 width, 3] in 0..1. False where the latents do not determine
 * it (too few pixels, or channels that depend on each other); then map stays. */
bool preview_map_fit(struct preview_map *map, const float *latents, const float *rgb,
                     int32_t height, int32_t width);

/* As text of at most bytes, and back: for the store. False where the text is not a map. */
void preview_map_print(const struct preview_map *map, char *text, size_t bytes);
bool preview_map_read(struct preview_map *map, const char *text);

#endif
