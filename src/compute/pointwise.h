/* pointwise — operators on single rows or numbers; see plan.h for each. */
#ifndef COMPUTE_POINTWISE_H
#define COMPUTE_POINTWISE_H

#include "compute/plan_private.h"

/* Is the operator a GEGLU? plan_seal fuses it into the linear before it. */
bool pointwise_is_gate(const struct op *op);

#endif
