/* network_plans — the plans of a job's networks, and how much of the VAE is computed in bands.
 *
 * The memory of a job is mostly its networks' arenas. If it does not fit the budget, the VAE's
 * largest activations are computed in bands (compute/plan_band.h), more of them at each level. If the budget
 * then leaves memory unused, the plan with bands is made again to use it.
 *
 * The UNet's plans can keep what they make of the prompts from step to step: the keys and values of its cross
 * attention. That takes memory as well, and is done where there is memory left.
 *
 * Each function checks the job's cancel flag before each plan, which can take a second. After an error
 * the plans are incomplete, and only job_finish may be called.
 */
#ifndef JOB_NETWORK_PLANS_H
#define JOB_NETWORK_PLANS_H

#include "job/job.h"

/* Make the plans of all networks, with nothing in bands, and lay out the job's memory. Errors:
 * DR_CANCELLED, the plans', step_list_place's. */
enum dr_code network_plans_make(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Make the largest of the VAE's plans one level smaller; *smaller is false where there is no such
 * level, or nothing is won by it: other networks need as much. Errors: as network_plans_make. */
enum dr_code network_plans_shrink(struct job *job, bool *smaller,
                                  struct dr_error *err) DR_MUST_CHECK;

/* Undo network_plans_shrink. */
enum dr_code network_plans_make_whole(struct job *job,
                                      struct dr_error *err) DR_MUST_CHECK;

/* Make plans with bands again, so that they use the complete arena and this many bytes more to save work. */
enum dr_code network_plans_use_room(struct job *job, size_t more,
                                    struct dr_error *err) DR_MUST_CHECK;

/* Keep what the UNet makes of the prompts over all its runs, or make it in each. Jobs whose contexts are run in
 * several batches never keep it, because each batch overwrites the contexts of another. Errors: the plans',
 * step_list_place's. */
enum dr_code network_plans_keep_contexts(struct job *job, bool keep,
                                         struct dr_error *err) DR_MUST_CHECK;

/* Bytes that are kept so now. */
size_t network_plans_context_bytes(const struct job *job);

/* The smallest of the VAE's levels: its maps of more bytes are computed in bands. 0: none is. */
size_t network_plans_whole_bytes(const struct job *job);

/* Floating-point operations of the whole job without its text encoders. All steps are counted, also
 * those that image-to-image leaves out. */
double network_plans_flop(const struct job *job);

/* The same if the budget were exactly the bytes that are planned now; the plans do not change. */
enum dr_code network_plans_flop_at_best(struct job *job, double *flop,
                                        struct dr_error *err) DR_MUST_CHECK;

/* Of one evaluation of the UNet, for all contexts; 0 where the job has none. */
double network_plans_evaluation_flop(const struct job *job);

/* Of one step; 0 where it runs no network, or a text encoder. */
double network_plans_step_flop(const struct job *job, const struct step *step);

#endif
