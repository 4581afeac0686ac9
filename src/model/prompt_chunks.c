#include "model/prompt_chunks.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct prompt_chunk) ==
                  TOKENIZER_POSITIONS * (sizeof(int32_t) + sizeof(float)) +
                      sizeof(int32_t) + DIGEST_BYTES,
              "chunks are compared by their bytes");

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

void prompt_chunks_finish(struct prompt_chunks *list)
{
    pool_finish(&list->pool);
    *list = (struct prompt_chunks){0};
}

bool prompt_chunk_reads_as(const struct prompt_chunk *a, const struct prompt_chunk *b)
{
    return memcmp(a->ids, b->ids, sizeof a->ids) == 0 && a->eos_idx == b->eos_idx &&
           memcmp(a->vectors, b->vectors, sizeof a->vectors) == 0;
}
