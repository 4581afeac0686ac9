/* tiled_conv — 3x3 convolutions with fewer multiplications, by tiles of 2x2 outputs.
 *
 *     weight  --combine-->  points x [in][out]        in a buffer of the caches' size
 *     tiles   --window-->   points x [block][in]      of a block of tiles
 *             --products--> points x [block][panel]   of a panel of outputs
 *             --outputs-->  result                    with bias and residual
 *
 * TILED_WINOGRAD  Winograd's F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308, section 4.1), for
 *     stride 1: of the 4x4 inputs d under a tile and the kernel g
 *         Y = A^T [ (G g G^T) * (B^T d B) ] A       element by element, summed over inputs:
 *     16 multiplications instead of 36. Only in bfloat16: rounding the transformed
 *     numbers makes a layer's error 1.5 times that of the direct convolution. float32 uses the direct
 *     convolution, because it is the reference for everything else.
 * TILED_ENLARGING  nearest-neighbour upsampling by two, then the convolution. A tile is the 2x2 outputs of one
 *     input pixel. Each output depends on 2x2 inputs; an input that several taps multiply is multiplied
 *     once by the sum of these taps: 4 kernels of 2x2 inputs instead of 4 of 3x3. Exact except for
 *     the rounding of the sums.
 *
 * If all combined weights fit the buffer, a task is a block of tiles, and one worker makes its windows. Else
 * windows are made for a group of blocks, and the weights are combined some panels at a time.
 *
 * A weight is stored as for the direct convolution and combined again at each use: so it is not stored
 * twice, and less memory is read than for stored combined weights (which would be 16/9 of it).
 * Blocks and panels depend only on the shape, and an output row depends only on its own input rows: so the
 * result is the same bytes for any number of threads, bands and any budget. (The groups change only memory.)
 */
#ifndef COMPUTE_TILED_CONV_H
#define COMPUTE_TILED_CONV_H

#include "compute/plan_private.h"

enum tiled_recipe {
    TILED_NONE,
    TILED_WINOGRAD,
    TILED_ENLARGING
};

/* Tiles of a result of this shape, of all images. */
int64_t tiled_conv_tiles(struct shape shape);

/* Of plan_conv: add the operator, for a 3x3 kernel at stride 1, padded by 1 on all sides; ENLARGING:
 * of an activation upsampled to exactly twice its size. x and the residual (or none) were checked. False,
 * with nothing added, if the library's layout of this kernel does not allow combining. */
bool tiled_conv_add(struct plan *plan, struct value x, struct value result,
                    const struct conv_options *options, enum tiled_recipe recipe);

#endif
