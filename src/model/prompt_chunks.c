#include "model/prompt_chunks.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct prompt_chunk) ==
                  TOKENIZER_POSITIONS * (sizeof(int32_t) + sizeof(float)) +
                      sizeof(int32_t),
              "chunks are compared by their bytes");

struct prompt_chunk prompt_chunk_of(const struct token_list *tokens)
{
    struct prompt_chunk chunk = {.eos_idx = tokens->eos_idx};
    memcpy(chunk.ids, tokens->ids, sizeof chunk.ids);
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i)
        chunk.weights[i] = 1.0F;
    return chunk;
}

enum dr_code prompt_chunks_add(struct prompt_chunks *list,
                               const struct prompt_chunk *chunk, struct dr_error *err)
{
    if (list->count == list->capacity) {
        const int32_t capacity = list->capacity > 0 ? 2 * list->capacity : 1;
        struct prompt_chunk *const grown =
            pool_grow(&list->pool, list->chunks, (size_t)list->count, (size_t)capacity,
                      sizeof *grown);
        if (!grown)
            return error_set(err, DR_NOMEM, "no memory for %d chunks of a prompt",
                             (int)capacity);
        list->chunks = grown;
        list->capacity = capacity;
    }
    list->chunks[list->count++] = *chunk;
    return DR_OK;
}

void prompt_chunk_weigh(const struct prompt_chunk *chunk, float *context, size_t width)
{
    for (size_t t = 0; t < TOKENIZER_POSITIONS; ++t) {
        const float weight = chunk->weights[t];
        if (weight == 1.0F) continue;
        for (size_t i = 0; i < width; ++i)
            context[t * width + i] *= weight;
    }
}

void prompt_chunks_finish(struct prompt_chunks *list)
{
    pool_finish(&list->pool);
    *list = (struct prompt_chunks){0};
}
