/* A job's list, executed: what each action does, what a cancel stops and what it does not (job.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "compute/compute.h"
#include "job/job.h"
#include "job/model_hash.h"
#include "job/network_plans.h"
#include "job/picture_step.h"
#include "job/prompt_step.h"
#include "job/step_run.h"

/* ---- actions ------------------------------------------------------------------------------- */

/* Its bytes are those by which the list counted it. */
static void begin_load(struct job *job, const struct source *source)
{
    job->stage = DR_STAGE_LOAD;
    job->loading_bytes = source_file_bytes(source);
}

static void end_load(struct job *job)
{
    job->loaded_bytes += job->loading_bytes;
    job->loading_bytes = 0;
}

static enum dr_code save_original(struct job *job, struct dr_error *err)
{
    const struct component_progress progress = {job_report_load, job,
                                                job->context.cancel};
    struct source *const base = job->context.pipeline->vae_slot->base;
    begin_load(job, base);
    const enum dr_code code = source_save(base, job->context.ledger, &progress, err);
    end_load(job);
    return code;
}

static enum dr_code load(struct job *job, struct slot *slot, enum slot_order order,
                         struct dr_error *err)
{
    const struct component_progress progress = {job_report_load, job,
                                                job->context.cancel};
    const struct slot_load_options options = {.ledger = job->context.ledger,
                                              .order = order,
                                              .progress = &progress};
    struct source *const wanted = slot_active(slot);
    begin_load(job, slot->resident == wanted ? NULL : wanted);
    job->bound = NULL;
    const enum dr_code code = slot_load(slot, &options, err);
    end_load(job);
    return code;
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

/* Replace the job's own VAE by the setting's. The pictures are finished: so a failure
 * here is only a warning, and the VAE is read again when it is needed. */
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

/* Is this the last sampling step of the picture? */
static bool ends_sampling(const struct job *job, const struct step *step)
{
    const struct step *const end = job->list.steps + job->list.step_count;
    for (const struct step *next = step + 1; next < end; ++next)
        if (next->kind == STEP_SAMPLE && next->image_idx == step->image_idx)
            return false;
    return step->kind == STEP_SAMPLE;
}

static void note_done(struct job *job, const struct step *step)
{
    if (ends_sampling(job, step)) job->sampled_count = step->image_idx + 1;
    if (step->kind == STEP_WRITE_LATENTS) job->saved_count = job->sampled_count;
    if (step->kind == STEP_WRITE && job->saved_count <= step->image_idx)
        job->saved_count = step->image_idx + 1;
}

static enum dr_code run_step(struct job *job, const struct step *step,
                             struct dr_error *err)
{
    const double flop = network_plans_step_flop(job, step);
    if (flop > 0.0)
        pace_begin(&job->pace, step_list_network_of(&job->list, step)->kind, flop,
                   clock_ms());
    const enum dr_code code = step_run(job, step, err);
    pace_end(&job->pace, code == DR_OK ? PACE_DONE : PACE_FAILED, clock_ms());
    if (code == DR_OK) note_done(job, step);
    return code;
}

static enum dr_code execute(struct job *job, const struct action *action,
                            struct dr_error *err)
{
    switch (action->kind) {
    case ACTION_LOAD: return load(job, action->slot, action->order, err);
    case ACTION_RELEASE:
        job->bound = NULL; /* a plan's weights may have been released */
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

/* ---- what is finished is saved ------------------------------------------------------------- */

/* The cleanup is not cancelled: the pictures are written by then, and the job succeeds. */
static bool is_tidying(enum action_kind kind)
{
    return kind == ACTION_RELEASE || kind == ACTION_REFUND || kind == ACTION_RESTORE;
}

/* Pictures that are sampled and in no file yet. */
static int32_t waiting_count(const struct job *job)
{
    return job->sampled_count > job->saved_count ? job->sampled_count - job->saved_count
                                                 : 0;
}

/* Is it on the way to the latents of a picture, rather than from there to its file? */
static bool is_making(const struct job *job, const struct action *action)
{
    if (action->kind != ACTION_STEP) return false;
    const struct step *const step = &job->list.steps[action->step];
    switch (step->kind) {
    case STEP_TEXT:
    case STEP_READ:
    case STEP_RESIZE:
    case STEP_ENCODE:
    case STEP_NOISE:
    case STEP_SAMPLE:
    case STEP_READ_LATENTS: return true;
    case STEP_WRITE_LATENTS: return false;
    case STEP_DECODE:
    case STEP_WRITE: return step->image_idx >= job->sampled_count;
    }
    return true;
}

/* From here on only sampled pictures are saved; the caller is informed. */
static void finish_early(struct job *job)
{
    job->finishes = true;
    job->stage = DR_STAGE_DECODE;
    pace_forget_rest(&job->pace);
    for (int32_t i = 0; i < job->action_count; ++i) {
        const struct action *const action = &job->actions[i];
        if (action->kind != ACTION_STEP || is_making(job, action)) continue;
        const struct step *const step = &job->list.steps[action->step];
        const double flop = network_plans_step_flop(job, step);
        if (flop > 0.0 && step->image_idx >= job->saved_count)
            pace_expect(&job->pace, step_list_network_of(&job->list, step)->kind, flop);
    }
    job_report(job, job->saved_count, 0, 0.0);
}

/* Saving sampled pictures is stopped only by insistence. */
static enum dr_code run_action(struct job *job, const struct action *action,
                               struct dr_error *err)
{
    const bool saves = waiting_count(job) > 0 && !is_making(job, action);
    job->context.cancel = saves ? &job->insistence : job->asked;
    if (!is_tidying(action->kind) && cancel_requested(job->context.cancel))
        return error_set(err, DR_CANCELLED, "cancelled before it was finished");
    return execute(job, action, err);
}

static void add_cause(struct dr_error *err, const struct dr_error *later)
{
    if (!err || later->code == DR_CANCELLED) return;
    const size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof err->message - used,
                   "; what was sampled by then could not be saved: %.400s",
                   later->message);
}

/* If no more pictures can be made, save those that are sampled before the error is returned. */
static enum dr_code run_actions(struct job *job, struct dr_error *err)
{
    struct dr_error later = {0};
    enum dr_code first = DR_OK;
    for (int32_t i = 0; i < job->action_count; ++i) {
        const struct action *const action = &job->actions[i];
        const bool is_making_more = is_making(job, action);
        if (job->finishes && is_making_more) continue;
        const enum dr_code code = run_action(job, action, job->finishes ? &later : err);
        if (code == DR_OK) continue;
        if (job->finishes) {
            add_cause(err, &later);
            return first;
        }
        if (!is_making_more || waiting_count(job) == 0) return code;
        first = code;
        finish_early(job);
    }
    return first;
}

static void count_work(struct job *job)
{
    for (int32_t i = 0; i < job->list.step_count; ++i) {
        const struct step *const step = &job->list.steps[i];
        const double flop = network_plans_step_flop(job, step);
        if (flop > 0.0)
            pace_count(&job->pace, step_list_network_of(&job->list, step)->kind, flop);
    }
}

enum dr_code job_run(struct job *job, struct dr_error *err)
{
    count_work(job);
    job->asked = job->context.cancel;
    job->insistence =
        (struct cancel){.above = job->asked, .heeds_insistence_alone = true};
    model_hash_begin(job);
    const enum dr_code code = run_actions(job, err);
    model_hash_end(job);
    job->context.cancel = job->asked;
    /* Complete pictures are kept: the user waited for them. */
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

/* ---- progress ---------------------------------------------------------------------------- */

void job_report_load(void *cookie, double share)
{
    const struct job *const job = cookie;
    const double done = (double)job->loaded_bytes + share * (double)job->loading_bytes;
    /* Before the list is made, packs are checked: what that reads is not in it. */
    job_report(job, 0, 0,
               job->loading_bytes == 0          ? share
               : done < (double)job->load_bytes ? done / (double)job->load_bytes
                                                : 1.0);
}

void job_report(const struct job *job, int32_t image, int32_t step, double share)
{
    const double now_ms = clock_ms();
    const bool draws =
        job->images && job->request.kind == JOB_GENERATE && image < job->request.batch;
    if (!job->request.progress) return;
    const struct dr_progress progress = {
        .stage = job->stage,
        .image = image,
        .image_count = job->request.batch,
        .step = step,
        .step_count = job->calls_total,
        .share = share,
        .total_share = pace_share(&job->pace, share),
        .elapsed_ms = now_ms - job->started_ms,
        .left_ms = pace_left_ms(&job->pace, share, now_ms),
        .has_seed = draws,
        .seed = draws ? job->images[image].seed : 0,
        .finishing_count = job->finishes ? waiting_count(job) : 0,
    };
    job->request.progress(job->request.progress_cookie, &progress);
}
