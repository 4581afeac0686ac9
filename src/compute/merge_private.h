/* merge_private — what the files of a merge share.
 *
 *     merge.c         which weights of a plan have deltas; how a weight is merged, in order
 *     merge_size.c    the scratch memory that this takes
 *     merge_tile.c    a tile between the packed weight and rows of float32
 *     merge_term.c    a tile of a delta: the product of its matrices, or the numbers of a full one
 *     merge_norm.c    DoRA: what a norm makes of it
 *     merge_factor.c  the matrices, converted to what a GEMM takes (a module of its own)
 *
 * Offsets are in the operator's scratch memory: [its own][merged weights][factors, cores, norms: of one merge at a
 * time][a part for each lane: tiles, a line, the library's].
 */
#ifndef COMPUTE_MERGE_PRIVATE_H
#define COMPUTE_MERGE_PRIVATE_H

#include "compute/merge.h"
#include "compute/merge_factor.h"

enum {
    TILE_NUMBERS = MERGE_TILE * MERGE_PANEL
};

/* A low-rank term of one delta. */
struct low_rank {
    struct merge_factor factor;
    const struct product *product;
    int32_t first_panel, panel_count; /* of the target, that it changes */
    size_t up, down, core;
};

struct changed {
    const struct weight_delta *delta;
    struct low_rank *terms[2]; /* NULL: full */
    size_t sums;               /* of a norm: squares of each tile, then the factors */
    size_t factors;
};

struct merge {
    struct merge *next;
    struct weight merged;
    const struct weight *base;
    struct changed *changes;
    size_t change_count;
    int32_t tiles, panels;
    int32_t tiles_of_lane; /* acc alone, or all three of struct unit */
    size_t line_bytes;     /* of a lane: a line of a matrix */
    size_t lane_bytes;     /* tiles, line and library */
    bool has_norm;
};

struct merge_set {
    struct merge *first;
    size_t at;    /* where the merged weights begin */
    size_t lanes; /* where the lanes' memory begins */
    size_t lane_bytes;
    int32_t lane_count;
};

/* One merge that runs. */
struct merging {
    const struct plan *plan;
    const struct merge_set *set;
    const struct merge *merge;
    unsigned char *scratch;
    bool measures; /* squares for norms, not the weight */
    atomic_bool failed;
};

/* What one task merges: a tile of a panel, in its lane's memory. */
struct unit {
    int32_t panel, tile;
    int32_t first_out, outs, first_in, ins;
    float *acc; /* [MERGE_TILE][64]: base, then base and deltas */
    float *made,
        *other; /* of merges that need them: D and a factor of it, or the base again */
    unsigned char *library;
};

/* One low-rank term without a norm: it is added to acc by the product itself. */
static inline bool merge_is_fast(const struct weight_delta *delta)
{
    return delta->term_count == 1 && !delta->terms[0].full &&
           delta->norm == DELTA_NO_NORM;
}

static inline int32_t merge_taps(const struct weight *weight)
{
    return weight->kernel_height * weight->kernel_width;
}

static inline struct factor_matrix merge_matrix_of(const struct merging *run,
                                                   const struct weight *weight)
{
    return (struct factor_matrix){.data = plan_weight(run->plan, weight),
                                  .type = weight->stored,
                                  .columns = (size_t)weight->in};
}

/* The delta's outputs within the unit's. */
static inline void merge_rows_of(const struct weight_delta *delta,
                                 const struct unit *unit, int32_t *first, int32_t *end)
{
    *first = delta->first_row - unit->first_out;
    *end = *first + delta->row_count;
    if (*first < 0) *first = 0;
    if (*end > unit->outs) *end = unit->outs;
}

/* ---- merge_size.c ---- */

/* Offsets and products of one merge. Parts that only one merge uses at a time begin at `start`; *end grows to
 * where the longest ends. */
enum dr_code merge_size(struct plan *plan, struct merge *merge, size_t start,
                        size_t *end, struct dr_error *err) DR_MUST_CHECK;
size_t merge_take_bytes(size_t *end, size_t bytes);

/* ---- merge_tile.c ---- */

/* The unit's part of the base to float32 in `tile`, read as it is stored. */
void merge_read_tile(const struct merging *run, const struct unit *unit, float *tile);
/* acc, rounded once, to the merged weight. */
void merge_write_tile(const struct merging *run, const struct unit *unit);

/* ---- merge_term.c ---- */

/* acc += the product of a fast delta's matrices, scale and strength included. False where the library fails. */
bool merge_multiply(const struct merging *run, const struct low_rank *low,
                    const struct unit *unit, int lane, float *result) DR_MUST_CHECK;
/* D of any delta to unit->made. */
bool merge_make_delta(const struct merging *run, const struct changed *change,
                      const struct unit *unit, int lane) DR_MUST_CHECK;

/* ---- merge_norm.c ---- */

/* The squares of base + scale * D; made: D, other: the base. */
void merge_add_squares(const struct merging *run, const struct changed *change,
                       const struct unit *unit);
/* Of all squares: magnitude / norm of each output or input. */
void merge_make_norm_factors(const struct merging *run, const struct changed *change);
/* acc += strength * (factor * (base + scale * D) - base). */
void merge_add_normed(const struct merging *run, const struct changed *change,
                      const struct unit *unit);

#endif
