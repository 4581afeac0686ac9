/* plan_band — activations that are too large to be kept in memory completely: they are computed in bands.
 *
 * A band is some rows (called lines in this code) of an image. A convolution can compute any rows of its result
 * from the same rows of its input and a few more; a sum or an activation from the same rows; and so can a group
 * norm after its statistics are known, which need each row only once. So a large value
 * need not be in memory as a whole: the operator that uses it has it computed, band by band, by the
 * operators before it, starting from values that are in memory (whole).
 *
 *     whole A --conv--> B --group norm--> C --conv--> D --sum with B--> E (whole)
 *
 *     step 1  statistics of C's norm   for each band: compute rows of B, measure them
 *     step 2  compute E                for each band: rows of B, C, D, then of E
 *
 * B is computed twice: this takes time and saves memory. A band keeps the rows that the next band
 * needs too, so that no row is computed twice within one step, however small the bands are.
 *
 * If the plan may take more bytes than that (most_bytes), some of the large values are kept completely after
 * all, first the one that saves most work, and bands are made taller.
 *
 * The result is the same bytes. The library may sum a GEMM of another shape in another order,
 * so the shapes must be the same too: in a plan with by_lines, wide images are divided into the same parts of
 * rows whether they are banded or not, and banding is decided by bytes only. The pieces of a norm
 * depend on its shape and are combined in order.
 *
 * plan_seal goes through the list of steps to find how many rows each band must hold and
 * how much work it is; plan_run goes through the same list to compute.
 */
#ifndef COMPUTE_PLAN_BAND_H
#define COMPUTE_PLAN_BAND_H

#include "compute/plan_private.h"

/* What plan_run passes to each step. */
struct plan_runner {
    const struct plan_progress *progress; /* may be NULL */
    double done;                          /* FLOP */
    struct dr_error *err;
    enum dr_code code;
};

/* Decide which operators work row by row, and which values are made in bands (at first the lowest bands). */
void plan_band_choose(struct plan *plan);
/* plan->steps; a plan that is whole has one for each operator. Again after each change of what is in
 * bands. Errors: DR_NOMEM. */
enum dr_code plan_band_steps(struct plan *plan, struct dr_error *err) DR_MUST_CHECK;
/* After the operators are prepared: bytes of the bands, FLOP of a run. */
void plan_band_measure(struct plan *plan);
/* No bytes for bands, until they are measured again. */
void plan_band_forget(struct plan *plan);
/* FLOP of a run by its steps, without measuring. */
double plan_band_flop(const struct plan *plan);
/* Is operator i's result made in bands, and would keeping it completely save work? The other two keep
 * it, and undo that: afterwards steps and bands must be made again. */
bool plan_band_can_keep(const struct plan *plan, size_t i);
void plan_band_keep(struct plan *plan, size_t i);
void plan_band_let_go(struct plan *plan, size_t i);
/* The tallest bands; lower ones: false where they are as low as goes. Then measure again. */
void plan_band_heighten(struct plan *plan);
bool plan_band_lower(struct plan *plan);
/* Do a step; false on error, with the reason in runner->code. */
bool plan_band_run(struct plan *plan, const struct plan_step *step,
                   struct plan_runner *runner);

/* Of plan_run.c: make these rows of operator i's result, with progress, cancel and profile. */
bool plan_run_rows(struct plan *plan, int32_t i, struct rows rows,
                   struct plan_runner *runner);
/* Of plan_run.c: measure these pieces for the group norm that is operator i, with profile. */
void plan_run_measure(struct plan *plan, int32_t i, int64_t first, int64_t end);

#endif
