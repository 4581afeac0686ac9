#include "job/job.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/size.h"
#include "compute/compute.h"
#include "job/stage.h"
#include "mem/arena_plan.h"
#include "switch/vae_choice.h"

/* ---- plans ------------------------------------------------------------------------------ */

/* A size of maps is two levels: with those of it whole, and with them in bands. */
#define LEVELS_BELOW 2
/* What a lower level must save of the work to be taken. */
#define LEAST_GAIN 0.001

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* How a VAE's plan is made: its maps above whole_bytes in bands; what most_bytes leave is used. */
struct bands {
    size_t whole_bytes, most_bytes;
};

static struct vae_plan_options vae_options(const struct job *job, struct bands bands)
{
    return (struct vae_plan_options){.n = 1,
                                     .latent_height = job->latent_height,
                                     .latent_width = job->latent_width,
                                     .whole_bytes = bands.whole_bytes,
                                     .most_bytes = bands.most_bytes,
                                     .profile = job->request.profile};
}

/* Before each plan: one takes up to a second. */
static enum dr_code look_up(const struct job *job, struct dr_error *err)
{
    return cancel_requested(job->context.cancel)
               ? error_set(err, DR_CANCELLED, "cancelled while it was being planned")
               : DR_OK;
}

typedef enum dr_code make_vae_plan(struct job *job, struct bands bands,
                                   struct dr_error *err);

static enum dr_code make_encode_plan(struct job *job, struct bands bands,
                                     struct dr_error *err)
{
    const struct vae_plan_options options = vae_options(job, bands);
    const enum dr_code code = look_up(job, err);
    if (code != DR_OK) return code;
    vae_encode_plan_destroy(&job->encode_plan);
    return vae_encode_plan_create(&job->encode_plan, job_vae_spec(job), &options, err);
}

static enum dr_code make_decode_plan(struct job *job, struct bands bands,
                                     struct dr_error *err)
{
    const struct vae_plan_options options = vae_options(job, bands);
    const enum dr_code code = look_up(job, err);
    if (code != DR_OK) return code;
    vae_decode_plan_destroy(&job->decode_plan);
    return vae_decode_plan_create(&job->decode_plan, job_vae_spec(job), &options, err);
}

static enum dr_code make_vae_plans(struct job *job, struct bands encode,
                                   struct bands decode, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    if (job->request.wants_encode) code = make_encode_plan(job, encode, err);
    if (code == DR_OK && job->request.wants_decode)
        code = make_decode_plan(job, decode, err);
    return code;
}

static enum dr_code make_plans(struct job *job, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    struct pipeline *const pipeline = job->context.pipeline;
    enum dr_code code = look_up(job, err);
    for (int32_t i = 0; code == DR_OK && want->wants_text && i < pipeline->text_count;
         ++i)
        code = clip_text_plan_create(&job->text_plans[i], pipeline->text[i], 1,
                                     want->clip_skip, want->profile, err);
    if (code == DR_OK) code = look_up(job, err);
    if (code == DR_OK && want->wants_sample) {
        const struct unet_shape shape = {.n = want->guided ? 2 : 1,
                                         .height = job->latent_height,
                                         .width = job->latent_width,
                                         .tokens = TOKENIZER_POSITIONS *
                                                   stage_chunk_count(job)};
        code = unet_plan_create(&job->unet_plan, pipeline->unet, &shape, want->profile,
                                err);
    }
    const struct bands none = {0};
    return code == DR_OK ? make_vae_plans(job, none, none, err) : code;
}

static size_t plan_bytes_or_zero(const struct plan *plan)
{
    return plan ? plan_bytes(plan) : 0;
}

static void find_arena_bytes(struct job *job)
{
    const struct plan *const plans[] = {job->text_plans[0].plan,
                                        job->text_plans[1].plan, job->unet_plan.plan,
                                        job->encode_plan.plan, job->decode_plan.plan};
    job->arena_bytes = 0;
    for (size_t i = 0; i < sizeof plans / sizeof *plans; ++i)
        job->arena_bytes = larger(job->arena_bytes, plan_bytes_or_zero(plans[i]));
}

enum dr_code job_shrink(struct job *job, bool *smaller, struct dr_error *err)
{
    const size_t encode = plan_bytes_or_zero(job->encode_plan.plan);
    const size_t decode = plan_bytes_or_zero(job->decode_plan.plan);
    const bool decodes = decode >= encode;
    const struct plan *const plan =
        decodes ? job->decode_plan.plan : job->encode_plan.plan;
    *smaller = false;
    /* Where the text encoder or the UNet needs as much nothing is won. */
    if (!plan || larger(encode, decode) < job->arena_bytes) return DR_OK;
    const struct bands next = {.whole_bytes = plan_next_whole_bytes(plan)};
    if (next.whole_bytes == 0) return DR_OK;
    const enum dr_code code =
        decodes ? make_decode_plan(job, next, err) : make_encode_plan(job, next, err);
    if (code != DR_OK) return code;
    *smaller = true;
    find_arena_bytes(job);
    return DR_OK;
}

enum dr_code job_make_whole(struct job *job, struct dr_error *err)
{
    const struct bands none = {0};
    if (job_whole_bytes(job) == 0) return DR_OK;
    const enum dr_code code = make_vae_plans(job, none, none, err);
    if (code == DR_OK) find_arena_bytes(job);
    return code;
}

/* A plan in bands, made again for all of this room: from the levels below too, since with some maps
 * kept that may be less work. */
static enum dr_code use_room(struct job *job, make_vae_plan *make,
                             struct plan *const *plan, size_t most,
                             struct dr_error *err)
{
    struct bands bands = {*plan ? plan_whole_bytes(*plan) : 0, most}, best = bands;
    double least = INFINITY;
    for (int i = 0; i <= LEVELS_BELOW && bands.whole_bytes > 0; ++i) {
        const enum dr_code code = make(job, bands, err);
        if (code != DR_OK) return code;
        if (plan_flop(*plan) < (1 - LEAST_GAIN) * least &&
            (i == 0 || plan_bytes(*plan) <= most)) {
            least = plan_flop(*plan);
            best = bands;
        }
        bands.whole_bytes = plan_next_whole_bytes(*plan);
    }
    const bool made = !*plan || plan_whole_bytes(*plan) == best.whole_bytes;
    return made ? DR_OK : make(job, best, err);
}

/* For the arena that is there anyway and this much more. */
static enum dr_code use_more_room(struct job *job, size_t more, struct dr_error *err)
{
    const size_t most = job->arena_bytes + more;
    enum dr_code code =
        use_room(job, make_encode_plan, &job->encode_plan.plan, most, err);
    if (code == DR_OK)
        code = use_room(job, make_decode_plan, &job->decode_plan.plan, most, err);
    if (code == DR_OK) find_arena_bytes(job);
    return code;
}

static size_t whole_bytes_or_zero(const struct plan *plan)
{
    return plan ? plan_whole_bytes(plan) : 0;
}

enum dr_code job_flop_at_best(struct job *job, double *flop, struct dr_error *err)
{
    const struct bands encode = {.whole_bytes =
                                     whole_bytes_or_zero(job->encode_plan.plan)};
    const struct bands decode = {.whole_bytes =
                                     whole_bytes_or_zero(job->decode_plan.plan)};
    double best = job_flop(job);
    if (job_whole_bytes(job) > 0) {
        enum dr_code code = use_more_room(job, 0, err);
        if (code != DR_OK) return code;
        best = job_flop(job);
        code = make_vae_plans(job, encode, decode, err);
        if (code != DR_OK) return code;
        find_arena_bytes(job);
    }
    *flop = best;
    return DR_OK;
}

size_t job_whole_bytes(const struct job *job)
{
    const struct plan *const plans[] = {job->encode_plan.plan, job->decode_plan.plan};
    size_t least = 0;
    for (size_t i = 0; i < sizeof plans / sizeof *plans; ++i) {
        const size_t whole = whole_bytes_or_zero(plans[i]);
        if (whole > 0 && (least == 0 || whole < least)) least = whole;
    }
    return least;
}

void job_manner(const struct job *job, char text[static JOB_MANNER_BYTES])
{
    static const char *const residencies[JOB_RESIDENCY_COUNT] = {
        [JOB_RESIDENT] = "all components resident",
        [JOB_LEAN] = "components that the job does not need released first",
        [JOB_PHASED] = "one component loaded at a time",
    };
    const size_t whole = job_whole_bytes(job);
    char size[16];
    (void)snprintf(text, JOB_MANNER_BYTES, "%s", residencies[job->residency]);
    if (whole == 0) return;
    const size_t used = strlen(text);
    (void)snprintf(text + used, JOB_MANNER_BYTES - used,
                   ", VAE activations above %s computed in bands",
                   size_format(whole, size));
}

double job_flop(const struct job *job)
{
    const struct plan *const unet = job->unet_plan.plan;
    const struct plan *const encode = job->encode_plan.plan;
    const struct plan *const decode = job->decode_plan.plan;
    const struct sampler_options *const sampler = &job->request.sampler;
    const int32_t evaluations =
        sampler->steps * (sampler->kind == SAMPLER_HEUN ? 2 : 1);
    const double picture = (unet ? (double)evaluations * plan_flop(unet) : 0.0) +
                           (decode ? plan_flop(decode) : 0.0);
    return (double)job->request.batch * picture + (encode ? plan_flop(encode) : 0.0);
}

/* A job runs every text encoder, but only the first UNet and the first VAE. */
static bool job_needs(const struct job *job, const struct slot *slot)
{
    const struct job_request *const want = &job->request;
    switch (slot->kind) {
    case DR_COMPONENT_TEXT: return want->wants_text && !stage_text_is_cached(job, slot);
    case DR_COMPONENT_UNET: return want->wants_sample && slot->kind_idx == 0;
    case DR_COMPONENT_VAE:
        return (want->wants_encode || want->wants_decode) && slot->kind_idx == 0;
    }
    return false;
}

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
        if (job_needs(job, &pipeline->slots[i])) settle.slots |= 1U << i;
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
    if (job->vae_forced || !job_needs(job, pipeline->vae_slot) ||
        !vae_choice_pair(pipeline, job->vae ? job->vae : setting, &pair))
        return DR_OK;
    if (latent_probe_find(memory, &pair, &result))
        return latent_probe_refuse(&pair, &result, err);
    return latent_probe_prepare(&job->probe, memory, &pair, job->context.cancel, err);
}

/* One walk: with base NULL it counts, with base set it hands out addresses. */
static size_t carve_latents(struct job *job, unsigned char *base)
{
    const struct job_request *const want = &job->request;
    size_t used = 0, sampler_memory = 0;
    if (want->wants_sample) (void)!sampler_bytes(&want->sampler, &sampler_memory, NULL);
    const struct {
        void **pointer;
        size_t bytes;
    } parts[] = {
        {&job->sampler_memory,      sampler_memory                                     },
        {(void **)&job->results,    sizeof(float) * job->count * (size_t)want->batch   },
        {(void **)&job->noise,      want->wants_sample ? sizeof(float) * job->count : 0},
        {(void **)&job->prediction,
         want->wants_sample ? sizeof(float) * job->count : 0                           },
        {(void **)&job->moments,
         want->wants_encode ? 2 * sizeof(float) * job->count : 0                       },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
        if (base) *parts[i].pointer = base + used;
        used += size_align(parts[i].bytes, ARENA_ALIGN);
    }
    return used;
}

static enum dr_code check_slots(const struct job *job, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    const struct pipeline *const pipeline = job->context.pipeline;
    char lacks[DR_TEXT_BYTES];
    const bool lacks_text = want->wants_text && !pipeline_has_text(pipeline);
    const bool lacks_unet = want->wants_sample && !pipeline->unet;
    const bool lacks_vae =
        (want->wants_encode || want->wants_decode) && !job_vae_spec(job);
    if (!lacks_text && !lacks_unet && !lacks_vae)
        return want->wants_text ? conditioning_check(pipeline, err) : DR_OK;
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
    job->latent_width = job->request.width / LATENT_FACTOR;
    job->latent_height = job->request.height / LATENT_FACTOR;
    job->count = (size_t)LATENT_CHANNELS * (size_t)job->latent_width *
                 (size_t)job->latent_height;
    enum dr_code code = check_slots(job, err);
    if (code == DR_OK) code = stage_check_text(job, err);
    if (code == DR_OK && job->request.wants_encode)
        code = stage_open_picture(job, &job->picture_bytes, err);
    if (code == DR_OK) code = settle_packs(job, err);
    if (code == DR_OK) code = prepare_probe(job, err);
    if (code == DR_OK) code = make_plans(job, err);
    if (code != DR_OK) return code;
    find_arena_bytes(job);
    job->latents_bytes = carve_latents(job, NULL);
    return DR_OK;
}

/* ---- the list, added up ------------------------------------------------------------------ */

/* What memory would be if the list so far were executed. */
struct tally {
    struct job *job;
    size_t now, peak;
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

static size_t pages(size_t bytes)
{
    return size_align(bytes, region_page_bytes());
}

static size_t job_region_bytes(const struct job *job)
{
    return pages(job->arena_bytes) + pages(job->latents_bytes) +
           pages(job->picture_bytes);
}

static bool makes_pack(const struct job *job, const struct source *source)
{
    for (int32_t i = 0; i < job->packed_count; ++i)
        if (job->packed[i] == source) return true;
    return false;
}

/* What loading takes beside the weights. A pack that is not there yet is made by the first load;
 * the next one maps it. */
static size_t tally_scratch(struct tally *tally, const struct source *source)
{
    if (!source || source_weights_bytes(source) > 0)
        return source_scratch_bytes(source);
    struct job *const job = tally->job;
    if (makes_pack(job, source)) return 0;
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

/* The base's weights, read for this alone where they are not resident, and the region. */
static void tally_reference(struct tally *tally)
{
    const struct job *const job = tally->job;
    const struct slot *const slot = job->context.pipeline->vae_slot;
    const struct source *const base = slot->base;
    const bool is_there = tally_of(tally, slot)->resident == base;
    const size_t weights = is_there ? 0 : source_weights_bytes(base);
    const size_t scratch = is_there ? 0 : tally_scratch(tally, base);
    const size_t region = job->probe.reference_bytes;
    tally_rise(tally, weights + larger(scratch, region));
    tally->now -= weights + larger(scratch, region);
}

static const struct source *setting_vae(const struct job *job)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    return pipeline->override ? &pipeline->override->source : pipeline->vae_slot->base;
}

/* Append an action and do to the tally what it will do to the ledger. */
static void add(struct tally *tally, enum action_kind kind, struct slot *slot,
                enum slot_order order)
{
    struct job *const job = tally->job;
    assert(job->action_count < JOB_MAX_ACTIONS);
    job->actions[job->action_count++] = (struct action){kind, slot, order};
    switch (kind) {
    case ACTION_LOAD: tally_load(tally, slot, order, slot_active(slot)); break;
    case ACTION_RELEASE: tally_release(tally, slot); break;
    case ACTION_SAVE: {
        const size_t bytes = source_save_bytes(slot->base);
        tally_rise(tally, bytes);
        tally->now -= bytes;
        break;
    }
    case ACTION_REFERENCE: tally_reference(tally); break;
    case ACTION_PROBE:
        tally_rise(tally, job->probe.check_bytes);
        tally->now -= job->probe.check_bytes;
        break;
    case ACTION_PROMPTS: {
        /* Rows are copied, so that for a moment there are two caches. */
        const struct prompt_cache_shape shape = stage_cache_shape(job);
        tally_rise(tally, prompt_cache_bytes(&shape));
        tally->now -= job->context.pipeline->prompts.rows.bytes;
        break;
    }
    case ACTION_RESERVE: tally_rise(tally, job_region_bytes(job)); break;
    case ACTION_REFUND: tally->now -= job_region_bytes(job); break;
    case ACTION_RESTORE:
        if (setting_vae(job)) tally_load(tally, slot, order, setting_vae(job));
        break;
    case ACTION_TEXT:
    case ACTION_ENCODE:
    case ACTION_SAMPLE:
    case ACTION_LATENTS:
    case ACTION_DECODE: break;
    }
}

struct phase {
    enum action_kind kind;
    struct slot *slot; /* whose weights it reads; NULL: none */
    bool wanted;
};

static void add_phases(struct tally *tally, bool one_at_a_time)
{
    const struct job *const job = tally->job;
    const struct job_request *const want = &job->request;
    const struct pipeline *const pipeline = job->context.pipeline;
    struct slot *const text = pipeline_slot(pipeline, DR_COMPONENT_TEXT, 0);
    struct slot *const text2 = pipeline_slot(pipeline, DR_COMPONENT_TEXT, 1);
    struct slot *const unet = pipeline_slot(pipeline, DR_COMPONENT_UNET, 0);
    struct slot *const vae = pipeline->vae_slot;
    const struct phase phases[] = {
        {ACTION_TEXT,    text,  want->wants_text                            },
        {ACTION_TEXT,    text2, want->wants_text && text2                   },
        {ACTION_ENCODE,  vae,   want->wants_encode                          },
        {ACTION_SAMPLE,  unet,  want->wants_sample                          },
        {ACTION_LATENTS, NULL,  want->output_is_latent || want->latent_input},
        {ACTION_DECODE,  vae,   want->wants_decode                          },
    };
    const size_t count = sizeof phases / sizeof *phases;
    for (size_t i = 0; i < count; ++i) {
        if (!phases[i].wanted) continue;
        struct slot *const slot = phases[i].slot;
        const bool needed = slot && job_needs(job, slot);
        if (one_at_a_time && needed) add(tally, ACTION_LOAD, slot, SLOT_RELEASE_FIRST);
        add(tally, phases[i].kind, slot, SLOT_SWAP);
        if (one_at_a_time && needed && phases[i].kind != ACTION_DECODE)
            add(tally, ACTION_RELEASE, slot, SLOT_SWAP);
    }
}

/* Ask the job's VAE, before any other component is read. Base and it are never there together
 * where room is scarce. */
static void add_probe(struct tally *tally, enum job_residency residency,
                      enum slot_order order)
{
    const struct job *const job = tally->job;
    struct slot *const slot = job->context.pipeline->vae_slot;
    const struct source *const resident = tally_of(tally, slot)->resident;
    if (residency != JOB_RESIDENT && resident && resident != slot->base)
        add(tally, ACTION_RELEASE, slot, order);
    if (job->probe.wants_reference) add(tally, ACTION_REFERENCE, slot, order);
    add(tally, ACTION_LOAD, slot, order);
    add(tally, ACTION_PROBE, slot, order);
    if (residency == JOB_PHASED) add(tally, ACTION_RELEASE, slot, order);
}

void job_plan(struct job *job, enum job_residency residency)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    struct tally tally = {.job = job,
                          .now = job->context.ledger->private_bytes,
                          .peak = job->context.ledger->private_bytes};
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        tally.slots[i] =
            (struct tally_slot){pipeline->slots[i].resident,
                                region_private_bytes(&pipeline->slots[i].weights)};
    job->residency = residency;
    job->action_count = 0;
    job->packed_count = 0;
    const bool probes = job->probe.memory != NULL;
    const enum slot_order order =
        residency == JOB_RESIDENT ? SLOT_SWAP : SLOT_RELEASE_FIRST;
    struct slot *const vae = pipeline->vae_slot;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        const bool goes =
            residency == JOB_PHASED || (residency == JOB_LEAN && !job_needs(job, slot));
        if (slot == vae && probes) continue; /* what is there may be of use to it */
        if (goes && tally.slots[i].resident) add(&tally, ACTION_RELEASE, slot, order);
    }
    if (probes)
        add_probe(&tally, residency, order);
    else if (job->vae && source_save_bytes(vae->base))
        add(&tally, ACTION_SAVE, vae, order);
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        if (residency != JOB_PHASED && job_needs(job, slot))
            add(&tally, ACTION_LOAD, slot, order);
    }
    if (job->request.wants_text &&
        pipeline->prompts.shape.row_count != stage_cache_shape(job).row_count)
        add(&tally, ACTION_PROMPTS, NULL, order);
    add(&tally, ACTION_RESERVE, NULL, order);
    add_phases(&tally, residency == JOB_PHASED);
    add(&tally, ACTION_REFUND, NULL, order);
    if (job->vae_differs) {
        if (residency == JOB_PHASED || !job->vae_was_resident)
            add(&tally, ACTION_RELEASE, vae, order);
        else
            add(&tally, ACTION_RESTORE, vae, order);
    }
    job->planned_bytes = tally.peak;
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
                !makes_pack(job, sources[k]))
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
    if (limit > 0 && job_whole_bytes(job) > 0) {
        const size_t page = region_page_bytes();
        code = use_more_room(job, (limit - needed_bytes(job)) / page * page, err);
        if (code != DR_OK) return code;
        job_plan(job, job->residency);
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
            job_plan(job, (enum job_residency)i);
            const size_t need = needed_bytes(job);
            if (!ledger->limit_bytes || need <= ledger->limit_bytes)
                return accept(job, err);
            if (need < least) least = need;
        }
        const enum dr_code code = job_shrink(job, &smaller, err);
        if (code != DR_OK) return code;
    }
    const char *const bands = job_whole_bytes(job) > 0 ? " and VAE activations in "
                                                         "bands"
                                                       : "";
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
    const enum dr_code lost = slot_check_pages(slot, err);
    return lost != DR_OK ? lost : code;
}

static enum dr_code open_region(struct job *job, struct region *region, size_t bytes,
                                enum region_tag tag, struct dr_error *err)
{
    if (bytes == 0) return DR_OK;
    const struct region_options options = {.bytes = bytes,
                                           .tag = tag,
                                           .component = "job"};
    return region_open(region, job->context.ledger, &options, err);
}

static enum dr_code reserve(struct job *job, struct dr_error *err)
{
    enum dr_code code =
        open_region(job, &job->arena, job->arena_bytes, REGION_ACTIVATIONS, err);
    if (code == DR_OK)
        code = open_region(job, &job->latents, job->latents_bytes, REGION_LATENTS, err);
    if (code == DR_OK)
        code = open_region(job, &job->picture, job->picture_bytes, REGION_IMAGE, err);
    if (code == DR_OK) (void)carve_latents(job, job->latents.data);
    return code;
}

static void refund(struct job *job)
{
    region_close(&job->arena);
    region_close(&job->latents);
    region_close(&job->picture);
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

static enum dr_code execute(struct job *job, const struct action *action,
                            struct dr_error *err)
{
    switch (action->kind) {
    case ACTION_LOAD: return load(job, action->slot, action->order, err);
    case ACTION_RELEASE: slot_release(action->slot); return DR_OK;
    case ACTION_SAVE: return save_original(job, err);
    case ACTION_REFERENCE:
    case ACTION_PROBE: return run_probe(job, action->kind, err);
    case ACTION_PROMPTS: {
        const struct prompt_cache_shape shape = stage_cache_shape(job);
        return prompt_cache_open(&job->context.pipeline->prompts, job->context.ledger,
                                 &shape, err);
    }
    case ACTION_RESERVE: return reserve(job, err);
    case ACTION_TEXT: return stage_text(job, action->slot, err);
    case ACTION_ENCODE: return stage_encode(job, err);
    case ACTION_SAMPLE: return stage_sample(job, err);
    case ACTION_LATENTS: return stage_latents(job, err);
    case ACTION_DECODE: return stage_decode(job, err);
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

enum dr_code job_run(struct job *job, struct dr_error *err)
{
    for (int32_t i = 0; i < job->action_count; ++i) {
        if (!is_tidying(job->actions[i].kind) && cancel_requested(job->context.cancel))
            return error_set(err, DR_CANCELLED, "cancelled before it was finished");
        const enum dr_code code = execute(job, &job->actions[i], err);
        if (code != DR_OK) return code;
    }
    return DR_OK;
}

void job_finish(struct job *job)
{
    struct slot *const slot = job->context.pipeline->vae_slot;
    const bool was_displaced = job->vae_differs && job->vae_was_resident;
    refund(job);
    for (int i = 0; i < PIPELINE_TEXTS; ++i)
        clip_text_plan_destroy(&job->text_plans[i]);
    unet_plan_destroy(&job->unet_plan);
    vae_encode_plan_destroy(&job->encode_plan);
    vae_decode_plan_destroy(&job->decode_plan);
    latent_probe_finish(&job->probe);
    stage_close_picture(job);
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
        .elapsed_ms = clock_ms() - job->started_ms,
    };
    job->request.progress(job->request.progress_cookie, &progress);
}
