/* linear — the operator plan_linear, and fusing GEGLU into it. */
#ifndef COMPUTE_LINEAR_H
#define COMPUTE_LINEAR_H

#include "compute/plan_private.h"

/* Let the linear `op` compute value * gelu(gate) of its own outputs, straight into result,
 * which is half as wide. False, with nothing changed, if op is not a linear or cannot do that. */
bool linear_gate(struct op *op, struct value result);

#endif
