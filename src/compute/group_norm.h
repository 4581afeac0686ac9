/* group_norm — what plan_band.h needs of a group norm: its statistics, a part at a time.
 *
 * They are taken over pieces of some hundred pixels each, which depend on the shape alone; the
 * pieces are put together at the end, in order. So it does not matter which of them were measured
 * in one go.
 */
#ifndef COMPUTE_GROUP_NORM_H
#define COMPUTE_GROUP_NORM_H

#include "compute/plan_private.h"

bool group_norm_is(const struct op *op);

/* The pieces of one image that end in its first lines; all of them for all lines. */
int64_t group_norm_pieces(const struct op *op, int32_t lines);
/* The line in which a piece begins. */
int32_t group_norm_line(const struct op *op, int64_t piece);

/* Measure pieces [first, end), which the inputs hold. */
void group_norm_measure(const struct plan *plan, const struct op *op, int64_t first,
                        int64_t end);
/* When all are measured: what is left for run() is x * factor + offset. */
void group_norm_settle(const struct plan *plan, const struct op *op);

#endif
