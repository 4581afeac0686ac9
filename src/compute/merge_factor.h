/* merge_factor — a low-rank term's matrices, converted to what a GEMM of a merge takes.
 *
 *     down^T  [tiles * MERGE_TILE][rank]      plain rows, in the weight's type; the rank is padded with zeros
 *     up^T    panels x [rank][64]             each in the library's layout; times `scale`
 *
 * Rows of down^T are in the order of the packed weight's inputs: tap after tap, input after input.
 *
 * Threads: parts are independent.
 */
#ifndef COMPUTE_MERGE_FACTOR_H
#define COMPUTE_MERGE_FACTOR_H

#include "compute/layout.h"
#include "compute/weight_delta.h"

enum {
    MERGE_TILE = 256, /* inputs */
    MERGE_PANEL = 64, /* outputs */
    MERGE_RANKS = 16  /* a rank is padded to a multiple of this */
};

/* A matrix as it lies in memory. */
struct factor_matrix {
    const unsigned char *data;
    enum dtype type;
    size_t columns;
};

/* What is read, and which part of the target it is for. */
struct merge_factor {
    const struct weight_delta *delta;
    const struct delta_term *term;
    struct weight_layout layout; /* of a panel of up */
    int32_t rank, padded;
    enum dtype type;  /* of the weight */
    int32_t in, taps; /* of the target */
};

/* Number `column` of `row` of a matrix. */
float factor_number(const struct factor_matrix *matrix, size_t row, size_t column);

/* The row and the column of a term's matrix for an output of the delta and an input of its tensor. */
static inline size_t delta_at(struct delta_index index, int32_t i)
{
    return (size_t)(i / index.step % index.count);
}

/* Of target's packed input k: which input of the delta's tensor, and which tap. */
struct factor_place {
    int32_t input, tap;
};
static inline struct factor_place factor_place(const struct merge_factor *factor,
                                               int32_t k)
{
    return (struct factor_place){factor->delta->first_column + k % factor->in,
                                 k / factor->in};
}

/* Outputs [first, first + 64) of the target to one panel; `line` holds `padded` numbers. */
void factor_make_up(const struct merge_factor *factor, const struct factor_matrix *up,
                    float scale, int32_t first, float *line, void *panel);

/* Packed inputs [first, first + MERGE_TILE) to rows of `padded` numbers. core: NULL, or the core as
 * factor_make_core leaves it. */
void factor_make_down(const struct merge_factor *factor,
                      const struct factor_matrix *down, const float *core,
                      int32_t first, float *line, void *rows);

/* One tap of the core [r, r2 * taps] to [r2][padded]. */
void factor_make_core(const struct merge_factor *factor,
                      const struct factor_matrix *core, int32_t tap, float *target);

#endif
