/* prompt_step — a job's prompts: which chunks are in the prompt cache, encoding the others
 * (STEP_TEXT), and writing the UNet's text inputs.
 */
#ifndef JOB_PROMPT_STEP_H
#define JOB_PROMPT_STEP_H

#include "job/context_batch.h"
#include "job/job.h"

/* Are this encoder's rows of both prompts (of the negative one only if it is encoded) in the cache?
 * Counts as a use of the rows that are found. */
bool prompt_step_is_cached(const struct job *job, const struct slot *slot);

/* What the UNet is evaluated for at each step. */
struct context_layout prompt_step_layout(const struct job *job);
/* The network of a SAMPLE step for a batch of these contexts. */
struct network *prompt_step_network(const struct job *job, const struct step *step,
                                    const struct context_batch *batch);

/* The prompt cache that has room for all rows of this job. */
struct prompt_cache_shape prompt_step_cache_shape(const struct job *job);

/* Write the rows and the sizes of a batch's contexts to the inputs of its bound plan. */
void prompt_step_apply(const struct job *job, const struct unet_plan *unet,
                       const struct context_batch *batch);

#endif
