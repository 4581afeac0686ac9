/* The list keeps what was added, in order; a chunk of tokens weighs nothing differently; weights
 * multiply their own token's vector and no other. */
#include "model/prompt_chunks.h"

#include "check.h"

static struct dr_error problem;

/* A chunk that no other number gives. */
static struct prompt_chunk chunk_of(int32_t number)
{
    struct token_list tokens = {.count = 5, .eos_idx = 1 + number % 76};
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i)
        tokens.ids[i] = 100 * number + i;
    return prompt_chunk_of(&tokens);
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

static void tokens_become_a_chunk(void)
{
    const struct prompt_chunk chunk = chunk_of(3);
    check_int(chunk.eos_idx, ==, 4);
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i) {
        check_int(chunk.ids[i], ==, 300 + i);
        check_real(chunk.weights[i], ==, 1.0F);
    }
}

enum {
    WIDTH = 5
};

static void fill(float *context)
{
    for (int32_t i = 0; i < TOKENIZER_POSITIONS * WIDTH; ++i)
        context[i] = (float)(i - 100) / 7.0F;
}

static void weights_multiply_their_own_token(void)
{
    float plain[TOKENIZER_POSITIONS * WIDTH], weighed[TOKENIZER_POSITIONS * WIDTH];
    struct prompt_chunk chunk = chunk_of(1);
    fill(plain);
    fill(weighed);
    prompt_chunk_weigh(&chunk, weighed, WIDTH);
    check_bytes(weighed, plain, sizeof plain);

    chunk.weights[0] = 0.5F;
    chunk.weights[7] = 1.3F;
    chunk.weights[76] = -2.0F;
    prompt_chunk_weigh(&chunk, weighed, WIDTH);
    for (int32_t i = 0; i < TOKENIZER_POSITIONS * WIDTH; ++i)
        check_real(weighed[i], ==, plain[i] * chunk.weights[i / WIDTH]);
}

int main(void)
{
    check_run(keeps_chunks_in_order);
    check_run(tokens_become_a_chunk);
    check_run(weights_multiply_their_own_token);
    return check_done();
}
