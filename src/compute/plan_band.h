/* plan_band — values that are too large to be kept whole: bands of lines, made when they are used.
 *
 * A convolution makes any lines of its result from a few lines more of its input; sums and
 * activations from the same lines; a group norm too, once its statistics are known, and for those
 * it is enough to see all lines once, some at a time. So a large value need not exist: whoever
 * uses it has it made, band by band, by the operators before it, back to values that are whole.
 *
 *     whole A --conv--> B --group norm--> C --conv--> D --sum with B--> E (whole)
 *
 *     step 1  measure C's norm     for each band: conv makes lines of B, they are measured
 *     step 2  fill E               for each band: lines of B, C, D, then of E
 *
 * B is made twice: time is paid for memory. A band keeps the lines that the next one needs
 * again, so nothing is made twice in one step, however few lines a band has.
 *
 * Where the plan may have more bytes than that takes (most_bytes), large values are kept whole all the
 * same, the one first that saves most work, and bands are taller.
 *
 * Exactly the same bytes come out. A library may sum a product of another shape in another order,
 * so the shapes are the same too: in a plan with by_lines, wide maps are cut into the same parts of
 * lines whether they are whole or banded, and whether they are is decided by bytes alone. A norm's
 * pieces depend on its shape, and are put together in order.
 *
 * The list of steps is walked by plan_seal to see how many lines each band must hold and
 * how much work it is, and by plan_run to do it.
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
