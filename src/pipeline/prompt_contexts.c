#include "pipeline/prompt_contexts.h"

#include <assert.h>
#include <math.h>

/* What the functions below hand on. */
struct making {
    struct prompt_contexts *contexts;
    const struct prompt_contexts_options *options;
    struct dr_error *err;
};

static enum dr_code no_memory(const struct making *making)
{
    return error_set(making->err, DR_NOMEM, "no memory for the contexts of a prompt");
}

static enum dr_code add_text(const struct making *making, int32_t idx,
                             const struct prompt_segment *segments, int32_t count,
                             struct prompt_chunks *list)
{
    const struct prompt_contexts_options *const options = making->options;
    const struct tokenizers_text text = {.segments = segments,
                                         .segment_count = count,
                                         .names = options->names[idx],
                                         .name_count = options->name_count};
    return tokenizers_add(options->tokenizers, idx, options->rows[idx], &text, list,
                          making->err);
}

static void forget_weights(struct prompt_chunks *list)
{
    for (int32_t i = 0; i < list->count; ++i)
        for (int32_t t = 0; t < TOKENIZER_POSITIONS; ++t)
            list->chunks[i].weights[t] = 1.0F;
}

static enum dr_code make_context(const struct making *making,
                                 const struct prompt_entry *entry,
                                 struct prompt_context *context)
{
    const struct prompt_contexts_options *const options = making->options;
    enum dr_code code = DR_OK;
    context->end_step = entry->end_step;
    context->repeat = entry->repeat;
    context->same_as = entry->same_as;
    if (entry->same_as >= 0 || !options->tokenizers) return DR_OK;
    for (int32_t i = 0; code == DR_OK && i < options->text_count; ++i) {
        code = add_text(making, i, entry->segments, entry->segment_count,
                        &context->chunks[i]);
        if (options->emphasis == DR_EMPHASIS_IGNORE)
            forget_weights(&context->chunks[i]);
    }
    return code;
}

/* Every list of a part to the length of the longest. */
static enum dr_code pad_part(const struct making *making,
                             struct prompt_context_part *part)
{
    const struct prompt_contexts_options *const options = making->options;
    enum dr_code code = DR_OK;
    part->chunk_count = 1;
    for (int32_t i = 0; i < part->count; ++i)
        for (int32_t k = 0; k < options->text_count; ++k)
            if (part->contexts[i].chunks[k].count > part->chunk_count)
                part->chunk_count = part->contexts[i].chunks[k].count;
    for (int32_t i = 0; options->tokenizers && i < part->count; ++i)
        for (int32_t k = 0; code == DR_OK && k < options->text_count; ++k)
            if (part->contexts[i].same_as < 0)
                code = tokenizers_pad(options->tokenizers, k, options->rows[k],
                                      part->chunk_count, &part->contexts[i].chunks[k],
                                      making->err);
    return code;
}

static enum dr_code make_scales(const struct making *making,
                                struct prompt_context_part *part)
{
    const size_t count = (size_t)part->chunk_count;
    for (int32_t k = 0; k < PROMPT_CACHE_TEXTS; ++k) {
        part->scales[k] =
            pool_alloc(&making->contexts->pool, count * sizeof *part->scales[k]);
        if (!part->scales[k]) return no_memory(making);
        for (size_t i = 0; i < count; ++i)
            part->scales[k][i] = NAN;
    }
    return DR_OK;
}

static enum dr_code make_part(const struct making *making,
                              const struct prompt_part *source,
                              struct prompt_context_part *part)
{
    part->weight = (float)source->weight;
    part->contexts = pool_alloc(&making->contexts->pool,
                                (size_t)source->entry_count * sizeof *part->contexts);
    if (!part->contexts) return no_memory(making);
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < source->entry_count; ++i) {
        ++part->count;
        code = make_context(making, &source->entries[i], &part->contexts[i]);
    }
    if (code == DR_OK) code = pad_part(making, part);
    return code == DR_OK ? make_scales(making, part) : code;
}

/* The empty prompt, if it makes one of the two lengths as long as the other. */
static enum dr_code make_empty(const struct making *making)
{
    const struct prompt_contexts_options *const options = making->options;
    const struct prompt_segment segment = {"", 1.0, false};
    enum dr_code code = DR_OK;
    if (!options->pads || !options->tokenizers) return DR_OK;
    if (making->contexts->negative.chunk_count ==
        prompt_contexts_part_chunks(making->contexts))
        return DR_OK;
    for (int32_t i = 0; code == DR_OK && i < options->text_count; ++i)
        code = add_text(making, i, &segment, 1, &making->contexts->empty[i]);
    return code;
}

enum dr_code prompt_contexts_make(struct prompt_contexts *contexts,
                                  const struct prompt_contexts_options *options,
                                  const struct prompt_parts *prompt,
                                  const struct prompt_parts *negative,
                                  struct dr_error *err)
{
    const struct making making = {contexts, options, err};
    const size_t bytes = (size_t)prompt->part_count * sizeof *contexts->parts;
    *contexts = (struct prompt_contexts){.emphasis = options->emphasis};
    assert(negative->part_count == 1);
    contexts->parts = pool_alloc(&contexts->pool, bytes);
    if (!contexts->parts) return no_memory(&making);
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < prompt->part_count; ++i) {
        ++contexts->part_count;
        code = make_part(&making, &prompt->parts[i], &contexts->parts[i]);
    }
    if (code == DR_OK)
        code = make_part(&making, &negative->parts[0], &contexts->negative);
    if (code == DR_OK && options->has_zero_negative)
        contexts->negative.chunk_count = prompt_contexts_part_chunks(contexts);
    return code == DR_OK ? make_empty(&making) : code;
}

static void finish_part(struct prompt_context_part *part)
{
    for (int32_t i = 0; i < part->count; ++i)
        for (int32_t k = 0; k < PROMPT_CACHE_TEXTS; ++k)
            prompt_chunks_finish(&part->contexts[i].chunks[k]);
}

void prompt_contexts_finish(struct prompt_contexts *contexts)
{
    for (int32_t i = 0; i < contexts->part_count; ++i)
        finish_part(&contexts->parts[i]);
    finish_part(&contexts->negative);
    for (int32_t k = 0; k < PROMPT_CACHE_TEXTS; ++k)
        prompt_chunks_finish(&contexts->empty[k]);
    pool_finish(&contexts->pool);
    *contexts = (struct prompt_contexts){0};
}

int32_t prompt_contexts_part_chunks(const struct prompt_contexts *contexts)
{
    int32_t most = 1;
    for (int32_t i = 0; i < contexts->part_count; ++i)
        if (contexts->parts[i].chunk_count > most)
            most = contexts->parts[i].chunk_count;
    return most;
}

const struct prompt_context *prompt_contexts_at(const struct prompt_context_part *part,
                                                int32_t evaluation)
{
    for (int32_t i = 0; i < part->count; ++i)
        if (evaluation <= part->contexts[i].end_step) return &part->contexts[i];
    return &part->contexts[0]; /* as the reference does */
}

const struct prompt_chunks *prompt_contexts_chunks(
    const struct prompt_context_part *part, const struct prompt_context *context,
    int32_t text_idx)
{
    const int32_t same_as = context->same_as;
    return &(same_as < 0 ? context : &part->contexts[same_as])->chunks[text_idx];
}

static int32_t part_rows(const struct prompt_context_part *part)
{
    int32_t rows = 0;
    for (int32_t i = 0; i < part->count; ++i)
        if (part->contexts[i].same_as < 0) rows += part->chunk_count;
    return rows;
}

int32_t prompt_contexts_row_count(const struct prompt_contexts *contexts,
                                  bool with_negative)
{
    int32_t rows = with_negative ? part_rows(&contexts->negative) : 0;
    for (int32_t i = 0; i < contexts->part_count; ++i)
        rows += part_rows(&contexts->parts[i]);
    return rows + contexts->empty[0].count;
}
