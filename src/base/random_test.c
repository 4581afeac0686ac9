/* Noise against PyTorch's own values (tests/golden/noise.txt, by tools/golden/noise.py) and
 * the generators' published vectors. */
#include "base/random.h"

#include <math.h>

#include "check.h"

/* [rand.predef] of the C++ standard: the 10,000th draw from seed 5489. */
static void twister_is_exact(void)
{
    struct random_source source;
    random_init(&source, RANDOM_CPU, 5489);
    check_int(random_bits(&source), ==, 3499211612u);
    uint32_t bits = 0;
    for (int i = 1; i < 10000; ++i)
        bits = random_bits(&source);
    check_int(bits, ==, 4123659995u);
}

/* Random123's known answers for philox4x32-10: nothing, everything, digits of pi. */
static void philox_is_exact(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0},                                     {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}                                                          },
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}                                                          },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        uint32_t out[4];
        random_philox(known[i].counter, known[i].key, out);
        for (int word = 0; word < 4; ++word)
            check_int(out[word], ==, known[i].out[word]);
    }
}

/* What AUTOMATIC1111's rng_philox documents for seed 0 on a CUDA device. */
static void cuda_noise_is_known(void)
{
    static const float known[] = {-0.92466259f, -0.42534415f, -2.6438457f,
                                  0.14518388f,  -0.12086647f, -0.57972564f,
                                  -0.62285122f, -0.32838709f, -1.07454231f,
                                  -0.36314407f, -1.67105067f, 2.26550497f};
    struct random_source source;
    float out[12];
    random_init(&source, RANDOM_CUDA, 0);
    random_normal(&source, out, 12);
    for (size_t i = 0; i < 12; ++i)
        check_real(fabsf(out[i] - known[i]), <=, 1e-6);
}

/* Value i of call n, from the published pieces: key from both halves of the seed, one counter
 * word for the call and one for the value. */
static void cuda_noise_follows_calls_and_seeds(void)
{
    static const uint64_t seeds[] = {0, 42, ((uint64_t)1 << 32) + 5, (uint64_t)1 << 63};
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; ++s) {
        struct random_source source;
        random_init(&source, RANDOM_CUDA, seeds[s]);
        for (uint32_t call = 0; call < 4; ++call) {
            float out[33];
            const size_t count = call == 2 ? 5 : 33;
            random_normal(&source, out, count);
            for (size_t i = 0; i < count; ++i) {
                const uint32_t counter[4] = {call, 0, (uint32_t)i, 0};
                const uint32_t key[2] = {(uint32_t)seeds[s],
                                         (uint32_t)(seeds[s] >> 32)};
                uint32_t g[4];
                random_philox(counter, key, g);
                const double u = (g[0] + 0.5) / 4294967296.0,
                             v = (g[1] + 0.5) / 4294967296.0;
                const double expected = sqrt(-2 * log(u)) * sin(6.283185307179586 * v);
                check_real(fabs((double)out[i] - expected), <=, 1e-6);
            }
        }
    }
}

static FILE *open_golden(void)
{
    const char *const root = getenv("DARKROOM_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/noise.txt", root ? root : ".");
    return fopen(path, "r");
}

enum {
    MOST_CALLS = 6,
    MOST_VALUES = 16384
};
static float drawn[MOST_CALLS][MOST_VALUES];

/* "seed S calls N N N": draw them all. */
static void draw(const char *line, size_t counts[MOST_CALLS])
{
    char *rest;
    const uint64_t seed = strtoull(line + 5, &rest, 10);
    rest = strstr(rest, "calls") + 5;
    struct random_source source;
    random_init(&source, RANDOM_CPU, seed);
    memset(counts, 0, MOST_CALLS * sizeof *counts);
    for (size_t call = 0; call < MOST_CALLS && *rest == ' '; ++call) {
        counts[call] = strtoull(rest, &rest, 10);
        if (counts[call] > MOST_VALUES) abort();
        random_normal(&source, drawn[call], counts[call]);
    }
}

static void cpu_noise_is_torchs(void)
{
    FILE *const golden = open_golden();
    check(golden != NULL);
    if (!golden) return;
    char line[256];
    size_t counts[MOST_CALLS] = {0}, compared = 0;
    double worst = 0;
    while (fgets(line, sizeof line, golden)) {
        size_t call, index;
        double value;
        if (strncmp(line, "seed ", 5) == 0) draw(line, counts);
        if (sscanf(line, "call %zu index %zu value %lf", &call, &index, &value) != 3)
            continue;
        if (call >= MOST_CALLS || index >= counts[call]) abort();
        const double off = fabs((double)drawn[call][index] - value);
        if (off > worst) worst = off;
        if (off > 1e-6)
            check_fail_at("call %zu index %zu: %.9g, not %.9g", call, index,
                          (double)drawn[call][index], value);
        ++compared;
    }
    fclose(golden);
    fprintf(stderr, "%zu values, furthest %.2g from torch's\n", compared, worst);
    check_int(compared, >, 3000);
}

static void copies_go_on_alike(void)
{
    for (int kind = RANDOM_CPU; kind <= RANDOM_CUDA; ++kind) {
        struct random_source source, copy;
        float a[40], b[40];
        random_init(&source, (enum random_kind)kind, 7);
        random_normal(&source, a, 5); /* leaves a spare value behind */
        copy = source;
        for (size_t count = 1; count <= 40; count += 13) {
            random_normal(&source, a, count);
            random_normal(&copy, b, count);
            check_bytes(a, b, count * sizeof *a);
        }
        random_normal(&source, NULL, 0);
    }
}

static void looks_normal(void)
{
    for (int kind = RANDOM_CPU; kind <= RANDOM_CUDA; ++kind) {
        struct random_source source;
        random_init(&source, (enum random_kind)kind, 3);
        double sum = 0, squares = 0;
        random_normal(&source, drawn[0], MOST_VALUES);
        for (size_t i = 0; i < MOST_VALUES; ++i) {
            sum += (double)drawn[0][i];
            squares += (double)drawn[0][i] * (double)drawn[0][i];
        }
        check_real(fabs(sum / MOST_VALUES), <=, 0.03);
        check_real(fabs(squares / MOST_VALUES - 1), <=, 0.04);
    }
}

/* What CPython 3.11 prints for [random.Random(seed)._randbelow(n) for n in counts], one source after the other. */
static void choices_are_pythons(void)
{
    static const uint32_t counts[] = {1, 2, 3, 7, 10, 100, 1000, 65537};
    static const struct {
        uint64_t seed;
        uint32_t chosen[8];
    } known[] = {
        {0,             {0, 1, 0, 2, 8, 62, 414, 39755}},
        {1,             {0, 0, 1, 0, 7, 97, 460, 61898}},
        {42,            {0, 0, 2, 2, 3, 28, 142, 13434}},
        {4294967295,    {0, 0, 2, 4, 4, 77, 348, 49953}},
        {4294967296,    {0, 1, 1, 0, 0, 78, 897, 43451}},
        {1234567890123, {0, 1, 2, 1, 2, 35, 337, 57518}},
        {UINT64_MAX,    {0, 0, 1, 4, 3, 58, 629, 12454}},
    };
    struct random_source source;
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        random_init_python(&source, known[i].seed);
        for (size_t k = 0; k < 8; ++k)
            check_int(random_below(&source, counts[k]), ==, known[i].chosen[k]);
    }
}

int main(void)
{
    check_run(twister_is_exact);
    check_run(choices_are_pythons);
    check_run(philox_is_exact);
    check_run(cuda_noise_is_known);
    check_run(cuda_noise_follows_calls_and_seeds);
    check_run(cpu_noise_is_torchs);
    check_run(copies_go_on_alike);
    check_run(looks_normal);
    return check_done();
}
