/* group_norm — the statistics of a group norm, computed in parts, for values that are made in bands
 * (plan_band.h).
 *
 * Statistics are computed for pieces of some hundred pixels, whose bounds depend only on the shape; at the
 * end the pieces are combined in order. So the result does not depend on which pieces were measured
 * together.
 */
#ifndef COMPUTE_GROUP_NORM_H
#define COMPUTE_GROUP_NORM_H

#include "compute/plan_private.h"

bool group_norm_is(const struct op *op);

/* The number of pieces that end in the first `lines` rows of an image. */
int64_t group_norm_pieces(const struct op *op, int32_t lines);
/* The image row in which a piece begins. */
int32_t group_norm_line(const struct op *op, int64_t piece);

/* Measure the pieces [first, end); the inputs hold their rows. */
void group_norm_measure(const struct plan *plan, const struct op *op, int64_t first,
                        int64_t end);
/* After all pieces are measured: compute factor and offset, so that run() only computes x * factor +
 * offset. */
void group_norm_settle(const struct plan *plan, const struct op *op);

#endif
