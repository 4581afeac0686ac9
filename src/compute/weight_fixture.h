/* weight_fixture — a whole operand at once, for tests. */
#ifndef COMPUTE_WEIGHT_FIXTURE_H
#define COMPUTE_WEIGHT_FIXTURE_H

#include "compute/weight.h"

static inline void weight_store(const struct weight *weight, const void *plain,
                                void *target)
{
    weight_store_begin(weight, target);
    for (int32_t part = 0; part < weight_part_count(weight); ++part)
        weight_store_part(weight, plain, target, part);
}

#endif
