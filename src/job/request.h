/* request — checks a caller's options and makes a job_request. Everything is checked before the work begins,
 * and every error says what to give instead.
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

/* Release what a request owns. Copies of the struct are invalid afterwards. */
void job_request_finish(struct job_request *want);

enum codec_direction {
    CODEC_ENCODE,
    CODEC_DECODE
};
enum dr_code codec_request(struct current_model *model,
                           const struct dr_codec_options *options,
                           enum codec_direction direction, struct job_request *want,
                           struct dr_error *err) DR_MUST_CHECK;

/* Check the options that do not depend on a model: numbers, names, and whether the output can be
 * written. The functions above check these too. Errors: DR_BAD_INPUT; output_check's. */
enum dr_code request_check_generate(const struct dr_generate_options *options,
                                    struct dr_error *err) DR_MUST_CHECK;
enum dr_code request_check_codec(const struct dr_codec_options *options,
                                 enum codec_direction direction,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Check that the output would not overwrite the model, the active VAE, or the job's own VAE (NULL:
 * none). Errors: DR_BAD_INPUT. */
enum dr_code request_check_sources(const struct job_request *want,
                                   const struct pipeline *pipeline,
                                   const struct vae_file *vae,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
