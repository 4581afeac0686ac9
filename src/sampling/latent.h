/* latent — the latent image between the networks: its two layouts and its file.
 *
 * Samplers, noise and files hold it channels first, [4, h, w], as PyTorch does; the networks
 * take channels last, [h, w, 4].
 */
#ifndef SAMPLING_LATENT_H
#define SAMPLING_LATENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "compute/plan.h"
#include "model/latent_space.h"

/* cells = h * w; source and target may not overlap. */
void latent_to_channels_last(const float *source, float *target, size_t cells);
void latent_to_channels_first(const float *source, float *target, size_t cells);

/* The same for cells [first, first + count) alone, on their way into or out of a plan: what has its
 * channels first is all cells', what has them last is these cells' (on the stack: 4 KiB a block). */
enum {
    LATENT_BLOCK_CELLS = 256
};
void latent_block_to_channels_last(const float *source, float *target, size_t cells,
                                   size_t first, size_t count);
void latent_block_to_channels_first(const float *source, float *target, size_t cells,
                                    size_t first, size_t count);
/* Of the block that begins with cell first. */
size_t latent_block_cells(size_t first, size_t cells);

/* No NaN, no infinity. */
bool latent_is_finite(const float *values, size_t count);
/* The same of elements of a plan's input or output (float32). */
bool latent_is_finite_in(const struct plan *plan, struct value value, size_t first,
                         size_t count);

/* A latent file: one float32 tensor "latent" [n, 4, h, w] in the UNet's scale. */
enum dr_code latent_file_write(const char *path, const float *latents, int32_t n,
                               int32_t height, int32_t width,
                               struct dr_error *err) DR_MUST_CHECK;

/* The head alone: how many, how large. Errors: DR_BAD_INPUT where it is no latent file. */
struct latent_head {
    int32_t n, height, width;
};
enum dr_code latent_file_head(const char *path, struct latent_head *head,
                              struct dr_error *err) DR_MUST_CHECK;
/* All latents into memory of n*4*h*w floats, as the head said. DR_CHANGED if it no longer does. */
enum dr_code latent_file_read(const char *path, const struct latent_head *head,
                              float *latents, struct dr_error *err) DR_MUST_CHECK;

#endif
