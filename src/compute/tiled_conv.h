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
 *     16 products where the direct way has 36. In bfloat16 alone: rounding the transformed
 *     numbers makes a layer 1.5 times as inexact as the direct convolution. float32 stays direct,
 *     since everything is held against it.
 * TILED_ENLARGING  nearest-neighbour enlargement by two, then the convolution: a tile is what one
 *     input pixel becomes, and each of its outputs sees 2x2 inputs, some under several taps, whose
 *     sum is one number: 4 products of 2x2 inputs where there would be 4 of 3x3. Exact but for
 *     rounding the sums.
 *
 * Where all combined weights fit the buffer a task is a block, whose windows stay in one lane. Else
 * windows are made for a group of blocks, and some panels of the weights are combined at a time.
 *
 * A weight lies in memory as for the direct convolution, and is combined anew at each use: nothing
 * is kept twice, and less is read from memory than combined weights would be (16/9 of it).
 * Blocks and panels are cut by the shape alone, and an output line is made of its own input lines
 * alone: the same bytes for all threads, bands and budgets. (Of groups nothing but memory depends.)
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
 * of a map enlarged to exactly twice its size. x and the residual (or none) were checked. False,
 * with nothing added, where the library's layout of this kernel cannot be combined. */
bool tiled_conv_add(struct plan *plan, struct value x, struct value result,
                    const struct conv_options *options, enum tiled_recipe recipe);

#endif
