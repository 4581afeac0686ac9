/* profile — the time of a job's networks, summed by kind and shape of layer.
 *
 * With job_request.profile the plans measure the time of each operator; these records are converted
 * to the structs of darkroom.h. They are malloc'ed: their size depends on the networks, not on the
 * picture.
 */
#ifndef JOB_PROFILE_H
#define JOB_PROFILE_H

#include "job/job.h"

/* After job_run, before job_finish. NULL where there is no memory. library_flop_per_ms as in struct
 * dr_profile. */
struct dr_profile *profile_create(const struct job *job, double library_flop_per_ms);
/* NULL and *profile == NULL are fine; *profile becomes NULL. */
void profile_destroy(struct dr_profile **profile);

#endif
