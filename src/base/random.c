#include "base/random.h"

#include <math.h>

/* mt19937: the parameters of the paper's table II. */
enum {
    TWISTER_WORDS = 624,
    TWISTER_MIDDLE = 397
};

/* PyTorch's block: eight uniforms for the radius, eight for the angle. */
enum {
    BLOCK = 16,
    HALF_BLOCK = 8
};

static const float two_pi_f32 = 6.2831853071795864f;
static const double two_pi = 6.2831853071795864;

static void twister_seed(struct random_source *source, uint32_t seed)
{
    uint32_t *const state = source->state;
    state[0] = seed;
    for (uint32_t i = 1; i < TWISTER_WORDS; ++i)
        state[i] = 1812433253u * (state[i - 1] ^ state[i - 1] >> 30) + i;
    source->state_index = TWISTER_WORDS;
}

/* The authors' init_by_array, for a key of one or two words. */
static void twister_seed_words(struct random_source *source, const uint32_t *words,
                               uint32_t count)
{
    uint32_t *const state = source->state;
    uint32_t i = 1;
    twister_seed(source, 19650218u);
    for (uint32_t k = 0; k < TWISTER_WORDS; ++k) {
        const uint32_t mixed = (state[i - 1] ^ state[i - 1] >> 30) * 1664525u;
        state[i] = (state[i] ^ mixed) + words[k % count] + k % count;
        if (++i < TWISTER_WORDS) continue;
        state[0] = state[TWISTER_WORDS - 1];
        i = 1;
    }
    for (uint32_t k = 1; k < TWISTER_WORDS; ++k) {
        const uint32_t mixed = (state[i - 1] ^ state[i - 1] >> 30) * 1566083941u;
        state[i] = (state[i] ^ mixed) - i;
        if (++i < TWISTER_WORDS) continue;
        state[0] = state[TWISTER_WORDS - 1];
        i = 1;
    }
    state[0] = 0x80000000u;
}

static void twist(struct random_source *source)
{
    uint32_t *const state = source->state;
    for (uint32_t i = 0; i < TWISTER_WORDS; ++i) {
        const uint32_t next = state[(i + 1) % TWISTER_WORDS];
        const uint32_t joined = (state[i] & 0x80000000u) | (next & 0x7FFFFFFFu);
        const uint32_t odd = (uint32_t) - (int32_t)(joined & 1u) & 0x9908B0DFu;
        state[i] = state[(i + TWISTER_MIDDLE) % TWISTER_WORDS] ^ joined >> 1 ^ odd;
    }
    source->state_index = 0;
}

uint32_t random_bits(struct random_source *source)
{
    if (source->state_index == TWISTER_WORDS) twist(source);
    uint32_t bits = source->state[source->state_index++];
    bits ^= bits >> 11;
    bits ^= bits << 7 & 0x9D2C5680u;
    bits ^= bits << 15 & 0xEFC60000u;
    return bits ^ bits >> 18;
}

void random_init_python(struct random_source *source, uint64_t seed)
{
    const uint32_t words[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    *source = (struct random_source){.kind = RANDOM_CPU, .seed = seed};
    twister_seed_words(source, words, words[1] ? 2 : 1);
}

uint32_t random_below(struct random_source *source, uint32_t count)
{
    uint32_t bits = 0, value;
    while (bits < 32 && count >> bits)
        ++bits;
    do
        value = random_bits(source) >> (32 - bits);
    while (value >= count);
    return value;
}

static float uniform_f32(struct random_source *source)
{
    return (float)(random_bits(source) & 0x00FFFFFFu) * 0x1p-24f;
}

static double uniform_f64(struct random_source *source)
{
    const uint64_t high = random_bits(source);
    const uint64_t bits = high << 32 | random_bits(source);
    return (double)(bits & (((uint64_t)1 << 53) - 1)) * 0x1p-53;
}

/* Box and Muller in place. Rounded to float32 where PyTorch rounds; the functions themselves
 * in double, for which every processor has the same result here. */
static void block_to_normal(float block[static BLOCK])
{
    for (int i = 0; i < HALF_BLOCK; ++i) {
        const float logarithm = (float)log((double)(1.0f - block[i]));
        const float radius = sqrtf(-2.0f * logarithm);
        const float angle = two_pi_f32 * block[i + HALF_BLOCK];
        block[i] = (float)((double)radius * cos((double)angle));
        block[i + HALF_BLOCK] = (float)((double)radius * sin((double)angle));
    }
}

/* All uniforms are drawn before any is used. A rest of less than a block is made good by
 * drawing the last block afresh, over values that are there already. */
static void normal_long(struct random_source *source, float *out, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        out[i] = uniform_f32(source);
    for (size_t i = 0; i + BLOCK <= count; i += BLOCK)
        block_to_normal(out + i);
    if (count % BLOCK == 0) return;
    float *const last = out + count - BLOCK;
    for (int i = 0; i < BLOCK; ++i)
        last[i] = uniform_f32(source);
    block_to_normal(last);
}

static void normal_short(struct random_source *source, float *out, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (source->has_spare) {
            out[i] = (float)source->spare;
            source->has_spare = false;
            continue;
        }
        const double angle = two_pi * uniform_f64(source);
        const double radius = sqrt(-2.0 * log1p(-uniform_f64(source)));
        out[i] = (float)(radius * cos(angle));
        source->spare = radius * sin(angle);
        source->has_spare = true;
    }
}

void random_philox(const uint32_t counter[static 4], const uint32_t key[static 2],
                   uint32_t out[static 4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t product1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9u; /* the golden ratio, and the root of 3 less 1 */
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Two of the four words of each counter are used, as on the device for tensors that one
 * pass of its threads covers. */
static void normal_philox(struct random_source *source, float *out, size_t count)
{
    const uint32_t key[2] = {(uint32_t)source->seed, (uint32_t)(source->seed >> 32)};
    const double angle_unit = (double)(float)(0x1p-32 * 6.2831855);
    for (size_t i = 0; i < count; ++i) {
        const uint32_t counter[4] = {source->call_count, 0, (uint32_t)i, 0};
        uint32_t words[4];
        random_philox(counter, key, words);
        const double uniform = words[0] * 0x1p-32 + 0x1p-33; /* never 0 */
        const double angle = words[1] * angle_unit + angle_unit / 2;
        out[i] = (float)(sqrt(-2.0 * log(uniform)) * sin(angle));
    }
    ++source->call_count;
}

void random_init(struct random_source *source, enum random_kind kind, uint64_t seed)
{
    *source = (struct random_source){.kind = kind, .seed = seed};
    twister_seed(source, (uint32_t)seed);
}

void random_normal(struct random_source *source, float *out, size_t count)
{
    if (source->kind == RANDOM_CUDA)
        normal_philox(source, out, count);
    else if (count >= BLOCK)
        normal_long(source, out, count);
    else
        normal_short(source, out, count);
}
