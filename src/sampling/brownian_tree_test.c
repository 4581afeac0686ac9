/* The tree's noise against torchsde's (tests/golden/brownian.txt, from tools/golden/samplers_k.py), and what holds of a
 * Brownian motion. */
#include "sampling/brownian_tree.h"

#include <inttypes.h>
#include <math.h>

#include "check.h"

enum {
    COUNT = 24,
    MANY = 20000
};

static float current[MANY], scratch[MANY];

static struct brownian_tree tree_of(uint64_t seed, double start, double end,
                                    size_t count)
{
    return (struct brownian_tree){.kind = RANDOM_CPU,
                                  .seed = seed,
                                  .start = start,
                                  .end = end,
                                  .count = count,
                                  .current = current,
                                  .noise = scratch};
}

static void increments_are_torchsdes(void)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/brownian.txt", source ? source : ".");
    FILE *const file = fopen(path, "r");
    check(file != NULL);
    if (!file) return;
    uint64_t seed;
    double start, end, from, to, worst = 0;
    int count, rows = 0;
    while (fscanf(file, "%" SCNu64 " %lf %lf %d %lf %lf", &seed, &start, &end, &count,
                  &from, &to) == 6) {
        float got[COUNT];
        check_int(count, ==, COUNT);
        const struct brownian_tree tree = tree_of(seed, start, end, COUNT);
        brownian_tree_increment(&tree, from, to, got);
        for (int i = 0; i < COUNT; ++i) {
            double want;
            check_int(fscanf(file, "%lf", &want), ==, 1);
            /* A level that the reference rounds has float32's error of 11 in its motion. */
            const double most = 2e-6 * (1 + 4 / sqrt(fabs(from - to)));
            worst = fmax(worst, fabs((double)got[i] - want));
            if (!(fabs((double)got[i] - want) <= most))
                check_fail_at("seed %" PRIu64
                              ", %.9g to %.9g, value %d: %.9g, not %.9g",
                              seed, from, to, i, (double)got[i], want);
        }
        ++rows;
    }
    check(feof(file));
    fclose(file);
    check_int(rows, >, 60);
    fprintf(stderr, "    %d increments, the worst off by %.2g\n", rows, worst);
}

static double moment(const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < MANY; ++i)
        sum += (double)a[i] * (double)b[i];
    return sum / MANY;
}

/* Each increment is standard normal, neighbours do not know of each other, and the parts add up to the whole. */
static void parts_make_the_whole(void)
{
    static float upper[MANY], lower[MANY], whole[MANY];
    const struct brownian_tree tree = tree_of(11, 0.03, 14.6, MANY);
    brownian_tree_increment(&tree, 9, 4, upper);
    brownian_tree_increment(&tree, 4, 1, lower);
    brownian_tree_increment(&tree, 9, 1, whole);
    check_real(fabs(moment(upper, upper) - 1), <=, 0.04);
    check_real(fabs(moment(lower, lower) - 1), <=, 0.04);
    check_real(fabs(moment(upper, lower)), <=, 0.03);
    for (size_t i = 0; i < MANY; ++i) {
        const double sum = (double)upper[i] * sqrt(5.0) + (double)lower[i] * sqrt(3.0);
        check_real(fabs(sum - (double)whole[i] * sqrt(8.0)), <=, 2e-5);
    }
}

static void what_was_asked_before_does_not_matter(void)
{
    float first[COUNT], again[COUNT], other[COUNT];
    const struct brownian_tree tree = tree_of(3, 0.03, 14.6, COUNT);
    brownian_tree_increment(&tree, 5, 2.5, first);
    brownian_tree_increment(&tree, 0.04, 0.03, other);
    brownian_tree_increment(&tree, 5, 2.5, again);
    check_bytes(first, again, sizeof first);
    brownian_tree_increment(&tree, 2.5, 5, again); /* back again */
    for (size_t i = 0; i < COUNT; ++i)
        check_real(again[i], ==, -first[i]);
    const struct brownian_tree next = tree_of(4, 0.03, 14.6, COUNT);
    brownian_tree_increment(&next, 5, 2.5, other);
    check(memcmp(first, other, sizeof first) != 0);
}

static void nothing_lies_outside(void)
{
    float got[COUNT];
    const struct brownian_tree tree = tree_of(3, 1, 2, COUNT),
                               point = tree_of(3, 1, 1, COUNT);
    brownian_tree_increment(&tree, 3, 2, got);
    for (size_t i = 0; i < COUNT; ++i)
        check_real(got[i], ==, 0);
    brownian_tree_increment(&tree, 1.5, 1.5, got);
    check_real(got[0], ==, 0);
    brownian_tree_increment(&point, 1, 1, got);
    check_real(got[0], ==, 0);
}

int main(void)
{
    check_run(increments_are_torchsdes);
    check_run(parts_make_the_whole);
    check_run(what_was_asked_before_does_not_matter);
    check_run(nothing_lies_outside);
    return check_done();
}
