/* write_step — latent files, pictures with their generation parameters, and the caller's image
 * callback (STEP_READ_LATENTS, STEP_WRITE_LATENTS, STEP_WRITE). / */
#ifndef JOB_WRITE_STEP_H
#define JOB_WRITE_STEP_H

#include "job/job.h"

/* Is the text of the pictures too long for JPEG? */
enum dr_code write_step_check_text(const struct job *job,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
