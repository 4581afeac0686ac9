/* winograd — 3x3 convolutions at stride 1 with 16 multiplications where there are 36.
 *
 * Winograd's F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308, section 4.1). For a tile of 2x2
 * outputs, of the 4x4 inputs d under them and the kernel g:
 *
 *     Y = A^T [ (G g G^T) * (B^T d B) ] A         * element by element, summed over inputs
 *
 * Each of the 16 elements ("points") is a product [tiles][in] x [in][out] of its own:
 *
 *     block of tiles  --B-->  16 x [tiles][in]  --products-->  16 x [tiles][chunk]  --A-->  result
 *                     bf16                      float32
 *
 * One task is one block of tiles and some chunks of its outputs; both are cut by the shape
 * alone. Tiles begin at even lines and columns of the whole map, so a line is computed alike
 * whatever other lines are made with it.
 *
 * Chosen for bfloat16 only. Rounding the transformed numbers makes a layer 1.5 times as inexact as the
 * direct convolution (relative 4.3e-3 where that has 2.9e-3). In float32 the convolution stays
 * direct: that is what everything is held against (tests run these loops in float32 too).
 */
#ifndef COMPUTE_WINOGRAD_H
#define COMPUTE_WINOGRAD_H

#include "compute/plan_private.h"

#define WINOGRAD_POINTS 16

/* The one place where a kernel's shape chooses it; nothing else does, so that a picture has the
 * same bytes whatever the threads, the budget and the bands are. */
bool winograd_is_chosen(const struct weight_shape *shape);

/* Of weight_store: transform outputs [first, first + count) of plain kernels [out][in][3][3]. */
void winograd_store(const struct weight *weight, const void *plain, int32_t first,
                    int32_t count, void *target);

/* Of plan_conv, for a weight that was chosen: 3x3, stride 1, padding 1. x and the residual (or
 * none) were checked. */
struct value winograd_add(struct plan *plan, struct value x, struct value result,
                          const struct conv_options *options);

#endif
