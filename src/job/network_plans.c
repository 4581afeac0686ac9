#include "job/network_plans.h"

#include <math.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/error.h"
#include "job/prompt_step.h"
#include "model/latent_space.h"

/* Each activation size gives two levels: one with these activations kept completely, one with them in
 * bands. */
#define LEVELS_BELOW 2
/* The share of work that a lower level must save to be chosen. */
#define LEAST_GAIN 0.001

/* How a VAE's plan is made: its maps above whole_bytes in bands; what most_bytes leave is used. */
struct bands {
    size_t whole_bytes, most_bytes;
};

static const struct bands no_bands = {0};

static bool is_vae(const struct network *network)
{
    return network->kind == NETWORK_ENCODER || network->kind == NETWORK_DECODER;
}

static struct vae_plan_options vae_options(const struct job *job,
                                           const struct network *network,
                                           struct bands bands)
{
    return (struct vae_plan_options){.n = 1,
                                     .latent_height = network->height / LATENT_FACTOR,
                                     .latent_width = network->width / LATENT_FACTOR,
                                     .whole_bytes = bands.whole_bytes,
                                     .most_bytes = bands.most_bytes,
                                     .profile = job->request.profile,
                                     .exact_convolutions =
                                         job->context.exact_convolutions};
}

static enum dr_code make_text_plan(const struct job *job, struct network *network,
                                   struct dr_error *err)
{
    const struct clip_text_spec *const spec =
        job->context.pipeline->text[network->slot->kind_idx];
    const struct clip_text_shape shape = {
        .n = 1,
        .clip_skip = job->request.clip_skip,
        .profile = job->request.profile,
        .deltas = adapter_set_deltas(job_adapters(job), network->slot),
        .vectors =
            embedding_set_table(&job->request.embeddings, network->slot->kind_idx)};
    return clip_text_plan_create(&network->text, spec, &shape, err);
}

static enum dr_code make_unet_plan(const struct job *job, struct network *network,
                                   struct dr_error *err)
{
    const struct unet_shape shape = {
        .n = network->n,
        .height = network->height / LATENT_FACTOR,
        .width = network->width / LATENT_FACTOR,
        .tokens = network->tokens,
        .exact_convolutions = job->context.exact_convolutions,
        .deltas = adapter_set_deltas(job_adapters(job), network->slot)};
    return unet_plan_create(&network->unet, slot_active(network->slot)->unet, &shape,
                            job->request.profile, err);
}

/* Make the plan of a network, replacing its old plan. Only VAEs have bands. */
static enum dr_code make_plan(const struct job *job, struct network *network,
                              struct bands bands, struct dr_error *err)
{
    const struct vae_plan_options vae = vae_options(job, network, bands);
    if (cancel_requested(job->context.cancel))
        return error_set(err, DR_CANCELLED, "cancelled while it was being planned");
    switch (network->kind) {
    case NETWORK_TEXT: return make_text_plan(job, network, err);
    case NETWORK_UNET: return make_unet_plan(job, network, err);
    case NETWORK_ENCODER:
        vae_encode_plan_destroy(&network->encode);
        return vae_encode_plan_create(&network->encode, job_vae_spec(job), &vae, err);
    case NETWORK_DECODER:
        vae_decode_plan_destroy(&network->decode);
        return vae_decode_plan_create(&network->decode, job_vae_spec(job), &vae, err);
    }
    return DR_OK;
}

static enum dr_code place(struct job *job, struct dr_error *err)
{
    return step_list_place(&job->list, job->region_bytes, err);
}

enum dr_code network_plans_make(struct job *job, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < job->list.network_count; ++i)
        code = make_plan(job, &job->list.networks[i], no_bands, err);
    return code == DR_OK ? place(job, err) : code;
}

/* Of the VAE's networks the one with the largest arena, a decoder before an encoder; NULL: none. */
static struct network *largest_vae(const struct job *job)
{
    struct network *largest = NULL;
    for (int32_t i = 0; i < job->list.network_count; ++i) {
        struct network *const network = &job->list.networks[i];
        if (is_vae(network) && (!largest || plan_bytes(network_plan(network)) >=
                                                plan_bytes(network_plan(largest))))
            largest = network;
    }
    return largest;
}

enum dr_code network_plans_shrink(struct job *job, bool *smaller, struct dr_error *err)
{
    struct network *const network = largest_vae(job);
    *smaller = false;
    if (!network) return DR_OK;
    const struct plan *const plan = network_plan(network);
    /* If another network needs as much memory, a smaller VAE plan does not help. */
    if (plan_bytes(plan) < job->region_bytes[REGION_ACTIVATIONS]) return DR_OK;
    const struct bands next = {.whole_bytes = plan_next_whole_bytes(plan)};
    if (next.whole_bytes == 0) return DR_OK;
    const enum dr_code code = make_plan(job, network, next, err);
    if (code != DR_OK) return code;
    *smaller = true;
    return place(job, err);
}

/* All of the VAE's plans, each as bands[i] has it for network i; NULL: none in bands. */
static enum dr_code make_vae_plans(struct job *job, const struct bands *bands,
                                   struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < job->list.network_count; ++i)
        if (is_vae(&job->list.networks[i]))
            code = make_plan(job, &job->list.networks[i], bands ? bands[i] : no_bands,
                             err);
    return code == DR_OK ? place(job, err) : code;
}

enum dr_code network_plans_make_whole(struct job *job, struct dr_error *err)
{
    return network_plans_whole_bytes(job) > 0 ? make_vae_plans(job, NULL, err) : DR_OK;
}

/* A plan in bands, made again for all of this room: from the levels below too, since with some maps
 * kept that may be less work. */
static enum dr_code use_room(struct job *job, struct network *network, size_t most,
                             struct dr_error *err)
{
    const struct plan *plan = network_plan(network);
    struct bands bands = {plan_whole_bytes(plan), most}, best = bands;
    double least = INFINITY;
    for (int level = 0; level <= LEVELS_BELOW && bands.whole_bytes > 0; ++level) {
        const enum dr_code code = make_plan(job, network, bands, err);
        if (code != DR_OK) return code;
        plan = network_plan(network);
        if (plan_flop(plan) < (1 - LEAST_GAIN) * least &&
            (level == 0 || plan_bytes(plan) <= most)) {
            least = plan_flop(plan);
            best = bands;
        }
        bands.whole_bytes = plan_next_whole_bytes(plan);
    }
    const bool is_made = plan_whole_bytes(plan) == best.whole_bytes;
    return is_made ? DR_OK : make_plan(job, network, best, err);
}

enum dr_code network_plans_use_room(struct job *job, size_t more, struct dr_error *err)
{
    const size_t most = job->region_bytes[REGION_ACTIVATIONS] + more;
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < job->list.network_count; ++i)
        if (is_vae(&job->list.networks[i]))
            code = use_room(job, &job->list.networks[i], most, err);
    return code == DR_OK ? place(job, err) : code;
}

/* Are the contexts of an evaluation one batch? */
static bool has_one_batch(const struct job *job)
{
    const struct context_layout layout = prompt_step_layout(job);
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    return context_batch_list(&layout, batches) == 1;
}

enum dr_code network_plans_keep_contexts(struct job *job, bool keep,
                                         struct dr_error *err)
{
    enum dr_code code = DR_OK;
    job->keeps_contexts =
        keep && step_list_has(&job->list, STEP_SAMPLE) && has_one_batch(job);
    for (int32_t i = 0; code == DR_OK && i < job->list.network_count; ++i) {
        const struct network *const network = &job->list.networks[i];
        if (network->kind == NETWORK_UNET)
            code = plan_keep_steady(network_plan(network), job->keeps_contexts, err);
    }
    return code == DR_OK ? place(job, err) : code;
}

size_t network_plans_context_bytes(const struct job *job)
{
    size_t bytes = 0;
    for (int32_t i = 0; job->keeps_contexts && i < job->list.network_count; ++i) {
        const struct network *const network = &job->list.networks[i];
        if (network->kind == NETWORK_UNET)
            bytes += plan_steady_bytes(network_plan(network));
    }
    return bytes;
}

size_t network_plans_whole_bytes(const struct job *job)
{
    size_t least = 0;
    for (int32_t i = 0; i < job->list.network_count; ++i) {
        const struct network *const network = &job->list.networks[i];
        if (!is_vae(network)) continue;
        const size_t whole = plan_whole_bytes(network_plan(network));
        if (whole > 0 && (least == 0 || whole < least)) least = whole;
    }
    return least;
}

/* How often a step runs its network. */
static int32_t run_count(const struct step *step)
{
    const struct sampler_options *const sampler = &step->sampler;
    const int32_t end = sampler->end_step ? sampler->end_step : sampler->steps;
    switch (step->kind) {
    case STEP_SAMPLE:
        return (end - sampler->first_step) * sampler_calls_per_step(sampler->kind);
    case STEP_ENCODE:
    case STEP_DECODE: return 1;
    case STEP_TEXT:
    case STEP_READ:
    case STEP_RESIZE:
    case STEP_NOISE:
    case STEP_READ_LATENTS:
    case STEP_WRITE_LATENTS:
    case STEP_WRITE: break;
    }
    return 0;
}

static double batches_flop(const struct job *job, const struct step *step,
                           const struct context_batch *batches, int32_t count)
{
    double flop = 0.0;
    for (int32_t i = 0; i < count; ++i)
        flop += plan_flop(network_plan(prompt_step_network(job, step, &batches[i])));
    return flop;
}

/* Of one evaluation, or one run. */
static double run_flop(const struct job *job, const struct step *step)
{
    const struct network *const network = step_list_network_of(&job->list, step);
    if (step->kind != STEP_SAMPLE) return plan_flop(network_plan(network));
    const struct context_layout layout = prompt_step_layout(job);
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    return batches_flop(job, step, batches, context_batch_list(&layout, batches));
}

/* Of an evaluation without the negative prompt. */
static double alone_flop(const struct job *job, const struct step *step)
{
    const struct context_layout layout = prompt_step_layout(job);
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    return batches_flop(job, step, batches, context_batch_list_alone(&layout, batches));
}

/* Evaluations of a SAMPLE step outside the guided share of its steps. What s_min_uncond leaves out depends on the noise
 * levels, and is counted as guided. */
static int32_t alone_count(const struct job *job, const struct step *step)
{
    const struct dr_sampling *const sampling = &job->request.sampling;
    const int32_t steps = run_count(step) / sampler_calls_per_step(step->sampler.kind);
    int32_t count = 0;
    for (int32_t i = 0; i < steps; ++i)
        count += !guidance_has_step(sampling->cfg_from, sampling->cfg_to, i, steps);
    return count * sampler_calls_per_step(step->sampler.kind);
}

double network_plans_step_flop(const struct job *job, const struct step *step)
{
    const int32_t runs = run_count(step);
    if (runs == 0) return 0.0;
    if (step->kind != STEP_SAMPLE || !job->request.guided)
        return runs * run_flop(job, step);
    const int32_t alone = alone_count(job, step);
    return (runs - alone) * run_flop(job, step) +
           (alone > 0 ? alone * alone_flop(job, step) : 0.0);
}

double network_plans_evaluation_flop(const struct job *job)
{
    for (int32_t i = 0; i < job->list.step_count; ++i)
        if (job->list.steps[i].kind == STEP_SAMPLE)
            return run_flop(job, &job->list.steps[i]);
    return 0.0;
}

double network_plans_flop(const struct job *job)
{
    double flop = 0;
    for (int32_t i = 0; i < job->list.step_count; ++i)
        flop += network_plans_step_flop(job, &job->list.steps[i]);
    return flop;
}

enum dr_code network_plans_flop_at_best(struct job *job, double *flop,
                                        struct dr_error *err)
{
    *flop = network_plans_flop(job);
    if (network_plans_whole_bytes(job) == 0) return DR_OK;
    struct bands *const before =
        calloc((size_t)job->list.network_count, sizeof *before);
    if (!before) return error_set(err, DR_NOMEM, "no memory for a list of networks");
    for (int32_t i = 0; i < job->list.network_count; ++i)
        if (is_vae(&job->list.networks[i]))
            before[i].whole_bytes =
                plan_whole_bytes(network_plan(&job->list.networks[i]));
    enum dr_code code = network_plans_use_room(job, 0, err);
    if (code == DR_OK) *flop = network_plans_flop(job);
    if (code == DR_OK) code = make_vae_plans(job, before, err);
    free(before);
    return code;
}
