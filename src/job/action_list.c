#include "job/action_list.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/size.h"
#include "job/job.h"
#include "job/prompt_step.h"

/* ---- adding up --------------------------------------------------------------------------- */

/* The state of memory after the list so far. */
struct tally {
    struct job *job;
    size_t now, peak, sampling;
    uint64_t load_bytes; /* of files */
    struct tally_slot {
        const struct source *resident;
        size_t bytes; /* private */
    } slots[PIPELINE_SLOTS];
};

static struct tally_slot *tally_of(struct tally *tally, const struct slot *slot)
{
    return &tally->slots[slot - tally->job->context.pipeline->slots];
}

static void tally_rise(struct tally *tally, size_t bytes)
{
    tally->now += bytes;
    if (tally->now > tally->peak) tally->peak = tally->now;
}

static void tally_for_a_moment(struct tally *tally, size_t bytes)
{
    tally_rise(tally, bytes);
    tally->now -= bytes;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t regions_bytes(const struct job *job)
{
    size_t sum = 0;
    for (int tag = 0; tag < REGION_TAG_COUNT; ++tag)
        sum += size_align(job->region_bytes[tag], region_page_bytes());
    return sum;
}

bool action_list_makes_pack(const struct job *job, const struct source *source)
{
    for (int32_t i = 0; i < job->packed_count; ++i)
        if (job->packed[i] == source) return true;
    return false;
}

/* The bytes that loading takes in addition to the weights. If the pack does not exist yet, the first load
 * creates it, and the next one maps it. */
static size_t tally_scratch(struct tally *tally, const struct source *source)
{
    if (!source || source_weights_bytes(source) > 0)
        return source_scratch_bytes(source);
    struct job *const job = tally->job;
    if (action_list_makes_pack(job, source)) return 0;
    assert(job->packed_count < 2 * PIPELINE_SLOTS);
    job->packed[job->packed_count++] = source;
    return source_scratch_bytes(source);
}

static void tally_load(struct tally *tally, const struct slot *slot,
                       enum slot_order order, const struct source *wanted)
{
    struct tally_slot *const there = tally_of(tally, slot);
    if (there->resident == wanted) return;
    const size_t old = there->bytes;
    const size_t weights = source_weights_bytes(wanted);
    const size_t scratch = tally_scratch(tally, wanted);
    if (order == SLOT_RELEASE_FIRST) tally->now -= old;
    tally_rise(tally, weights + scratch);
    tally->now -= scratch;
    if (order == SLOT_SWAP) tally->now -= old;
    there->resident = wanted;
    there->bytes = weights;
}

static void tally_release(struct tally *tally, const struct slot *slot)
{
    struct tally_slot *const there = tally_of(tally, slot);
    tally->now -= there->bytes;
    *there = (struct tally_slot){0};
}

/* The region, and the base's weights if they are not resident and have to be read for the probe. */
static void tally_reference(struct tally *tally)
{
    const struct job *const job = tally->job;
    const struct slot *const slot = job->context.pipeline->vae_slot;
    const struct source *const base = slot->base;
    const bool is_there = tally_of(tally, slot)->resident == base;
    const size_t weights = is_there ? 0 : source_weights_bytes(base);
    const size_t scratch = is_there ? 0 : tally_scratch(tally, base);
    const size_t region = job->probe.reference_bytes;
    tally_for_a_moment(tally, weights + larger(scratch, region));
}

static const struct source *setting_vae(const struct job *job)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    return pipeline->override ? &pipeline->override->source : pipeline->vae_slot->base;
}

/* Rows are copied, so there are two caches for a moment. */
static void tally_prompts(struct tally *tally)
{
    const struct prompt_cache_shape shape = prompt_step_cache_shape(tally->job);
    tally_rise(tally, prompt_cache_bytes(&shape));
    tally->now -= tally->job->context.pipeline->prompts.rows.bytes;
}

/* Change the tally as the action will change the ledger. */
static void count(struct tally *tally, const struct action *action)
{
    const struct job *const job = tally->job;
    const struct slot *const slot = action->slot;
    switch (action->kind) {
    case ACTION_LOAD:
        if (tally_of(tally, slot)->resident != slot_active(slot))
            tally->load_bytes += source_file_bytes(slot_active(slot));
        tally_load(tally, slot, action->order, slot_active(slot));
        break;
    case ACTION_RELEASE: tally_release(tally, slot); break;
    case ACTION_SAVE:
        tally->load_bytes += source_file_bytes(slot->base);
        tally_for_a_moment(tally, source_save_bytes(slot->base));
        break;
    case ACTION_REFERENCE: tally_reference(tally); break;
    case ACTION_PROBE: tally_for_a_moment(tally, job->probe.check_bytes); break;
    case ACTION_PROMPTS: tally_prompts(tally); break;
    case ACTION_RESERVE: tally_rise(tally, regions_bytes(job)); break;
    case ACTION_REFUND: tally->now -= regions_bytes(job); break;
    case ACTION_RESTORE:
        if (setting_vae(job)) tally_load(tally, slot, action->order, setting_vae(job));
        break;
    case ACTION_STEP:
        if (job->list.steps[action->step].kind == STEP_SAMPLE)
            tally->sampling = larger(tally->sampling, tally->now);
        break;
    }
}

static void append(struct tally *tally, const struct action *action)
{
    struct job *const job = tally->job;
    assert(job->action_count < job->action_capacity);
    job->actions[job->action_count++] = *action;
    count(tally, action);
}

static void add(struct tally *tally, enum action_kind kind, struct slot *slot,
                enum slot_order order)
{
    append(tally, &(struct action){.kind = kind, .slot = slot, .order = order});
}

/* ---- the list ---------------------------------------------------------------------------- */

/* The network whose weights a step reads; NULL: none, or they are not needed. */
static struct slot *network_read_by(const struct job *job, const struct step *step)
{
    switch (step->kind) {
    case STEP_TEXT: {
        struct slot *const slot = step_list_network_of(&job->list, step)->slot;
        return prompt_step_is_cached(job, slot) ? NULL : slot;
    }
    case STEP_RESIZE: /* binds the encoder, to write its input */
    case STEP_ENCODE:
    case STEP_SAMPLE:
    case STEP_DECODE: return step_list_network_of(&job->list, step)->slot;
    case STEP_READ:
    case STEP_NOISE:
    case STEP_READ_LATENTS:
    case STEP_WRITE_LATENTS:
    case STEP_WRITE: break;
    }
    return NULL;
}

/* A mask of the slots whose weights a step reads: the network's, and its adapters'. */
static unsigned slots_read_by(const struct job *job, const struct step *step)
{
    const struct slot *const slot = network_read_by(job, step);
    if (!slot) return 0;
    return pipeline_slot_bit(job->context.pipeline, slot) |
           adapter_set_slots(job_adapters(job), slot);
}

/* Those that are read by this step or a later one. */
static unsigned slots_read_from(const struct job *job, int32_t idx)
{
    unsigned slots = 0;
    for (int32_t i = idx; i < job->list.step_count; ++i)
        slots |= slots_read_by(job, &job->list.steps[i]);
    return slots;
}

bool action_list_needs(const struct job *job, const struct slot *slot)
{
    return slots_read_from(job, 0) & pipeline_slot_bit(job->context.pipeline, slot);
}

/* Of the slots that a step reads, those that the next one that reads any does not. If no step follows, a decoder's
 * weights stay for the next job. */
static unsigned last_of_phase(const struct job *job, int32_t idx)
{
    const unsigned slots = slots_read_by(job, &job->list.steps[idx]);
    for (int32_t i = idx + 1; i < job->list.step_count; ++i) {
        const unsigned next = slots_read_by(job, &job->list.steps[i]);
        if (next) return slots & ~next;
    }
    return job->list.steps[idx].kind != STEP_DECODE ? slots : 0;
}

/* Adapters that no later step reads go at once, whatever the residency is. */
static unsigned last_of_adapters(const struct job *job, int32_t idx)
{
    const struct adapter_set *const adapters = job_adapters(job);
    if (adapters->count == 0) return 0;
    const unsigned all = ((1U << adapters->count) - 1) << adapters->first_slot;
    return slots_read_by(job, &job->list.steps[idx]) & all &
           ~slots_read_from(job, idx + 1);
}

static void add_steps(struct tally *tally, bool one_at_a_time)
{
    const struct job *const job = tally->job;
    struct slot *const slots = job->context.pipeline->slots;
    const int32_t slot_count = job->context.pipeline->slot_count;
    for (int32_t i = 0; i < job->list.step_count; ++i) {
        const unsigned reads =
            one_at_a_time ? slots_read_by(job, &job->list.steps[i]) : 0;
        const unsigned goes =
            (one_at_a_time ? last_of_phase(job, i) : 0) | last_of_adapters(job, i);
        for (int32_t k = 0; k < slot_count; ++k)
            if (reads & 1U << k && tally->slots[k].resident != slot_active(&slots[k]))
                add(tally, ACTION_LOAD, &slots[k], SLOT_RELEASE_FIRST);
        append(tally, &(struct action){.kind = ACTION_STEP, .step = i});
        for (int32_t k = 0; k < slot_count; ++k)
            if (goes & 1U << k) add(tally, ACTION_RELEASE, &slots[k], SLOT_SWAP);
    }
}

/* Probe the job's VAE before any other component is read. If memory is scarce, it and the base are loaded one
 * after the other. */
static void add_probe(struct tally *tally, enum slot_order order)
{
    const struct job *const job = tally->job;
    struct slot *const slot = job->context.pipeline->vae_slot;
    const struct source *const resident = tally_of(tally, slot)->resident;
    if (job->residency != JOB_RESIDENT && resident && resident != slot->base)
        add(tally, ACTION_RELEASE, slot, order);
    if (job->probe.wants_reference) add(tally, ACTION_REFERENCE, slot, order);
    add(tally, ACTION_LOAD, slot, order);
    add(tally, ACTION_PROBE, slot, order);
    if (job->residency == JOB_PHASED) add(tally, ACTION_RELEASE, slot, order);
}

/* Release resident components that are not needed. */
static void add_releases(struct tally *tally, enum slot_order order)
{
    const struct job *const job = tally->job;
    struct pipeline *const pipeline = job->context.pipeline;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        const bool goes = job->residency == JOB_PHASED ||
                          (job->residency == JOB_LEAN && !action_list_needs(job, slot));
        /* The probe may use weights that are resident. */
        if (slot == pipeline->vae_slot && job->probe.memory) continue;
        if (goes && tally->slots[i].resident) add(tally, ACTION_RELEASE, slot, order);
    }
}

static void add_loads(struct tally *tally, enum slot_order order)
{
    const struct job *const job = tally->job;
    struct pipeline *const pipeline = job->context.pipeline;
    if (job->residency == JOB_PHASED) return;
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        if (action_list_needs(job, &pipeline->slots[i]))
            add(tally, ACTION_LOAD, &pipeline->slots[i], order);
}

static bool wants_other_cache(const struct job *job)
{
    return step_list_has(&job->list, STEP_TEXT) &&
           job->context.pipeline->prompts.shape.row_count !=
               prompt_step_cache_shape(job).row_count;
}

static enum dr_code make_room(struct job *job, struct dr_error *err)
{
    /* At most: for each step loads and releases of its slots, a load and a release for each slot before, and
     * ten others. */
    const int32_t reads = 1 + job_adapters(job)->count;
    const int32_t most =
        (1 + 2 * reads) * job->list.step_count + 2 * PIPELINE_SLOTS + 10;
    if (job->action_capacity < most) {
        struct action *const actions =
            realloc(job->actions, (size_t)most * sizeof *actions);
        if (!actions) return error_set(err, DR_NOMEM, "no memory for a job's actions");
        job->actions = actions;
        job->action_capacity = most;
    }
    job->action_count = 0;
    job->packed_count = 0;
    return DR_OK;
}

enum dr_code action_list_make(struct job *job, struct dr_error *err)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    struct slot *const vae = pipeline->vae_slot;
    struct tally tally = {.job = job,
                          .now = job->context.ledger->private_bytes,
                          .peak = job->context.ledger->private_bytes};
    const enum slot_order order =
        job->residency == JOB_RESIDENT ? SLOT_SWAP : SLOT_RELEASE_FIRST;
    const enum dr_code code = make_room(job, err);
    if (code != DR_OK) return code;
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        tally.slots[i] =
            (struct tally_slot){pipeline->slots[i].resident,
                                region_private_bytes(&pipeline->slots[i].weights)};
    add_releases(&tally, order);
    if (job->probe.memory)
        add_probe(&tally, order);
    else if (job->vae && source_save_bytes(vae->base))
        add(&tally, ACTION_SAVE, vae, order);
    add_loads(&tally, order);
    if (wants_other_cache(job)) add(&tally, ACTION_PROMPTS, NULL, order);
    add(&tally, ACTION_RESERVE, NULL, order);
    add_steps(&tally, job->residency == JOB_PHASED);
    add(&tally, ACTION_REFUND, NULL, order);
    if (job->vae_differs) {
        const bool is_released = job->residency == JOB_PHASED || !job->vae_was_resident;
        add(&tally, is_released ? ACTION_RELEASE : ACTION_RESTORE, vae, order);
    }
    job->planned_bytes = tally.peak;
    job->sampling_bytes = tally.sampling;
    job->load_bytes = tally.load_bytes;
    return DR_OK;
}
