/* merge — a weight with its deltas, made anew in an operator's scratch memory each time it runs.
 *
 *     factors   the deltas' matrices, in the weight's type and in the layout that GEMMs take: made once for each run
 *     tiles     64 outputs x TILE inputs of the base to float32, plus up x down, rounded once, to the merged weight
 *
 * The merged weight has the base's layout: the operator that reads it does not know. A weight is merged once
 * for each run of its operator, so for two adapters of rank 128 that is a tenth of a UNet's FLOP, whatever
 * the image's size (decisions/0013). Sums do not depend on threads: a tile is one task. merge_private.h says which
 * file does what.
 *
 * Threads: as a plan.
 */
#ifndef COMPUTE_MERGE_H
#define COMPUTE_MERGE_H

#include "compute/plan_private.h"
#include "compute/weight_delta.h"

/* weight->region of a merged weight: the plan has it while the operator runs. */
#define MERGED_REGION INT32_MIN

/* The weight that an operator is to read: `weight` itself, or, where the plan has deltas for it, a copy that
 * the next operator that is added merges before it runs. NULL for NULL. */
const struct weight *merge_take(struct plan *plan, const struct weight *weight);

/* The operator was added: the weights that were taken are its. */
void merge_give(struct plan *plan, struct op *op);

/* After the operator is prepared: add what its merged weights need to its scratch memory. */
enum dr_code merge_prepare(struct plan *plan, struct op *op, struct dr_error *err);

/* Before it runs: make them. False where the library fails. */
bool merge_run(struct plan *plan, const struct op *op);

#endif
