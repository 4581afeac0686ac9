/* prompt_step — a job's prompts: which chunks are in the prompt cache, encoding the others
 * (STEP_TEXT), and writing the UNet's text inputs.
 */
#ifndef JOB_PROMPT_STEP_H
#define JOB_PROMPT_STEP_H

#include "job/job.h"

/* Are this encoder's rows of both prompts (of the negative one only if it is encoded) in the cache?
 * Counts as a use of the rows that are found. */
bool prompt_step_is_cached(const struct job *job, const struct slot *slot);

/* Chunks of each prompt; the context has 77 tokens for each. */
int32_t prompt_step_chunk_count(const struct job *job);

/* The prompt cache that has room for all rows of this job. */
struct prompt_cache_shape prompt_step_cache_shape(const struct job *job);

/* Write the rows of all prompts, and the sizes, to the inputs of the bound plan. With guidance the batch is
 * [negative, prompt], as usual. */
void prompt_step_apply(const struct job *job, const struct unet_plan *unet);

#endif
