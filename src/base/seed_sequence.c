#include "base/seed_sequence.h"

#include <assert.h>

enum {
    SHIFT = 16,
    MAX_WORDS = SEED_SEQUENCE_MAX_POOL + SEED_SEQUENCE_MAX_KEYS
};

/* The constants of NumPy's hash. */
static const uint32_t pool_start = 0x43b0d7e5U, pool_factor = 0x931e8875U,
                      state_start = 0x8b51f9ddU, state_factor = 0x58f38dedU,
                      mix_left = 0xca01f9ddU, mix_right = 0x4973f715U;

static uint32_t hash(uint32_t value, uint32_t *constant)
{
    value ^= *constant;
    *constant *= pool_factor;
    value *= *constant;
    return value ^ value >> SHIFT;
}

static uint32_t mix(uint32_t left, uint32_t right)
{
    const uint32_t result = mix_left * left - mix_right * right;
    return result ^ result >> SHIFT;
}

/* The words that go into the pool: the seed's, and behind it, once it is filled up with zeros, the keys. */
static int32_t collect(const struct seed_sequence *sequence, uint32_t words[MAX_WORDS])
{
    int32_t count = 0;
    words[count++] = (uint32_t)sequence->entropy;
    if (sequence->entropy >> 32) words[count++] = (uint32_t)(sequence->entropy >> 32);
    for (; sequence->key_count > 0 && count < sequence->pool_words; ++count)
        words[count] = 0;
    for (int32_t i = 0; i < sequence->key_count; ++i)
        words[count++] = sequence->keys[i];
    return count;
}

static void fill_pool(const struct seed_sequence *sequence,
                      uint32_t pool[SEED_SEQUENCE_MAX_POOL])
{
    uint32_t words[MAX_WORDS], constant = pool_start;
    const int32_t size = sequence->pool_words, count = collect(sequence, words);
    for (int32_t i = 0; i < size; ++i)
        pool[i] = hash(i < count ? words[i] : 0, &constant);
    for (int32_t from = 0; from < size; ++from)
        for (int32_t to = 0; to < size; ++to)
            if (from != to) pool[to] = mix(pool[to], hash(pool[from], &constant));
    for (int32_t from = size; from < count; ++from)
        for (int32_t to = 0; to < size; ++to)
            pool[to] = mix(pool[to], hash(words[from], &constant));
}

void seed_sequence_generate(const struct seed_sequence *sequence, uint32_t *out,
                            int32_t count)
{
    uint32_t pool[SEED_SEQUENCE_MAX_POOL], constant = state_start;
    assert(sequence->pool_words >= 4 && sequence->pool_words <= SEED_SEQUENCE_MAX_POOL);
    assert(sequence->key_count >= 0 && sequence->key_count <= SEED_SEQUENCE_MAX_KEYS);
    fill_pool(sequence, pool);
    for (int32_t i = 0; i < count; ++i) {
        uint32_t value = pool[i % sequence->pool_words] ^ constant;
        constant *= state_factor;
        value *= constant;
        out[i] = value ^ value >> SHIFT;
    }
}
