/* request — from a caller's options to a job_request: everything is checked before anything is
 * done, and every refusal says what to give instead.
 */
#ifndef JOB_REQUEST_H
#define JOB_REQUEST_H

#include "job/job.h"
#include "switch/current_model.h"

/* Check all options and make the request, which owns its prompts' chunks: job_request_finish, also after an
 * error. Errors: DR_BAD_INPUT says what to give instead. */
enum dr_code generate_request(struct current_model *model,
                              const struct dr_generate_options *options,
                              struct job_request *want,
                              struct dr_error *err) DR_MUST_CHECK;

/* The same for a forecast: no output, no vocabulary needed; prompts count as not cached. */
enum dr_code forecast_request(struct current_model *model,
                              const struct dr_generate_options *options,
                              struct job_request *want,
                              struct dr_error *err) DR_MUST_CHECK;

/* Release what a request owns. Copies of it are worth nothing then. */
void job_request_finish(struct job_request *want);

enum codec_direction {
    CODEC_ENCODE,
    CODEC_DECODE
};
enum dr_code codec_request(struct current_model *model,
                           const struct dr_codec_options *options,
                           enum codec_direction direction, struct job_request *want,
                           struct dr_error *err) DR_MUST_CHECK;

/* Check what of the options says nothing about a model: numbers, names, and whether the output can be
 * written. The requests above check that too. Errors: DR_BAD_INPUT; output_check's. */
enum dr_code request_check_generate(const struct dr_generate_options *options,
                                    struct dr_error *err) DR_MUST_CHECK;
enum dr_code request_check_codec(const struct dr_codec_options *options,
                                 enum codec_direction direction,
                                 struct dr_error *err) DR_MUST_CHECK;

/* The result does not take the place of what it is made from: the model, the VAE that is active, or the
 * one that the job chose for itself (NULL: none). Errors: DR_BAD_INPUT. */
enum dr_code request_check_sources(const struct job_request *want,
                                   const struct pipeline *pipeline,
                                   const struct vae_file *vae,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
