#include "mem/arena_plan.h"

#include <stdbool.h>

#include "base/size.h"
#include "check.h"

enum {
    MOST_ITEMS = 300,
    MOST_STEPS = 120
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static size_t below(uint64_t *state, size_t limit)
{
    return (size_t)(next_random(state) % limit);
}

/* Lives like a network's: most short, some long; sizes over four orders of magnitude. */
static size_t random_items(struct arena_item *items, uint64_t *state, int32_t steps)
{
    const size_t count = below(state, MOST_ITEMS + 1);
    for (size_t i = 0; i < count; ++i) {
        const size_t most = (size_t)1 << (4 + below(state, 16));
        const int32_t first = (int32_t)below(state, (size_t)steps);
        const size_t longest = below(state, 8) == 0 ? (size_t)(steps - first) : 6;
        int32_t last = first + (int32_t)below(state, longest);
        if (last >= steps) last = steps - 1;
        items[i] = (struct arena_item){.bytes = below(state, most + 1),
                                       .first = first,
                                       .last = last,
                                       .offset = SIZE_MAX};
    }
    return count;
}

/* The most bytes that live at one step: no layout can be smaller. */
static size_t most_live(const struct arena_item *items, size_t count)
{
    size_t most = 0;
    for (int32_t step = 0; step < MOST_STEPS; ++step) {
        size_t live = 0;
        for (size_t i = 0; i < count; ++i)
            if (items[i].first <= step && step <= items[i].last)
                live += size_align(items[i].bytes, ARENA_ALIGN);
        if (live > most) most = live;
    }
    return most;
}

/* Paint each byte of a small arena with its owner, step by step: a model without cleverness.
 * True when no live item ever loses a byte. */
static bool survives_painting(const struct arena_item *items, size_t count,
                              size_t total)
{
    static uint16_t owner[1 << 22 >> 6]; /* one entry a cache line */
    const size_t lines = total / ARENA_ALIGN;
    if (lines > sizeof owner / sizeof *owner) return true; /* too large for the model */
    memset(owner, 0, lines * sizeof *owner);
    for (int32_t step = 0; step < MOST_STEPS; ++step) {
        for (size_t i = 0; i < count; ++i) {
            const size_t first = items[i].offset / ARENA_ALIGN;
            const size_t end =
                first + size_align(items[i].bytes, ARENA_ALIGN) / ARENA_ALIGN;
            const uint16_t id = (uint16_t)(i + 1);
            for (size_t line = first; line < end; ++line) {
                if (items[i].first == step) owner[line] = id;
                if (items[i].first < step && step <= items[i].last && owner[line] != id)
                    return false;
            }
        }
        for (size_t i = 0; i < count;
             ++i) /* a later birth may not hit an earlier one */
            if (items[i].bytes > 0 && items[i].first == step &&
                owner[items[i].offset / ARENA_ALIGN] != i + 1)
                return false;
    }
    return true;
}

static void random_plans_are_sound_and_small(void)
{
    static struct arena_item items[MOST_ITEMS], again[MOST_ITEMS];
    static size_t scratch[MOST_ITEMS];
    const int cases = getenv("DARKROOM_TEST_LONG") ? 20000 : 200;
    const uint64_t seed = 42;
    double worst = 0, sum = 0;
    int counted = 0, wide = 0;
    for (int round = 0; round < cases; ++round) {
        uint64_t state = seed + (uint64_t)round * 1000003;
        const int32_t steps = (int32_t)below(&state, MOST_STEPS) + 1;
        const size_t count = random_items(items, &state, steps);
        memcpy(again, items, sizeof items);
        size_t total = 1, total_again = 2;
        check_int(arena_plan_place(items, count, scratch, &total, NULL), ==, DR_OK);
        arena_plan_check(items, count, total);
        if (!survives_painting(items, count, total))
            check_fail_at("seed %llu, case %d: bytes are lost",
                          (unsigned long long)seed, round);

        memset(scratch, 0xA5,
               sizeof scratch); /* what was there before does not matter */
        check_int(arena_plan_place(again, count, scratch, &total_again, NULL), ==,
                  DR_OK);
        check_int(total, ==, total_again);
        for (size_t i = 0; i < count; ++i)
            check_int(items[i].offset, ==, again[i].offset);

        const size_t floor_bytes = most_live(items, count);
        check_int(total, >=, floor_bytes);
        if (floor_bytes == 0) continue;
        const double ratio = (double)total / (double)floor_bytes;
        if (ratio > worst) worst = ratio;
        if (ratio > 1.3) ++wide;
        sum += ratio;
        ++counted;
    }
    fprintf(stderr,
            "seed %llu: %d plans, total over most live: mean %.4f, worst %.4f\n",
            (unsigned long long)seed, cases, sum / counted, worst);
    /* The most live bytes cannot always be reached, and a handful of awkward lives come to
     * 1.37 in 20,000 cases. */
    check_real(sum / counted, <=, 1.02);
    check_int(wide, <=, cases / 1000);
    check_real(worst, <=, 1.5);
}

/* A chain where each buffer feeds the next needs room for two. */
static void a_chain_needs_two_buffers(void)
{
    struct arena_item items[50];
    size_t scratch[50], total;
    for (int32_t i = 0; i < 50; ++i)
        items[i] = (struct arena_item){.bytes = 1000, .first = i, .last = i + 1};
    check_int(arena_plan_place(items, 50, scratch, &total, NULL), ==, DR_OK);
    check_int(total, ==, 2 * 1024);
}

static void touching_lives_do_not_share(void)
{
    struct arena_item items[] = {
        {.bytes = 64, .first = 0, .last = 3},
        {.bytes = 64, .first = 3, .last = 5},
        {.bytes = 64, .first = 4, .last = 4}
    };
    size_t scratch[3], total;
    check_int(arena_plan_place(items, 3, scratch, &total, NULL), ==, DR_OK);
    check_int(items[0].offset, ==, 0); /* equal sizes: in the order of their index */
    check_int(items[1].offset, ==, 64);
    check_int(items[2].offset, ==, 0);
    check_int(total, ==, 128);
}

static void empty_plans_and_items_take_no_room(void)
{
    struct arena_item items[] = {
        {.bytes = 0, .first = 0, .last = 9},
        {.bytes = 1, .first = 0, .last = 9},
        {.bytes = 0, .first = 2, .last = 2}
    };
    size_t scratch[3], total = 7;
    check_int(arena_plan_place(NULL, 0, NULL, &total, NULL), ==, DR_OK);
    check_int(total, ==, 0);
    check_int(arena_plan_place(items, 3, scratch, &total, NULL), ==, DR_OK);
    check_int(total, ==, 64);
    arena_plan_check(items, 3, total);
}

static void refuses_sums_that_overflow(void)
{
    struct arena_item items[] = {
        {.bytes = SIZE_MAX - 10, .first = 0, .last = 0},
        {.bytes = 5,             .first = 1, .last = 1}
    };
    size_t scratch[2], total = 7;
    struct dr_error err = {0};
    check_int(arena_plan_place(items, 2, scratch, &total, &err), ==, DR_OVER_BUDGET);
    check_has(err.message, "2 buffers");
    check_int(total, ==, 7);
    items[0].bytes = SIZE_MAX / 2;
    items[1].bytes = SIZE_MAX / 2;
    check_int(arena_plan_place(items, 2, scratch, &total, &err), ==, DR_OVER_BUDGET);
}

int main(void)
{
    check_run(random_plans_are_sound_and_small);
    check_run(a_chain_needs_two_buffers);
    check_run(touching_lives_do_not_share);
    check_run(empty_plans_and_items_take_no_room);
    check_run(refuses_sums_that_overflow);
    return check_done();
}
