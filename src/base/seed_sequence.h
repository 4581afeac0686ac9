/* seed_sequence — numpy.random.SeedSequence: a seed and a place in a tree become seeds that have nothing to do with
 * each other, the same ones as NumPy's.
 *
 *     uint32_t seed;
 *     seed_sequence_generate(&(struct seed_sequence){.entropy = 42, .pool_words = 24}, &seed, 1);
 *
 * Pure function; any thread. Source: numpy/random/bit_generator.pyx (the hash is that of M. O'Neill's seed_seq_fe).
 */
#ifndef BASE_SEED_SEQUENCE_H
#define BASE_SEED_SEQUENCE_H

#include <stdint.h>

enum {
    SEED_SEQUENCE_MAX_POOL = 24,
    SEED_SEQUENCE_MAX_KEYS = 4
};

struct seed_sequence {
    uint64_t entropy;
    int32_t pool_words; /* 4..SEED_SEQUENCE_MAX_POOL; NumPy's default is 4 */
    /* spawn_key: where in a tree of sequences this one is */
    int32_t key_count;
    uint32_t keys[SEED_SEQUENCE_MAX_KEYS];
};

/* The first count words of generate_state. */
void seed_sequence_generate(const struct seed_sequence *sequence, uint32_t *out,
                            int32_t count);

#endif
