#include "sampling/brownian_tree.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/seed_sequence.h"

enum {
    POOL_WORDS = 24
};

/* An interval of the tree. key and depth are its place: 2 * key for the left half, 2 * key + 1 for the right. */
struct interval {
    double start, end;
    uint32_t key, depth;
};

/* As Python rounds: to the nearest of the decimal fractions with six digits, of the exact value. */
static double rounded(double level)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.6f", level);
    return strtod(text, NULL);
}

static struct interval whole_of(const struct brownian_tree *tree)
{
    return (struct interval){.start = rounded(tree->start), .end = rounded(tree->end)};
}

static double middle_of(const struct interval *interval)
{
    return rounded(0.5 * (interval->end + interval->start));
}

static struct interval half_of(const struct interval *interval, double middle,
                               double level)
{
    const uint32_t right = level > middle;
    return (struct interval){.start = right ? middle : interval->start,
                             .end = right ? interval->end : middle,
                             .key = 2 * interval->key + right,
                             .depth = interval->depth + 1};
}

static void draw(const struct brownian_tree *tree, const struct seed_sequence *sequence)
{
    uint32_t seed;
    struct random_source random;
    seed_sequence_generate(sequence, &seed, 1);
    random_init(&random, tree->kind, seed);
    random_normal(&random, tree->noise, tree->count);
}

static void draw_whole(const struct brownian_tree *tree)
{
    const struct seed_sequence sequence = {.entropy = tree->seed,
                                           .pool_words = POOL_WORDS};
    const float weight = (float)sqrt(tree->end - tree->start);
    draw(tree, &sequence);
    for (size_t i = 0; i < tree->count; ++i)
        tree->current[i] = weight * tree->noise[i];
}

/* noise = the increment over the left half, from current, that over the interval. */
static void draw_left(const struct brownian_tree *tree, const struct interval *interval,
                      double middle)
{
    const struct seed_sequence sequence = {
        .entropy = tree->seed,
        .pool_words = POOL_WORDS,
        .key_count = 2,
        .keys = {interval->key, interval->depth}
    };
    const double left = middle - interval->start, right = interval->end - middle;
    const double length = interval->end - interval->start;
    const float mean = (float)(left / length),
                weight = (float)sqrt(left * right / length);
    draw(tree, &sequence);
    for (size_t i = 0; i < tree->count; ++i)
        tree->noise[i] = mean * tree->current[i] + weight * tree->noise[i];
}

/* The smallest interval of the tree that has both levels. */
static uint32_t common_depth(const struct brownian_tree *tree, double low, double high)
{
    struct interval interval = whole_of(tree);
    for (;;) {
        const double middle = middle_of(&interval);
        if (low == interval.start && high == interval.end) return interval.depth;
        if (low < middle && high > middle) return interval.depth;
        interval = half_of(&interval, middle, high);
    }
}

/* One step down, towards level. Right of the middle the left half's increment is added to out, if it is given. */
static void descend(const struct brownian_tree *tree, struct interval *interval,
                    double level, float sign, float *out)
{
    const double middle = middle_of(interval);
    draw_left(tree, interval, middle);
    if (level <= middle) {
        memcpy(tree->current, tree->noise, sizeof *tree->current * tree->count);
    } else {
        for (size_t i = 0; i < tree->count; ++i)
            tree->current[i] -= tree->noise[i];
        for (size_t i = 0; out && i < tree->count; ++i)
            out[i] += sign * tree->noise[i];
    }
    *interval = half_of(interval, middle, level);
}

/* out += sign * (motion at level - motion at the start of the common interval, which is at this depth and has high). */
static void add_motion(const struct brownian_tree *tree, double level, double high,
                       uint32_t depth, float sign, float *out)
{
    struct interval interval = whole_of(tree);
    draw_whole(tree);
    while (interval.depth < depth)
        descend(tree, &interval, high, 0, NULL);
    while (level > interval.start && level < interval.end)
        descend(tree, &interval, level, sign, out);
    if (level <= interval.start) return;
    for (size_t i = 0; i < tree->count; ++i)
        out[i] += sign * tree->current[i];
}

void brownian_tree_increment(const struct brownian_tree *tree, double from, double to,
                             float *out)
{
    assert(tree->start > 0 && tree->start <= tree->end);
    const struct interval whole = whole_of(tree);
    const double a = rounded(fmin(fmax(from, tree->start), tree->end)),
                 b = rounded(fmin(fmax(to, tree->start), tree->end));
    const double low = fmax(fmin(a, b), whole.start),
                 high = fmin(fmax(a, b), whole.end);
    memset(out, 0, sizeof *out * tree->count);
    if (!(low < high)) return;
    const uint32_t depth = common_depth(tree, low, high);
    add_motion(tree, high, high, depth, 1, out);
    add_motion(tree, low, high, depth, -1, out);
    const float scale = (float)((from < to ? 1 : -1) / sqrt(fabs(to - from)));
    for (size_t i = 0; i < tree->count; ++i)
        out[i] *= scale;
}
