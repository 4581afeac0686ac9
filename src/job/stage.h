/* stage — what a job runs: prompts to contexts, picture to moments, noise to latents, latents to
 * pictures. Each works in the job's regions, which are reserved; none allocates.
 *
 * All stages end with a look for NaN and infinity: a result that is not finite is an error that
 * names the stage, never a black picture called success.
 */
#ifndef JOB_STAGE_H
#define JOB_STAGE_H

#include "job/job.h"

/* Does the cache hold the rows that the encoder in this slot makes of both prompts (of the negative one
 * only where it is encoded)? Counts as a use of those that it holds. */
bool stage_text_is_cached(const struct job *job, const struct slot *slot);

/* Chunks of each prompt; the context has 77 tokens for each. */
int32_t stage_chunk_count(const struct job *job);

/* The prompt cache that has room for all rows of this job. */
struct prompt_cache_shape stage_cache_shape(const struct job *job);

/* Open the init picture, read its head, and say how many bytes its pixels and the resize take. */
enum dr_code stage_open_picture(struct job *job, size_t *bytes,
                                struct dr_error *err) DR_MUST_CHECK;
void stage_close_picture(struct job *job);

/* Would the pictures be refused when they are written: a text too long for JPEG? */
enum dr_code stage_check_text(const struct job *job,
                              struct dr_error *err) DR_MUST_CHECK;

enum dr_code stage_text(struct job *job, struct slot *slot,
                        struct dr_error *err) DR_MUST_CHECK;
enum dr_code stage_encode(struct job *job, struct dr_error *err) DR_MUST_CHECK;
enum dr_code stage_sample(struct job *job, struct dr_error *err) DR_MUST_CHECK;
/* A decode job's latents come from their file; a job whose output is latents writes them. */
enum dr_code stage_latents(struct job *job, struct dr_error *err) DR_MUST_CHECK;
enum dr_code stage_decode(struct job *job, struct dr_error *err) DR_MUST_CHECK;

#endif
