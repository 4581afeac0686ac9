/* ram_need — what of a job has to be in RAM: all of its private memory, and of the weights that are mapped from
 * packs those that a step of the sampler reads.
 *
 * Mapped pages can be dropped and read again. Where a step's weights and the private memory exceed the RAM, the
 * kernel drops pages that the same step of the next evaluation needs first: each evaluation reads all of the
 * UNet's weights again, as a list that is read in a circle past a cache that is a little too small.
 */
#ifndef JOB_RAM_NEED_H
#define JOB_RAM_NEED_H

#include "job/job.h"

struct ram_need {
    size_t private_bytes; /* the most at any time */
    size_t mapped_bytes;  /* of all weights that the job uses */
    size_t step_bytes;    /* private and mapped, while a step of the sampler runs */
    size_t
        reread_bytes; /* of a step, where step_bytes are not there: of all evaluations */
};

enum ram_state {
    RAM_FITS,
    RAM_REREADS, /* it runs, and reread_bytes are read again for each step */
    RAM_TOO_SMALL
};

/* Of the job as it is planned now; beside: what the process has beside regions. */
struct ram_need ram_need_of(const struct job *job, size_t beside_bytes);

/* With so much RAM for private memory, and so much in all. */
enum ram_state ram_need_judge(const struct ram_need *need, size_t private_limit_bytes,
                              size_t ram_bytes);

#endif
