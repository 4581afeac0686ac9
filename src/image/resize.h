/* resize — a picture in another size, for --init.
 *
 * Lanczos (a = 3) with the filter widened when shrinking, as Pillow's and diffusers'
 * image processor do, separable, in float32; edges renormalised.
 */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H

#include <stddef.h>
#include <stdint.h>

struct resize_shape {
    int32_t source_width, source_height, target_width, target_height;
};

/* Bytes of scratch that resize_run needs. */
size_t resize_scratch_bytes(const struct resize_shape *shape);

/* source [sh, sw, 3] float32 -> target [th, tw, 3]; values are not clamped. */
void resize_run(const struct resize_shape *shape, const float *source, float *target,
                void *scratch);

#endif
