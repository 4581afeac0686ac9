#include "picture_jobs.h"

#include <stdlib.h>

#include "commands.h"
#include "styles_command.h"

/* As a batch counts: with a variation all pictures have the first one's seed. */
static uint64_t seed_of(const struct options *options, uint64_t first, int32_t picture)
{
    return options->sampling.variation_strength > 0.0 ? first
                                                      : first + (uint64_t)picture;
}

static enum dr_code add(struct picture_jobs *jobs, const struct options *options,
                        const struct prompt_list *prompts,
                        const struct picture_job *job, struct dr_error *err)
{
    struct picture_job *const at = &jobs->items[jobs->count++];
    *at = *job;
    return styles_expand(options, prompts->prompts[job->prompt_idx], options->negative,
                         job->seed, &at->text, err);
}

/* One job for the batch, and where that turns out to have wildcards, one for each picture. */
static enum dr_code add_prompt(struct picture_jobs *jobs, const struct options *options,
                               const struct prompt_list *prompts, int32_t prompt_idx,
                               uint64_t seed, struct dr_error *err)
{
    const int32_t batch = options->batch;
    struct picture_job job = {.prompt_idx = prompt_idx, .count = batch, .seed = seed};
    enum dr_code code = add(jobs, options, prompts, &job, err);
    struct picture_job *const first = &jobs->items[jobs->count - 1];
    if (code != DR_OK || batch <= 1 || first->text.wildcard_count == 0) return code;
    first->count = job.count = 1;
    for (job.first = 1; job.first < batch && code == DR_OK; ++job.first) {
        job.seed = seed_of(options, seed, job.first);
        code = add(jobs, options, prompts, &job, err);
    }
    return code;
}

enum dr_code picture_jobs_make(struct picture_jobs *jobs, const struct options *options,
                               const struct prompt_list *prompts, const uint64_t *seeds,
                               struct dr_error *err)
{
    const size_t batch = options->batch > 1 ? (size_t)options->batch : 1;
    enum dr_code code = DR_OK;
    *jobs = (struct picture_jobs){
        .items = calloc((size_t)prompts->count * batch, sizeof *jobs->items)};
    if (!jobs->items) return command_fail(err, DR_NOMEM, "out of memory for the jobs");
    for (int32_t i = 0; i < prompts->count && code == DR_OK; ++i)
        code = add_prompt(jobs, options, prompts, i, seeds[i], err);
    return code;
}

void picture_jobs_free(struct picture_jobs *jobs)
{
    for (int32_t i = 0; i < jobs->count; ++i)
        dr_expanded_free(&jobs->items[i].text);
    free(jobs->items);
    *jobs = (struct picture_jobs){0};
}
