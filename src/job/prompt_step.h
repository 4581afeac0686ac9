/* prompt_step — a job's prompts: which chunks are in the prompt cache, encoding the others
 * (STEP_TEXT), and writing the UNet's text inputs.
 */
#ifndef JOB_PROMPT_STEP_H
#define JOB_PROMPT_STEP_H

#include "job/context_batch.h"
#include "job/job.h"

/* Is every chunk that this encoder has to encode in the cache? Counts as a use of the rows that are found. */
bool prompt_step_is_cached(const struct job *job, const struct slot *slot);

/* What the UNet is evaluated for at each step. */
struct context_layout prompt_step_layout(const struct job *job);
/* The network of a SAMPLE step for a batch of these contexts. */
struct network *prompt_step_network(const struct job *job, const struct step *step,
                                    const struct context_batch *batch);

/* The prompt cache that has room for all rows of this job. */
struct prompt_cache_shape prompt_step_cache_shape(const struct job *job);

/* Write what a batch's contexts are at an evaluation, counted from 0, to the inputs of its bound plan; and the
 * sizes. */
void prompt_step_apply(const struct job *job, const struct unet_plan *unet,
                       const struct context_batch *batch, int32_t evaluation);
/* Is one of them another than at the evaluation before? */
bool prompt_step_changes_at(const struct job *job, int32_t evaluation);

#endif
