#include "job/ram_need.h"

static size_t mapped_bytes_of(const struct slot *slot)
{
    const struct source *const active = slot_active(slot);
    return source_memory_bytes(active) - source_weights_bytes(active);
}

/* Evaluations of the UNet in a step of the sampler. */
static size_t evaluations(const struct step *step)
{
    return (size_t)sampler_calls_per_step(step->sampler.kind);
}

struct ram_need ram_need_of(const struct job *job, size_t beside_bytes)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    struct ram_need need = {.private_bytes =
                                job->planned_bytes + job->decoder_bytes + beside_bytes};
    size_t most_mapped = 0;
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        if (action_list_needs(job, &pipeline->slots[i]))
            need.mapped_bytes += mapped_bytes_of(&pipeline->slots[i]);
    for (int32_t i = 0; i < job->list.step_count; ++i) {
        const struct step *const step = &job->list.steps[i];
        if (step->kind != STEP_SAMPLE) continue;
        const size_t mapped =
            mapped_bytes_of(step_list_network_of(&job->list, step)->slot);
        if (mapped > most_mapped) most_mapped = mapped;
        if (evaluations(step) * mapped > need.reread_bytes)
            need.reread_bytes = evaluations(step) * mapped;
    }
    need.step_bytes = job->sampling_bytes + most_mapped + beside_bytes;
    return need;
}

enum ram_state ram_need_judge(const struct ram_need *need, size_t private_limit_bytes,
                              size_t ram_bytes)
{
    if (need->private_bytes > private_limit_bytes) return RAM_TOO_SMALL;
    return need->step_bytes > ram_bytes && need->reread_bytes > 0 ? RAM_REREADS
                                                                  : RAM_FITS;
}
