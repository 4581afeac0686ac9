/* checkpoint_values — random values for the tensors of a layout.
 *
 * Counter-based: element i of a tensor is a function of (seed, name without prefix, i): the sum of
 * the four 16-bit parts of a mixed 64-bit counter, an integer, times one float. So a file is the
 * same on every machine and for any number of threads, and one VAE has the same values with any
 * prefix, inside a checkpoint or alone.
 */
#ifndef TOOLS_CHECKPOINT_VALUES_H
#define TOOLS_CHECKPOINT_VALUES_H

#include "checkpoint_layout.h"

enum type {
    TYPE_F32,
    TYPE_F16,
    TYPE_BF16,
    TYPE_I64
};

/* Elements [start, start + count) of a tensor. */
struct value_run {
    int64_t start, count;
};

/* The run's values, as float32; nothing for FILL_POSITIONS, which are integers. */
void values_fill(const struct layout_tensor *tensor, uint64_t seed,
                 const struct value_run *run, float *target);

/* The same in a file's type. TYPE_I64: the elements' numbers, whatever the floats are. */
void values_convert(const float *floats, const struct value_run *run, enum type type,
                    void *target);

#endif
