#include "job/prompt_step.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "job/step_run.h"
#include "sampling/latent.h"

/* ---- rows of the prompt cache -------------------------------------------------------------- */

static struct prompt_cache_key chunk_key(const struct job *job,
                                         const struct source *encoder,
                                         const struct prompt_chunk *chunk)
{
    struct prompt_cache_key key = {.chunk = *chunk,
                                   .clip_skip = job->request.clip_skip,
                                   .dtype = job->context.dtype};
    memcpy(key.encoder, encoder->digest, sizeof key.encoder);
    return key;
}

/* The row of a chunk as the encoder in this slot makes it, or NULL. An encoder whose digest is not known
 * was never read, and has none. */
static const float *find_row(const struct job *job, const struct slot *slot,
                             const struct prompt_chunk *chunk)
{
    const struct source *const encoder = slot_active(slot);
    if (!encoder || !encoder->digest_known) return NULL;
    const struct prompt_cache_key key = chunk_key(job, encoder, chunk);
    return prompt_cache_find(&job->context.pipeline->prompts, slot->kind_idx, &key);
}

static bool encodes_negative(const struct job *job)
{
    return job->request.guided && !job->request.negative_is_zero;
}

/* Looks up every chunk, also after a missing one: this counts as a use, so that rows that are found
 * are not replaced by rows that this job adds. */
static bool chunks_are_cached(const struct job *job, const struct slot *slot,
                              const struct prompt_chunks *list)
{
    bool are_cached = list->count > 0;
    for (int32_t i = 0; i < list->count; ++i)
        if (!find_row(job, slot, &list->chunks[i])) are_cached = false;
    return are_cached;
}

bool prompt_step_is_cached(const struct job *job, const struct slot *slot)
{
    const struct job_request *const want = &job->request;
    const int32_t idx = slot->kind_idx;
    const bool prompt = chunks_are_cached(job, slot, &want->prompt_chunks[idx]);
    const bool negative = !encodes_negative(job) ||
                          chunks_are_cached(job, slot, &want->negative_chunks[idx]);
    return prompt && negative;
}

static int32_t chunk_count(const struct prompt_chunks *lists)
{
    return lists[0].count > 0 ? lists[0].count : 1;
}

struct context_layout prompt_step_layout(const struct job *job)
{
    const int32_t chunks = chunk_count(job->request.prompt_chunks);
    return (struct context_layout){.guided = job->request.guided,
                                   .part_count = 1,
                                   .part_chunks = chunks,
                                   .negative_chunks = chunks};
}

struct network *prompt_step_network(const struct job *job, const struct step *step,
                                    const struct context_batch *batch)
{
    const struct step_list *const list = &job->list;
    const struct network *const first = step_list_network_of(list, step);
    for (int32_t i = 0; i < list->network_count; ++i) {
        struct network *const network = &list->networks[i];
        if (network->kind == NETWORK_UNET && network->slot == first->slot &&
            network->width == step->width && network->height == step->height &&
            network->n == batch->count &&
            network->tokens == TOKENIZER_POSITIONS * batch->chunks)
            return network;
    }
    assert(false); /* the step was made with all of them */
    return NULL;
}

struct prompt_cache_shape prompt_step_cache_shape(const struct job *job)
{
    const int32_t prompts = encodes_negative(job) ? 2 : 1;
    return conditioning_cache_shape(job->context.pipeline,
                                    prompts * chunk_count(job->request.prompt_chunks));
}

/* ---- encoding ------------------------------------------------------------------------------ */

static void expect(const struct clip_text_plan *text, const struct clip_text_info *info)
{
    const struct shape ids = {1, 1, TOKENIZER_POSITIONS, 1};
    const struct shape context = {1, 1, TOKENIZER_POSITIONS, info->width};
    const struct shape projected = {1, 1, TOKENIZER_POSITIONS, info->pooled};
    plan_expect(text->plan, text->ids, ids, DTYPE_I32);
    plan_expect(text->plan, text->context, context, DTYPE_F32);
    if (info->pooled) plan_expect(text->plan, text->projected, projected, DTYPE_F32);
}

static enum dr_code check_result(const struct job *job,
                                 const struct clip_text_plan *text,
                                 const struct clip_text_info *info, int32_t eos_idx,
                                 struct dr_error *err)
{
    const size_t count = TOKENIZER_POSITIONS * (size_t)info->width;
    const size_t pooled = (size_t)info->pooled;
    if (latent_is_finite_in(text->plan, text->context, 0, count) &&
        (!pooled || latent_is_finite_in(text->plan, text->projected,
                                        (size_t)eos_idx * pooled, pooled)))
        return DR_OK;
    return error_set(
        err, DR_NOT_FINITE,
        "the text encoder's result is not finite (NaN or infinity): its weights "
        "in %.400s may be damaged%s",
        job->context.pipeline->path, step_more_precision(job));
}

static enum dr_code encode_chunk(struct job *job, const struct step *step,
                                 const struct prompt_chunk *chunk, struct dr_error *err)
{
    struct pipeline *const pipeline = job->context.pipeline;
    const struct network *const network = step_list_network_of(&job->list, step);
    const struct slot *const slot = network->slot;
    const struct clip_text_plan *const text = &network->text;
    const struct clip_text_info info = clip_text_info(pipeline->text[slot->kind_idx]);
    if (find_row(job, slot, chunk)) return DR_OK;
    enum dr_code code = step_bind(job, step, NULL, err);
    if (code != DR_OK) return code;
    expect(text, &info);
    plan_write(text->plan, text->ids, 0, TOKENIZER_POSITIONS, chunk->ids);
    const double started = clock_ms();
    code = step_run_network(job, step, err);
    if (code != DR_OK) return code;
    job->text_ms += clock_ms() - started;
    code = check_result(job, text, &info, chunk->eos_idx, err);
    if (code != DR_OK) return code;
    const struct source *const encoder = slot_active(slot);
    assert(encoder == slot->resident && encoder->digest_known);
    const struct prompt_cache_key key = chunk_key(job, encoder, chunk);
    conditioning_store(text, &info, chunk,
                       prompt_cache_add(&pipeline->prompts, slot->kind_idx, &key));
    return DR_OK;
}

static enum dr_code encode_chunks(struct job *job, const struct step *step,
                                  const struct prompt_chunks *list,
                                  struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < list->count; ++i)
        code = encode_chunk(job, step, &list->chunks[i], err);
    return code;
}

enum dr_code step_run_text(struct job *job, const struct step *step,
                           struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    const int32_t idx = step_list_network_of(&job->list, step)->slot->kind_idx;
    job->stage = DR_STAGE_TEXT;
    enum dr_code code = encode_chunks(job, step, &want->prompt_chunks[idx], err);
    if (code == DR_OK && encodes_negative(job))
        code = encode_chunks(job, step, &want->negative_chunks[idx], err);
    return code;
}

/* ---- the UNet's inputs ---------------------------------------------------------------------- */

/* The inputs of one image of the batch. lists: one for each text encoder; NULL: zeros. */
static void apply_prompt(const struct job *job, const struct unet_plan *unet,
                         int32_t image_idx, const struct prompt_chunks *lists)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    const int32_t chunks = chunk_count(job->request.prompt_chunks);
    for (int32_t text_idx = 0; text_idx < pipeline->text_count; ++text_idx) {
        const struct slot *const slot =
            pipeline_slot(pipeline, DR_COMPONENT_TEXT, text_idx);
        const struct prompt_chunks *const list = lists ? &lists[text_idx] : NULL;
        assert(!list || list->count == chunks);
        for (int32_t i = 0; i < chunks; ++i) {
            const struct conditioning_place place = {image_idx, i, text_idx};
            const float *const row =
                list ? find_row(job, slot, &list->chunks[i]) : NULL;
            assert(row || !list); /* a missing row would be taken for zeros */
            conditioning_apply(pipeline, unet, place, row);
        }
    }
    conditioning_apply_sizes(pipeline, unet, image_idx, &job->request.sizes);
}

void prompt_step_apply(const struct job *job, const struct unet_plan *unet,
                       const struct context_batch *batch)
{
    const struct job_request *const want = &job->request;
    for (int32_t i = 0; i < batch->count; ++i) {
        const bool is_negative = want->guided && batch->first + i == 0;
        const bool is_zero = is_negative && !encodes_negative(job);
        apply_prompt(job, unet, i,
                     is_zero       ? NULL
                     : is_negative ? want->negative_chunks
                                   : want->prompt_chunks);
    }
}
