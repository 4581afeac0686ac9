#include "job/job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "job/job_steps.h"
#include "job/network_plans.h"
#include "job/picture_step.h"
#include "job/prompt_step.h"
#include "job/write_step.h"
#include "switch/vae_choice.h"

bool job_request_decodes(const struct job_request *want)
{
    return want->kind == JOB_DECODE ||
           (want->kind == JOB_GENERATE && (!want->output_is_latent || want->image));
}

/* ---- preparing --------------------------------------------------------------------------- */

/* Find out which weights will be mapped and which packs this job will create: the plan depends on it. */
static enum dr_code settle_packs(struct job *job, struct dr_error *err)
{
    struct pipeline *const pipeline = job->context.pipeline;
    const struct component_progress progress = {job_report_load, job,
                                                job->context.cancel};
    struct pipeline_settle settle = {
        .manner = job->context.only_looks ? COMPONENT_PACK_LOOK : COMPONENT_PACK_WAIT,
        .ledger = job->context.ledger,
        .progress = &progress,
    };
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        if (action_list_needs(job, &pipeline->slots[i])) settle.slots |= 1U << i;
    if (job->vae_differs) {
        settle.slots |= pipeline_slot_bit(pipeline, pipeline->vae_slot);
        settle.other = pipeline->override ? &pipeline->override->source : NULL;
    }
    job->stage = DR_STAGE_LOAD;
    return pipeline_settle(pipeline, &settle, err);
}

/* Make the plans of the latent probe if the job's VAE must be probed. */
static enum dr_code prepare_probe(struct job *job, struct dr_error *err)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    struct vae_file *const setting = job->vae_to_base ? NULL : pipeline->override;
    struct latent_probe_memory *const memory = job->context.probes;
    struct latent_probe_result result;
    struct latent_pair pair;
    if (job->vae_forced || !action_list_needs(job, pipeline->vae_slot) ||
        !vae_choice_pair(pipeline, job->vae ? job->vae : setting, &pair))
        return DR_OK;
    if (latent_probe_find(memory, &pair, &result))
        return latent_probe_refuse(&pair, &result, err);
    return latent_probe_prepare(&job->probe, memory, &pair, job->context.cancel, err);
}

static enum dr_code check_slots(const struct job *job, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    const struct pipeline *const pipeline = job->context.pipeline;
    char lacks[DR_TEXT_BYTES];
    const bool generates = want->kind == JOB_GENERATE;
    const bool lacks_text = generates && !pipeline_has_text(pipeline);
    const bool lacks_unet = generates && !pipeline->unet;
    const bool lacks_vae =
        (want->init || job_request_decodes(want)) && !job_vae_spec(job);
    if (!lacks_text && !lacks_unet && !lacks_vae)
        return generates ? conditioning_check(pipeline, err) : DR_OK;
    pipeline_lacks(pipeline, lacks, sizeof lacks);
    return error_set(err, DR_INCOMPLETE, "%.400s has %s", pipeline->path, lacks);
}

enum dr_code job_prepare(struct job *job, struct dr_error *err)
{
    struct slot *const slot = job->context.pipeline->vae_slot;
    job->started_ms = clock_ms();
    job->vae_was_resident = slot->resident != NULL;
    if (job->vae || job->vae_to_base) {
        slot_set_override(slot, job->context.ledger,
                          job->vae ? &job->vae->source : NULL);
        job->vae_differs = true;
    }
    enum dr_code code = check_slots(job, err);
    if (code == DR_OK) code = write_step_check_text(job, err);
    if (code == DR_OK && job->request.init) code = picture_step_open(job, err);
    job->list_is_made = job->list.step_count == 0;
    if (code == DR_OK && job->list_is_made) job_steps_make(job);
    if (code == DR_OK && job->list.has_no_memory)
        code = error_set(err, DR_NOMEM, "no memory for the list of a job's steps");
    if (code == DR_OK) code = settle_packs(job, err);
    if (code == DR_OK) code = prepare_probe(job, err);
    return code == DR_OK ? network_plans_make(job, err) : code;
}

/* If the networks are loaded one at a time, the order by picture would read their weights again for
 * each picture. */
static enum dr_code put_in_order(struct job *job, struct dr_error *err)
{
    const enum job_order order =
        job->residency == JOB_PHASED ? JOB_BY_NETWORK : JOB_BY_PICTURE;
    if (!job->list_is_made || job->order == order) return DR_OK;
    job->order = order;
    job_steps_make(job);
    return step_list_place(&job->list, job->region_bytes, err);
}

enum dr_code job_plan(struct job *job, enum job_residency residency,
                      struct dr_error *err)
{
    job->residency = residency;
    const enum dr_code code = put_in_order(job, err);
    return code == DR_OK ? action_list_make(job, err) : code;
}

/* ---- admission --------------------------------------------------------------------------- */

void job_manner(const struct job *job, char text[static JOB_MANNER_BYTES])
{
    static const char *const residencies[JOB_RESIDENCY_COUNT] = {
        [JOB_RESIDENT] = "all components resident",
        [JOB_LEAN] = "components that the job does not need released first",
        [JOB_PHASED] = "one component loaded at a time",
    };
    const size_t whole = network_plans_whole_bytes(job);
    char size[16];
    (void)snprintf(text, JOB_MANNER_BYTES, "%s", residencies[job->residency]);
    if (whole == 0) return;
    const size_t used = strlen(text);
    (void)snprintf(text + used, JOB_MANNER_BYTES - used,
                   ", VAE activations above %s computed in bands",
                   size_format(whole, size));
}

/* Release the reserved drafts that the list does not fill: another process may create them. */
static void let_go_of_drafts(const struct job *job)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    struct source *const setting =
        pipeline->override ? &pipeline->override->source : NULL;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        struct source *const sources[] = {slot->base, slot->override,
                                          slot == pipeline->vae_slot ? setting : NULL};
        for (size_t k = 0; k < sizeof sources / sizeof *sources; ++k)
            if (sources[k] && sources[k]->pack.state == COMPONENT_PACK_DRAFTED &&
                !action_list_makes_pack(job, sources[k]))
                source_unsettle(sources[k]);
    }
}

static size_t needed_bytes(const struct job *job)
{
    return job->planned_bytes + job->decoder_bytes;
}

/* Keep what the UNet makes of the prompts, unless that takes more than the limit. */
static enum dr_code keep_contexts(struct job *job, struct dr_error *err)
{
    const size_t limit = job->context.ledger->limit_bytes;
    enum dr_code code = network_plans_keep_contexts(job, true, err);
    if (code == DR_OK) code = job_plan(job, job->residency, err);
    if (code != DR_OK || limit == 0 || needed_bytes(job) <= limit) return code;
    code = network_plans_keep_contexts(job, false, err);
    return code == DR_OK ? job_plan(job, job->residency, err) : code;
}

/* It fits. Use the rest of the limit to keep more activations completely, and for taller bands. */
static enum dr_code accept(struct job *job, struct dr_error *err)
{
    const size_t limit = job->context.ledger->limit_bytes;
    enum dr_code code = DR_OK;
    if (limit > 0 && network_plans_whole_bytes(job) > 0) {
        const size_t page = region_page_bytes();
        code =
            network_plans_use_room(job, (limit - needed_bytes(job)) / page * page, err);
        if (code != DR_OK) return code;
        code = job_plan(job, job->residency, err);
        if (code != DR_OK) return code;
        assert(needed_bytes(job) <= limit);
    }
    code = keep_contexts(job, err);
    if (code == DR_OK) let_go_of_drafts(job);
    return code;
}

enum dr_code job_admit(struct job *job, struct dr_error *err)
{
    const struct ledger *const ledger = job->context.ledger;
    size_t least = SIZE_MAX;
    for (bool smaller = true; smaller;) {
        for (int i = 0; i < JOB_RESIDENCY_COUNT; ++i) {
            const enum dr_code code = job_plan(job, (enum job_residency)i, err);
            if (code != DR_OK) return code;
            const size_t need = needed_bytes(job);
            if (!ledger->limit_bytes || need <= ledger->limit_bytes)
                return accept(job, err);
            if (need < least) least = need;
        }
        const enum dr_code code = network_plans_shrink(job, &smaller, err);
        if (code != DR_OK) return code;
    }
    const char *const bands =
        network_plans_whole_bytes(job) > 0 ? " and VAE activations in bands" : "";
    const char *const from = job->request.size_from;
    const size_t left = ledger->limit_bytes > 1 ? ledger->limit_bytes : 0;
    char need[16], have[16], limit[16], beside[16];
    return error_set(
        err, DR_OVER_BUDGET,
        "%dx%d%s%.400s%s needs at least %s (%zu bytes) of private memory, with one component "
        "in memory at a time%s; the budget leaves %s (%zu bytes) for weights and "
        "buffers beside %s for the process itself, %s (%zu bytes) are in use now; "
        "choose a smaller picture or a larger budget: a budget of %zu bytes is sufficient",
        (int)job->request.width, (int)job->request.height, from ? " (the size of " : "",
        from ? from : "", from ? ")" : "", size_format(least, need), least, bands,
        size_format(left, limit), left, size_format(job->context.beside_bytes, beside),
        size_format(ledger->private_bytes, have), ledger->private_bytes,
        least + job->context.beside_bytes);
}

const struct adapter_set *job_adapters(const struct job *job)
{
    static const struct adapter_set none;
    return job->adapters ? job->adapters : &none;
}

const struct vae_spec *job_vae_spec(const struct job *job)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    if (job->vae) return job->vae->spec;
    if (pipeline->override && !job->vae_to_base) return pipeline->override->spec;
    return pipeline->vae;
}
