/* The noise of variation seeds and of other sizes against A1111's rules (tests/golden/seed_noise.txt, from
 * tools/golden/seed_noise.py). */
#include "job/seed_noise.h"

#include <math.h>

#include "check.h"

enum {
    MOST = 4 * 16 * 16
};

static bool read_row(FILE *file, struct seed_noise *noise)
{
    unsigned long long seed, variation;
    int w, h, from_w, from_h, delta;
    double strength;
    if (fscanf(file, "%llu %llu %lf %d %d %d %d %d", &seed, &variation, &strength, &w,
               &h, &from_w, &from_h, &delta) != 8)
        return false;
    *noise = (struct seed_noise){.kind = RANDOM_CPU,
                                 .seed = seed,
                                 .variation_seed = variation,
                                 .variation_strength = strength,
                                 .width = w,
                                 .height = h,
                                 .from_width = from_w,
                                 .from_height = from_h,
                                 .seed_delta = delta};
    return true;
}

static void check_values(FILE *file, const float *got, size_t count, int row)
{
    for (size_t i = 0; i < count; ++i) {
        double want;
        check_int(fscanf(file, "%lf", &want), ==, 1);
        /* Nearly opposite columns lose digits to the arc cosine. */
        if (!(fabs((double)got[i] - want) <= 1e-5))
            check_fail_at("row %d, value %zu: %.9g, not %.9g", row, i, (double)got[i],
                          want);
    }
}

static void noise_is_a1111s(void)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/seed_noise.txt",
             source ? source : ".");
    FILE *const file = fopen(path, "r");
    check(file != NULL);
    if (!file) return;
    struct seed_noise noise;
    int rows = 0;
    for (; read_row(file, &noise); ++rows) {
        float out[MOST], scratch[2 * MOST];
        struct random_source random;
        const size_t count = 4 * (size_t)noise.width * (size_t)noise.height;
        check_int(seed_noise_scratch(&noise), <=, 2 * MOST);
        scratch[seed_noise_scratch(&noise)] = 77; /* and no more is written */
        seed_noise_draw(&noise, scratch, &random, out);
        check_real(scratch[seed_noise_scratch(&noise)], ==, 77);
        check_values(file, out, count, rows);
        random_normal(&random, out, count);
        check_values(file, out, count, rows);
    }
    check(feof(file));
    fclose(file);
    check_int(rows, ==, 10);
}

static void without_options_it_is_the_seeds(void)
{
    struct dr_sampling sampling = dr_sampling_default();
    struct random_source random, plain;
    float got[MOST], want[MOST];
    const struct seed_noise noise = seed_noise_of(&sampling, DR_RNG_CPU, 5, 1, 16, 16);
    check_int(seed_noise_scratch(&noise), ==, 0);
    seed_noise_draw(&noise, NULL, &random, got);
    random_init(&plain, RANDOM_CPU, 5);
    random_normal(&plain, want, MOST);
    check_bytes(got, want, sizeof got);
    check_int(seed_noise_seed(&sampling, 5, 3), ==, 8);
    sampling.variation_strength = 0.1;
    sampling.variation_seed = 40;
    check_int(seed_noise_seed(&sampling, 5, 3), ==, 5);
    check_int(seed_noise_of(&sampling, DR_RNG_CPU, 5, 3, 16, 16).variation_seed, ==,
              43);
    sampling.seed_resize_width = sampling.seed_resize_height = 128; /* the same size */
    check_int(seed_noise_of(&sampling, DR_RNG_CPU, 5, 0, 16, 16).from_width, ==, 0);
}

int main(void)
{
    check_run(noise_is_a1111s);
    check_run(without_options_it_is_the_seeds);
    return check_done();
}
