/* weight_delta — what an adapter adds to one weight of a network.
 *
 * The base is never written: a plan that is made with deltas merges them into a copy of the weight,
 * in its own scratch memory, while the weight's operator runs (merge.h).
 *
 *     merged = base + sum over deltas of strength * scale * D,    D[o, i, tap] = term 0 (* term 1)
 *
 *     kind         terms
 *     LoRA         up [out, r] x down [r, in * taps]
 *     LoRA, mid    up [out, r], core [r, r2 * taps], down [r2, in]
 *     LoHa         two terms as above, multiplied element by element
 *     LoKr         a full term w1 and a full or low-rank term w2: D[o, i] = w1[o / o2, i / i2] * w2[o % o2, i % i2]
 *     difference   one full term
 *     DoRA         strength * (m * (base + scale * D) / |base + scale * D| - base), the norm taken over all
 *                  inputs of an output, or over all outputs and taps of an input
 *
 * All matrices are WEIGHT_TABLEs [rows, columns] of an adapter's region, as they lie in its file: taps are the
 * fastest index of a convolution's columns. VECTORs (biases, norms) take a full term of n numbers.
 *
 * References: 2106.09685 (LoRA), 2108.06098 (LoHa), 2309.14859 (LyCORIS: LoKr, tucker), 2402.09353 (DoRA).
 */
#ifndef COMPUTE_WEIGHT_DELTA_H
#define COMPUTE_WEIGHT_DELTA_H

#include <stdbool.h>

#include "compute/weight.h"

/* Output o takes row (o / step) % count of a term's matrix; input i its column likewise. */
struct delta_index {
    int32_t step, count;
};

struct delta_term {
    const struct weight *full; /* [out, in * taps]; or NULL: */
    const struct weight *up;   /* [out, r], or [r, out] where up_is_turned */
    const struct weight *down; /* [r, in * taps]; with a core [r2, in] */
    const struct weight *core; /* [r, r2 * taps]; or NULL */
    bool up_is_turned;
    bool has_taps; /* of a kernel larger than 1x1; else each tap gets the same */
    struct delta_index out, in;
};

enum delta_norm {
    DELTA_NO_NORM,
    DELTA_NORM_OF_OUTPUT, /* magnitude [out] */
    DELTA_NORM_OF_INPUT   /* magnitude [in] */
};

struct weight_delta {
    const struct weight *target; /* of the base */
    /* Where the tensor that was adapted lies in the target: rows of a stack (q, k, v), and the first of its
     * inputs that the target has. */
    int32_t first_row, row_count;
    int32_t first_column;
    struct delta_term terms[2];
    int32_t term_count;
    float scale;
    float strength;
    enum delta_norm norm;
    const struct weight *magnitude; /* a TABLE of that many numbers */
};

/* Of one plan. */
struct weight_deltas {
    const struct weight_delta *items; /* those of one target follow each other */
    size_t count;
};

/* The rank of a low-rank term; 0: it is full. */
static inline int32_t delta_term_rank(const struct delta_term *term)
{
    if (term->full) return 0;
    return term->up_is_turned ? term->up->out : term->up->in;
}

#endif
