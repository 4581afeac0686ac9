/* step_run — executes one step of a job.
 *
 * Before it, the job's regions are reserved and the weights that the step needs are loaded (action_list.h); no step
 * allocates memory whose size depends on the picture.
 *
 * Every network's result is searched for NaN and infinity. A result that is not finite is an error that names
 * the network, so that a job never succeeds with a black picture.
 */
#ifndef JOB_STEP_RUN_H
#define JOB_STEP_RUN_H

#include "job/job.h"

/* Errors: those of the files and networks; DR_NOT_FINITE; DR_CANCELLED. */
enum dr_code step_run(struct job *job, const struct step *step,
                      struct dr_error *err) DR_MUST_CHECK;

/* ---- by kind ---- */

/* prompt_step.c */
enum dr_code step_run_text(struct job *job, const struct step *step,
                           struct dr_error *err) DR_MUST_CHECK;
/* picture_step.c */
enum dr_code step_run_read(struct job *job, const struct step *step,
                           struct dr_error *err) DR_MUST_CHECK;
enum dr_code step_run_resize(struct job *job, const struct step *step,
                             struct dr_error *err) DR_MUST_CHECK;
enum dr_code step_run_encode(struct job *job, const struct step *step,
                             struct dr_error *err) DR_MUST_CHECK;
/* sample_step.c */
enum dr_code step_run_noise(struct job *job, const struct step *step,
                            struct dr_error *err) DR_MUST_CHECK;
enum dr_code step_run_sample(struct job *job, const struct step *step,
                             struct dr_error *err) DR_MUST_CHECK;
/* decode_step.c */
enum dr_code step_run_decode(struct job *job, const struct step *step,
                             struct dr_error *err) DR_MUST_CHECK;
/* write_step.c */
enum dr_code step_run_read_latents(struct job *job, const struct step *step,
                                   struct dr_error *err) DR_MUST_CHECK;
enum dr_code step_run_write_latents(struct job *job, const struct step *step,
                                    struct dr_error *err) DR_MUST_CHECK;
enum dr_code step_run_write(struct job *job, const struct step *step,
                            struct dr_error *err) DR_MUST_CHECK;

/* ---- shared by the steps ---- */

enum {
    PICTURE_CHANNELS = 3
};

/* The step whose progress a callback reports. */
struct step_progress {
    const struct job *job;
    const struct step *step;
};

/* The address of a value; the job's regions are open. */
void *step_value_of(const struct job *job, int32_t value);

/* The latents of the step's picture: step_latent_count floats, channels first. */
float *step_latents_of(const struct job *job, const struct step *step);

/* Bind the step's network to its arena and its slot's weights. *is_bound (may be NULL): it was bound by
 * the step before, and its inputs have not changed. Errors: plan_bind's. */
enum dr_code step_bind(struct job *job, const struct step *step, bool *is_bound,
                       struct dr_error *err) DR_MUST_CHECK;
/* The same for another of the step's networks. */
enum dr_code step_bind_network(struct job *job, const struct step *step,
                               const struct network *network, bool *is_bound,
                               struct dr_error *err) DR_MUST_CHECK;

/* Run the step's network, and report progress. If a page of its weights' file is lost
 * meanwhile, that is an error, whatever the result of the run is. */
enum dr_code step_run_network(struct job *job, const struct step *step,
                              struct dr_error *err) DR_MUST_CHECK;

/* The result of a run with these weights, or an error if a page of their file was lost meanwhile. */
enum dr_code step_with_whole_weights(struct slot *slot, enum dr_code code,
                                     struct dr_error *err) DR_MUST_CHECK;

/* Assert that a value of the step's network has the shape that the step is about to write or read. */
void step_expect_latents(const struct step *step, const struct plan *plan,
                         struct value value, int32_t n, int32_t channels);
void step_expect_picture(const struct step *step, const struct plan *plan,
                         struct value value);

/* Convert the decoder's nominal -1..1 to 0..1, clamped. */
void step_to_unit(float *samples, size_t count);

/* Advice for a result that is not finite; "" if the job computes in float32 already. */
const char *step_more_precision(const struct job *job);

#endif
