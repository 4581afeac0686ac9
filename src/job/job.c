#include "job/job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "compute/compute.h"
#include "job/job_steps.h"
#include "job/model_hash.h"
#include "job/network_plans.h"
#include "job/picture_step.h"
#include "job/prompt_step.h"
#include "job/step_run.h"
#include "job/write_step.h"
#include "switch/vae_choice.h"

bool job_request_decodes(const struct job_request *want)
{
    return want->kind == JOB_DECODE ||
           (want->kind == JOB_GENERATE && (!want->output_is_latent || want->image));
}

/* ---- preparing --------------------------------------------------------------------------- */

static void report_load(void *cookie, double share)
{
    job_report(cookie, 0, 0, share);
}

/* Which weights will be mapped, and which packs this job will make: the plan depends on it. */
static enum dr_code settle_packs(struct job *job, struct dr_error *err)
{
    struct pipeline *const pipeline = job->context.pipeline;
    const struct component_progress progress = {report_load, job, job->context.cancel};
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

/* The plans of the latent probe, where the job's VAE has to be asked and was not yet. */
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
    if (code == DR_OK && job->list.step_count == 0) job_steps_make(job);
    if (code == DR_OK && job->list.has_no_memory)
        code = error_set(err, DR_NOMEM, "no memory for the list of a job's steps");
    if (code == DR_OK) code = settle_packs(job, err);
    if (code == DR_OK) code = prepare_probe(job, err);
    return code == DR_OK ? network_plans_make(job, err) : code;
}

enum dr_code job_plan(struct job *job, enum job_residency residency,
                      struct dr_error *err)
{
    job->residency = residency;
    return action_list_make(job, err);
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

/* Of the drafts that were reserved those that the list does not fill: others may want to. */
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

/* It fits. What is left to the limit goes into maps that are kept whole, and taller bands. */
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
    let_go_of_drafts(job);
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
    char need[16], have[16], limit[16];
    return error_set(
        err, DR_OVER_BUDGET,
        "%dx%d needs at least %s (%zu bytes) of private memory, with one component "
        "in memory at a time%s; the budget leaves %s (%zu bytes) for weights and "
        "buffers, %s (%zu bytes) are in use now; choose a smaller picture or a "
        "larger budget: a budget of %zu bytes is sufficient",
        (int)job->request.width, (int)job->request.height, size_format(least, need),
        least, bands, size_format(ledger->limit_bytes, limit), ledger->limit_bytes,
        size_format(ledger->private_bytes, have), ledger->private_bytes,
        least + job->context.beside_bytes);
}

/* ---- the list, executed ------------------------------------------------------------------ */

static enum dr_code save_original(struct job *job, struct dr_error *err)
{
    const struct component_progress progress = {report_load, job, job->context.cancel};
    job->stage = DR_STAGE_LOAD;
    return source_save(job->context.pipeline->vae_slot->base, job->context.ledger,
                       &progress, err);
}

static enum dr_code load(struct job *job, struct slot *slot, enum slot_order order,
                         struct dr_error *err)
{
    const struct component_progress progress = {report_load, job, job->context.cancel};
    const struct slot_load_options options = {.ledger = job->context.ledger,
                                              .order = order,
                                              .progress = &progress};
    job->stage = DR_STAGE_LOAD;
    job->bound = NULL;
    return slot_load(slot, &options, err);
}

static enum dr_code run_probe(struct job *job, enum action_kind kind,
                              struct dr_error *err)
{
    struct slot *const slot = job->context.pipeline->vae_slot;
    const struct latent_probe_work work = {.ledger = job->context.ledger,
                                           .cancel = job->context.cancel};
    const enum dr_code code =
        kind == ACTION_REFERENCE
            ? latent_probe_reference(&job->probe, slot, &work, err)
            : latent_probe_check(&job->probe, &slot->weights, &work, err);
    return step_with_whole_weights(slot, code, err);
}

static enum dr_code reserve(struct job *job, struct dr_error *err)
{
    for (int tag = 0; tag < REGION_TAG_COUNT; ++tag) {
        const struct region_options options = {.bytes = job->region_bytes[tag],
                                               .tag = (enum region_tag)tag,
                                               .component = "job"};
        if (options.bytes == 0) continue;
        const enum dr_code code =
            region_open(&job->regions[tag], job->context.ledger, &options, err);
        if (code != DR_OK) return code;
    }
    return DR_OK;
}

static void refund(struct job *job)
{
    job->bound = NULL;
    for (int tag = 0; tag < REGION_TAG_COUNT; ++tag)
        region_close(&job->regions[tag]);
}

/* Point the slot at the setting's VAE again. Its weights follow by a load. */
static void restore_reference(struct job *job)
{
    struct pipeline *const pipeline = job->context.pipeline;
    if (!job->vae_differs) return;
    slot_set_override(pipeline->vae_slot, job->context.ledger,
                      pipeline->override ? &pipeline->override->source : NULL);
    job->vae_differs = false;
}

/* The job's own VAE goes and the setting's comes back. The pictures are done by now: a failure
 * here is a warning, and the VAE is read again when it is needed. */
static void restore(struct job *job, enum slot_order order)
{
    struct slot *const slot = job->context.pipeline->vae_slot;
    const struct slot_load_options options = {.ledger = job->context.ledger,
                                              .order = order};
    struct dr_error problem;
    restore_reference(job);
    if (!slot_active(slot)) {
        slot_release(slot);
        return;
    }
    if (slot_load(slot, &options, &problem) == DR_OK) return;
    slot_release(slot);
    (void)snprintf(job->warning, sizeof job->warning,
                   "the VAE could not be restored immediately: %.400s",
                   problem.message);
}

static enum dr_code run_step(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    job->step_flop = network_plans_step_flop(job, step);
    const enum dr_code code = step_run(job, step, err);
    if (code == DR_OK) job->done_flop += job->step_flop;
    job->step_flop = 0.0;
    return code;
}

static enum dr_code execute(struct job *job, const struct action *action,
                            struct dr_error *err)
{
    switch (action->kind) {
    case ACTION_LOAD: return load(job, action->slot, action->order, err);
    case ACTION_RELEASE:
        job->bound = NULL; /* a plan's weights may be gone */
        slot_release(action->slot);
        return DR_OK;
    case ACTION_SAVE: return save_original(job, err);
    case ACTION_REFERENCE:
    case ACTION_PROBE: return run_probe(job, action->kind, err);
    case ACTION_PROMPTS: {
        const struct prompt_cache_shape shape = prompt_step_cache_shape(job);
        return prompt_cache_open(&job->context.pipeline->prompts, job->context.ledger,
                                 &shape, err);
    }
    case ACTION_RESERVE: return reserve(job, err);
    case ACTION_STEP: return run_step(job, &job->list.steps[action->step], err);
    case ACTION_REFUND: refund(job); return DR_OK;
    case ACTION_RESTORE: restore(job, action->order); return DR_OK;
    }
    return DR_OK;
}

/* Tidying up is not cancelled: by then the pictures are written, and they are the answer. */
static bool is_tidying(enum action_kind kind)
{
    return kind == ACTION_RELEASE || kind == ACTION_REFUND || kind == ACTION_RESTORE;
}

static enum dr_code run_actions(struct job *job, struct dr_error *err)
{
    job->total_flop = network_plans_flop(job);
    for (int32_t i = 0; i < job->action_count; ++i) {
        if (!is_tidying(job->actions[i].kind) && cancel_requested(job->context.cancel))
            return error_set(err, DR_CANCELLED, "cancelled before it was finished");
        const enum dr_code code = execute(job, &job->actions[i], err);
        if (code != DR_OK) return code;
    }
    return DR_OK;
}

enum dr_code job_run(struct job *job, struct dr_error *err)
{
    model_hash_begin(job);
    const enum dr_code code = run_actions(job, err);
    model_hash_end(job);
    /* Whole pictures are kept: the time that they took was the user's. */
    if (code != DR_OK && job->written_count > 0)
        error_prefix(err, "after %d of %d pictures were written",
                     (int)job->written_count, (int)job->request.batch);
    return code;
}

void job_finish(struct job *job)
{
    struct slot *const slot = job->context.pipeline->vae_slot;
    const bool was_displaced = job->vae_differs && job->vae_was_resident;
    refund(job);
    step_list_finish(&job->list);
    free(job->actions);
    job->actions = NULL;
    job->action_count = job->action_capacity = 0;
    latent_probe_finish(&job->probe);
    picture_step_close(job);
    restore_reference(job);
    if (slot->resident && slot->resident != slot_active(slot)) slot_release(slot);
    if (was_displaced && !slot->resident && job->residency != JOB_PHASED &&
        slot_active(slot)) {
        const struct slot_load_options options = {.ledger = job->context.ledger};
        (void)!slot_load(slot, &options, NULL);
    }
    compute_trim();
}

const struct vae_spec *job_vae_spec(const struct job *job)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    if (job->vae) return job->vae->spec;
    if (pipeline->override && !job->vae_to_base) return pipeline->override->spec;
    return pipeline->vae;
}

/* Rounding may take a sum of parts beyond the whole. */
static double total_share(const struct job *job, double share)
{
    if (!(job->total_flop > 0.0)) return 0.0;
    const double done = job->done_flop + share * job->step_flop;
    return done < job->total_flop ? done / job->total_flop : 1.0;
}

void job_report(const struct job *job, int32_t image, int32_t step, double share)
{
    if (!job->request.progress) return;
    const struct dr_progress progress = {
        .stage = job->stage,
        .image = image,
        .image_count = job->request.batch,
        .step = step,
        .step_count = job->calls_total,
        .share = share,
        .total_share = total_share(job, share),
        .elapsed_ms = clock_ms() - job->started_ms,
    };
    job->request.progress(job->request.progress_cookie, &progress);
}
