/* The list keeps what was added, in order; what the encoder reads decides whether two chunks are the same. */
#include "model/prompt_chunks.h"

#include "check.h"

static struct dr_error problem;

/* A chunk that no other number gives. */
static struct prompt_chunk chunk_of(int32_t number)
{
    struct prompt_chunk chunk = {.eos_idx = 1 + number % 76};
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i) {
        chunk.ids[i] = 100 * number + i;
        chunk.weights[i] = 1.0F;
    }
    return chunk;
}

static void keeps_chunks_in_order(void)
{
    enum {
        COUNT = 100 /* the list grows several times */
    };
    struct prompt_chunks list = {0};
    for (int32_t i = 0; i < COUNT; ++i) {
        const struct prompt_chunk chunk = chunk_of(i);
        check_int(prompt_chunks_add(&list, &chunk, &problem), ==, DR_OK);
        check_int(list.count, ==, i + 1);
    }
    for (int32_t i = 0; i < COUNT; ++i) {
        const struct prompt_chunk chunk = chunk_of(i);
        check_bytes(&list.chunks[i], &chunk, sizeof chunk);
    }
    prompt_chunks_finish(&list);
    check_int(list.count, ==, 0);
    check(list.chunks == NULL);
    prompt_chunks_finish(&list);
}

static void weights_are_not_read(void)
{
    const struct prompt_chunk chunk = chunk_of(3);
    struct prompt_chunk other = chunk;
    other.weights[5] = 2.0F;
    check(prompt_chunk_reads_as(&chunk, &other));
    other.ids[76] = 1;
    check(!prompt_chunk_reads_as(&chunk, &other));
    other = chunk;
    other.eos_idx = 76;
    check(!prompt_chunk_reads_as(&chunk, &other));
    other = chunk;
    other.vectors[31] = 1;
    check(!prompt_chunk_reads_as(&chunk, &other));
}

int main(void)
{
    check_run(keeps_chunks_in_order);
    check_run(weights_are_not_read);
    return check_done();
}
