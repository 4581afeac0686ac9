#include "job/prompt_step.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "job/step_run.h"
#include "sampling/latent.h"

/* ---- rows of the prompt cache -------------------------------------------------------------- */

static struct prompt_cache_key chunk_key(const struct job *job, const struct slot *slot,
                                         const struct prompt_chunk *chunk)
{
    struct prompt_cache_key key = {.chunk = *chunk,
                                   .clip_skip = job->request.clip_skip,
                                   .dtype = job->context.dtype};
    adapter_set_mix_digest(job_adapters(job), slot, slot_active(slot)->digest,
                           key.encoder);
    memset(key.chunk.weights, 0, sizeof key.chunk.weights);
    /* Rows of the job's vectors: key.chunk.vectors says what they are. */
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i)
        if (key.chunk.ids[i] < 0) key.chunk.ids[i] = -1;
    return key;
}

/* The row of a chunk as the encoder in this slot makes it, or NULL. An encoder whose digest is not known
 * was never read, and has none. */
static const float *find_row(const struct job *job, const struct slot *slot,
                             const struct prompt_chunk *chunk)
{
    const struct source *const encoder = slot_active(slot);
    if (!encoder || !encoder->digest_known) return NULL;
    const struct prompt_cache_key key = chunk_key(job, slot, chunk);
    return prompt_cache_find(&job->context.pipeline->prompts, slot->kind_idx, &key);
}

static bool encodes_negative(const struct job *job)
{
    return job->request.guided && !job->request.negative_is_zero;
}

/* ---- all chunks of a job --------------------------------------------------------------------- */

/* Called for each chunk that an encoder encodes; false ends the walk. */
typedef bool visit_chunk(void *cookie, const struct prompt_chunk *chunk);

static bool visit_list(const struct prompt_chunks *list, visit_chunk *visit,
                       void *cookie)
{
    for (int32_t i = 0; i < list->count; ++i)
        if (!visit(cookie, &list->chunks[i])) return false;
    return true;
}

static bool visit_part(const struct prompt_context_part *part, int32_t text_idx,
                       visit_chunk *visit, void *cookie)
{
    for (int32_t i = 0; i < part->count; ++i)
        if (part->contexts[i].same_as < 0 &&
            !visit_list(&part->contexts[i].chunks[text_idx], visit, cookie))
            return false;
    return true;
}

static bool visit_all(const struct job *job, int32_t text_idx, visit_chunk *visit,
                      void *cookie)
{
    const struct prompt_contexts *const prompts = &job->request.prompts;
    for (int32_t i = 0; i < prompts->part_count; ++i)
        if (!visit_part(&prompts->parts[i], text_idx, visit, cookie)) return false;
    if (encodes_negative(job) &&
        !visit_part(&prompts->negative, text_idx, visit, cookie))
        return false;
    return visit_list(&prompts->empty[text_idx], visit, cookie);
}

struct lookup {
    const struct job *job;
    const struct slot *slot;
    bool has_any, has_all;
};

static bool look_up(void *cookie, const struct prompt_chunk *chunk)
{
    struct lookup *const lookup = cookie;
    lookup->has_any = true;
    if (!find_row(lookup->job, lookup->slot, chunk)) lookup->has_all = false;
    return true;
}

/* Looks up every chunk, also after a missing one: this counts as a use, so that rows that are found
 * are not replaced by rows that this job adds. */
bool prompt_step_is_cached(const struct job *job, const struct slot *slot)
{
    struct lookup lookup = {job, slot, false, true};
    (void)visit_all(job, slot->kind_idx, look_up, &lookup);
    return lookup.has_any && lookup.has_all;
}

/* Do some evaluations go without the negative prompt? */
static bool guidance_rests(const struct dr_sampling *sampling)
{
    return sampling->cfg_from > 0 || sampling->cfg_to < 1 || sampling->s_min_uncond > 0;
}

struct context_layout prompt_step_layout(const struct job *job)
{
    const struct job_request *const want = &job->request;
    struct context_layout layout = {.guided = want->guided,
                                    .rests = guidance_rests(&want->sampling),
                                    .part_count = want->prompts.part_count,
                                    .part_chunks =
                                        prompt_contexts_part_chunks(&want->prompts),
                                    .negative_chunks =
                                        want->prompts.negative.chunk_count};
    if (!want->pads || !want->guided) return layout;
    if (layout.part_chunks < layout.negative_chunks)
        layout.part_chunks = layout.negative_chunks;
    layout.negative_chunks = layout.part_chunks;
    return layout;
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
    return conditioning_cache_shape(job->context.pipeline,
                                    prompt_contexts_row_count(&job->request.prompts,
                                                              encodes_negative(job)));
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
    const struct prompt_cache_key key = chunk_key(job, slot, chunk);
    conditioning_store(text, &info, chunk->eos_idx,
                       prompt_cache_add(&pipeline->prompts, slot->kind_idx, &key));
    return DR_OK;
}

struct encoding {
    struct job *job;
    const struct step *step;
    enum dr_code code;
    struct dr_error *err;
};

static bool encode_next(void *cookie, const struct prompt_chunk *chunk)
{
    struct encoding *const encoding = cookie;
    encoding->code = encode_chunk(encoding->job, encoding->step, chunk, encoding->err);
    return encoding->code == DR_OK;
}

enum dr_code step_run_text(struct job *job, const struct step *step,
                           struct dr_error *err)
{
    struct encoding encoding = {job, step, DR_OK, err};
    const struct slot *const slot = step_list_network_of(&job->list, step)->slot;
    job->stage = DR_STAGE_TEXT;
    if (step->scratch != STEP_NONE && !prompt_step_is_cached(job, slot))
        encoding.code = embedding_set_read(&job->request.embeddings, slot->kind_idx,
                                           step_value_of(job, step->scratch), err);
    if (encoding.code == DR_OK)
        (void)visit_all(job, slot->kind_idx, encode_next, &encoding);
    return encoding.code;
}

/* ---- the UNet's inputs ---------------------------------------------------------------------- */

/* By which an encoder's rows of a chunk are multiplied so that their mean is what it was without weights. */
static float mean_scale(const struct job *job, const struct slot *slot,
                        const struct prompt_context_part *part, int32_t chunk_idx)
{
    const int32_t idx = slot->kind_idx;
    const size_t width = (size_t)clip_text_info(job->context.pipeline->text[idx]).width;
    double sums[TOKENIZER_POSITIONS], before = 0.0, after = 0.0;
    for (int32_t i = 0; i < part->count; ++i) {
        const struct prompt_context *const context = &part->contexts[i];
        const struct prompt_chunk *const chunk =
            &prompt_contexts_chunks(part, context, idx)->chunks[chunk_idx];
        conditioning_sums(find_row(job, slot, chunk), width, sums);
        for (int32_t t = 0; t < TOKENIZER_POSITIONS; ++t) {
            before += context->repeat * sums[t];
            after += context->repeat * sums[t] * (double)chunk->weights[t];
        }
    }
    return (float)(before / after);
}

static float scale_of(const struct job *job, const struct slot *slot,
                      const struct prompt_context_part *part, int32_t chunk_idx)
{
    float *const scale = &part->scales[slot->kind_idx][chunk_idx];
    if (job->request.prompts.emphasis != DR_EMPHASIS_ORIGINAL) return 1.0F;
    if (isnan(*scale)) *scale = mean_scale(job, slot, part, chunk_idx);
    return *scale;
}

/* A chunk of a context: one of its own; beyond them the empty prompt's, for a part after the length of
 * the longest part, and its last vector until then. */
static struct conditioning_row row_of(const struct job *job, const struct slot *slot,
                                      const struct prompt_context_part *part,
                                      const struct prompt_context *context,
                                      int32_t chunk_idx)
{
    const struct prompt_contexts *const prompts = &job->request.prompts;
    const int32_t idx = slot->kind_idx;
    const bool is_own = chunk_idx < part->chunk_count;
    const bool is_empty =
        !is_own && (part == &prompts->negative ||
                    chunk_idx >= prompt_contexts_part_chunks(prompts));
    if (is_empty)
        return (struct conditioning_row){
            .values = find_row(job, slot, &prompts->empty[idx].chunks[0]),
            .scale = 1.0F};
    const int32_t own_idx = is_own ? chunk_idx : part->chunk_count - 1;
    const struct prompt_chunk *const chunk =
        &prompt_contexts_chunks(part, context, idx)->chunks[own_idx];
    return (struct conditioning_row){.values = find_row(job, slot, chunk),
                                     .weights = chunk->weights,
                                     .scale = scale_of(job, slot, part, own_idx),
                                     .repeats_last = !is_own};
}

/* The inputs of one image of the batch. part NULL: zeros. */
static void apply_part(const struct job *job, const struct unet_plan *unet,
                       int32_t image_idx, int32_t chunk_count,
                       const struct prompt_context_part *part, int32_t evaluation)
{
    static const struct conditioning_row zeros = {0};
    const struct pipeline *const pipeline = job->context.pipeline;
    for (int32_t text_idx = 0; text_idx < pipeline->text_count; ++text_idx) {
        const struct slot *const slot =
            pipeline_slot(pipeline, DR_COMPONENT_TEXT, text_idx);
        for (int32_t i = 0; i < chunk_count; ++i) {
            const struct conditioning_place place = {image_idx, i, text_idx};
            struct conditioning_row row = zeros;
            if (part)
                row = row_of(job, slot, part, prompt_contexts_at(part, evaluation), i);
            assert(row.values || !part); /* a missing row would be taken for zeros */
            conditioning_apply(pipeline, unet, place, &row);
        }
    }
    conditioning_apply_sizes(pipeline, unet, image_idx, &job->request.sizes);
}

void prompt_step_apply(const struct job *job, const struct unet_plan *unet,
                       const struct context_batch *batch, int32_t evaluation)
{
    const struct job_request *const want = &job->request;
    for (int32_t i = 0; i < batch->count; ++i) {
        const int32_t context = batch->first + i;
        const bool is_negative = want->guided && context == 0;
        const struct prompt_context_part *const part =
            is_negative ? &want->prompts.negative
                        : &want->prompts.parts[context - (want->guided ? 1 : 0)];
        const bool is_zero = is_negative && !encodes_negative(job);
        apply_part(job, unet, i, batch->chunks, is_zero ? NULL : part, evaluation);
    }
}

static bool changes_at(const struct prompt_context_part *part, int32_t evaluation)
{
    return evaluation == 0 || prompt_contexts_at(part, evaluation) !=
                                  prompt_contexts_at(part, evaluation - 1);
}

bool prompt_step_changes_at(const struct job *job, int32_t evaluation)
{
    const struct prompt_contexts *const prompts = &job->request.prompts;
    bool changes = changes_at(&prompts->negative, evaluation);
    for (int32_t i = 0; i < prompts->part_count; ++i)
        changes |= changes_at(&prompts->parts[i], evaluation);
    return changes;
}
