/* picture_jobs — the jobs of a command: one for each prompt, with its styles and wildcards. Where a prompt has wildcards, each
 * picture of a batch has a prompt of its own, chosen by its seed, and so a job.
 */
#ifndef CLI_PICTURE_JOBS_H
#define CLI_PICTURE_JOBS_H

#include "options.h"
#include "prompt_list.h"

struct picture_job {
    struct dr_expanded text;
    int32_t prompt_idx;   /* of the list */
    int32_t first, count; /* which pictures of the prompt's batch it makes */
    uint64_t seed;        /* of its first picture */
};

struct picture_jobs {
    struct picture_job *items;
    int32_t count;
};

/* seeds: of each prompt's first picture. Errors: styles_expand's, DR_NOMEM. picture_jobs_free, also after an error. */
enum dr_code picture_jobs_make(struct picture_jobs *jobs, const struct options *options,
                               const struct prompt_list *prompts, const uint64_t *seeds,
                               struct dr_error *err) DR_MUST_CHECK;
/* Zeroed jobs are fine. */
void picture_jobs_free(struct picture_jobs *jobs);

#endif
