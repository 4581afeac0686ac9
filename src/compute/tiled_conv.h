/* tiled_conv — 3x3 convolutions with fewer multiplications, by tiles of outputs.
 *
 *     weight  --combine-->  points x [in][out]        in the caches
 *     tiles   --window-->   points x [block][in]      of a block of tiles
 *             --products--> points x [block][panel]   of a panel of outputs
 *             --outputs-->  result                    with bias and residual
 *
 * TILED_WINOGRAD  Winograd's F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308, section 4.1), for
 *     stride 1: of the 4x4 inputs d under a tile of 2x2 outputs and the kernel g
 *         Y = A^T [ (G g G^T) * (B^T d B) ] A       element by element, summed over inputs:
 *     16 multiplications instead of 36. In bfloat16 rounding the transformed numbers makes a layer's error
 *     1.5 times that of the direct convolution; in float32 it is below 1e-6.
 * TILED_WINOGRAD_4  the same with 4x4 outputs of 6x6 inputs, F(4x4, 3x3): 36 multiplications instead of 144. In
 *     float32 alone, with an error of about 3e-6: intermediate values differ too much in size for bfloat16.
 * TILED_ENLARGING  nearest-neighbour upsampling by two, then the convolution. A tile is the 2x2 outputs of one
 *     input pixel. Each output depends on 2x2 inputs; an input that several taps multiply is multiplied
 *     once by the sum of these taps: 4 kernels of 2x2 inputs instead of 4 of 3x3. Exact except for
 *     the rounding of the sums.
 * TILED_ENLARGING_4  the same with 4x4 outputs of 4x4 inputs, and 25 multiplications instead of 64. In one direction
 *     inputs s give outputs y with taps w by
 *         m = w0 (s0 - s2),  (w0 + w1 + w2)/2 (s1 + s2),  (w0 - w1 - w2)/2 (s2 - s1),
 *             (w2 - w0 - w1)/2 (s2 - s1),  -w2 (s1 - s3)
 *         y = m0 + m1 + m2,  m1 + m3,  m1 - m2,  m1 - m3 + m4
 *     which is interpolation at 0, 1, -1 and infinity: at 1 the kernels of even and odd outputs have the same sum,
 *     and share a multiplication. The inputs are transformed as those of F(2x2). The error is below that of F(2x2).
 *
 * A weight is stored as for the direct convolution and combined again at each use: so it is not stored
 * twice, and less memory is read than for stored combined weights (which would be 16/9 or 4 times as large).
 * The order of each sum depends only on the shape, and an output line only on its own input lines: so the
 * result is the same bytes for any number of threads, bands and any budget.
 */
#ifndef COMPUTE_TILED_CONV_H
#define COMPUTE_TILED_CONV_H

#include "compute/plan_private.h"

enum tiled_recipe {
    TILED_NONE,
    TILED_WINOGRAD,
    TILED_WINOGRAD_4,
    TILED_ENLARGING,
    TILED_ENLARGING_4
};

/* Tiles of side x side outputs of a result of this shape, of all images. */
int64_t tiled_conv_tiles(struct shape shape, int32_t side);

/* Is a result of this shape, in tiles of side x side outputs, multiplied panel by panel, by kernels of this layer
 * (tiled_conv_panel.c)? float32 always is. Of bfloat16 what has few tiles, for which combining the taps takes the
 * library's way too long; and not with AMX, which multiplies several times as fast as the kernels do. */
bool tiled_conv_has_panels(const struct plan *plan, struct shape shape, int32_t side,
                           enum dtype type);

/* Of plan_conv: add the operator, for a 3x3 kernel at stride 1, padded by 1 on all sides; ENLARGING and
 * ENLARGING_4: of an activation upsampled to exactly twice its size; WINOGRAD_4: in float32. x and the residual (or none) were checked. False,
 * with nothing added, if the library's layout of this kernel does not allow combining. */
bool tiled_conv_add(struct plan *plan, struct value x, struct value result,
                    const struct conv_options *options, enum tiled_recipe recipe);

#endif
