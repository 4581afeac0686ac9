/* resize — resizes the picture of --init.
 *
 * Lanczos (a = 3) with the filter widened when shrinking, as Pillow's and diffusers'
 * image processor do, separable; edges renormalised. Values are float32, weights and sums
 * double: within a float's last place of Pillow's mode "F". diffusers resizes 8-bit pictures,
 * rounded and clamped after each of the two passes: within about 1/255 of this one on smooth
 * parts, more at hard edges, whose overshoot is kept here.
 * The same size gives the same values. Threads: any, no globals; nothing is allocated.
 */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H

#include <stddef.h>
#include <stdint.h>

struct resize_shape {
    int32_t source_width, source_height, target_width, target_height;
};

/* Bytes of scratch that resize_run needs, aligned to 16: for the most part the picture at the
 * source's height and the target's width. */
size_t resize_scratch_bytes(const struct resize_shape *shape);

enum {
    RESIZE_MOST_SAMPLES = 1024 /* that a put gets at once */
};

/* The destination of the result, so that the whole image need not be in memory: put receives the
 * samples of [th, tw, 3] float32 in order, some at a time; first is the index of the first of them
 * in the image. It may modify the samples. */
struct resize_target {
    void (*put)(void *cookie, size_t first, size_t count, float *samples);
    void *cookie;
};

/* source [sh, sw, 3] float32 -> [th, tw, 3]; values are not clamped, and Lanczos overshoots beside
 * edges. Source and scratch may not overlap. Sizes are 1 or more. */
void resize_run(const struct resize_shape *shape, const float *source,
                const struct resize_target *target, void *scratch);

#endif
