/* profile — where the time of a job's networks went, added up by kind and shape of layer.
 *
 * The plans time each operator where they were made to (job_request.profile); here their records
 * become what darkroom.h hands out. It is malloc'ed: its size is that of the networks, not of the
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
