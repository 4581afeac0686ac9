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

enum {
    PAINTED_LINES =
        1
        << 18 /* of ARENA_ALIGN bytes: the largest arena of the random plans takes fewer */
};

static size_t line_count(const struct arena_item *item)
{
    return size_align(item->bytes, ARENA_ALIGN) / ARENA_ALIGN;
}

/* Paint each line of an arena with its owner, step by step: a model without cleverness.
 * True where every item has all its lines from its first step to its last. */
static bool survives_painting(const struct arena_item *items, size_t count,
                              size_t total)
{
    static uint16_t owner[PAINTED_LINES];
    const size_t lines = total / ARENA_ALIGN;
    check_int(lines, <=, PAINTED_LINES);
    if (lines > PAINTED_LINES) return false;
    memset(owner, 0, lines * sizeof *owner);
    for (int32_t step = 0; step < MOST_STEPS; ++step) {
        for (size_t i = 0; i < count; ++i) {
            const size_t first = items[i].offset / ARENA_ALIGN;
            if (items[i].bytes > 0 && first + line_count(&items[i]) > lines)
                return false;
            for (size_t line = 0; line < line_count(&items[i]); ++line)
                if (items[i].first == step) owner[first + line] = (uint16_t)(i + 1);
        }
        for (size_t i = 0; i < count; ++i) {
            if (items[i].first > step || step > items[i].last) continue;
            for (size_t line = 0; line < line_count(&items[i]); ++line)
                if (owner[items[i].offset / ARENA_ALIGN + line] != i + 1) return false;
        }
    }
    return true;
}

/* Does one item live while another does? */
static bool live_together(const struct arena_item *a, const struct arena_item *b)
{
    return a->bytes > 0 && b->bytes > 0 && a->first <= b->last && b->first <= a->last;
}

/* Move an item of a sound layout so that it shares one line with another that lives at the same
 * time. False where no two items do. */
static bool overlap_by_one_line(struct arena_item *items, size_t count, size_t total,
                                uint64_t *state)
{
    const size_t start = count ? below(state, count) : 0;
    for (size_t step = 0; step < count; ++step) {
        struct arena_item *const moved = &items[(start + step) % count];
        for (size_t i = 0; i < count; ++i) {
            const size_t end =
                items[i].offset + line_count(&items[i]) * ARENA_ALIGN - ARENA_ALIGN;
            if (&items[i] == moved || !live_together(&items[i], moved)) continue;
            if (end + line_count(moved) * ARENA_ALIGN > total) continue;
            moved->offset = end;
            return true;
        }
    }
    return false;
}

/* The control: what the painter must refuse. Returns how many such layouts there were: 0, 1. */
static int a_changed_layout_is_seen(const struct arena_item *items, size_t count,
                                    size_t total, uint64_t *state)
{
    static struct arena_item changed[MOST_ITEMS];
    memcpy(changed, items, count * sizeof *items);
    if (!overlap_by_one_line(changed, count, total, state)) return 0;
    check(!survives_painting(changed, count, total));
    return 1;
}

static void random_plans_are_sound_and_small(void)
{
    static struct arena_item items[MOST_ITEMS], again[MOST_ITEMS];
    static size_t scratch[MOST_ITEMS];
    const int cases = getenv("DARKROOM_TEST_LONG") ? 20000 : 200;
    const uint64_t seed = 42;
    double worst = 0, sum = 0;
    int counted = 0, wide = 0, changed_layouts = 0;
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

        changed_layouts += a_changed_layout_is_seen(items, count, total, &state);

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
    check_int(changed_layouts, >=, cases * 9 / 10);
    /* The most live bytes cannot always be reached, and a handful of awkward lives come to
     * 1.37 in 20,000 cases. */
    check_real(sum / counted, <=, 1.02);
    check_int(wide, <=, cases / 1000);
    check_real(worst, <=, 1.5);
}

/* Controls of the painter, each a layout that is wrong in one way. */
static void wrong_layouts_are_seen(void)
{
    /* From the last line of one to the first of the other, for one step. */
    struct arena_item pair[] = {
        {.bytes = 256, .first = 0, .last = 2, .offset = 0  },
        {.bytes = 256, .first = 2, .last = 2, .offset = 256}
    };
    check(survives_painting(pair, 2, 512));
    check(!survives_painting(pair, 2, 448)); /* beyond the end */
    pair[1].offset = 192;
    check(!survives_painting(pair, 2, 512));
    pair[0].last = 1; /* and where the first is gone they may share */
    check(survives_painting(pair, 2, 512));
    /* Both are born and die in the same step. */
    pair[0] = (struct arena_item){.bytes = 64, .first = 5, .last = 5, .offset = 64};
    pair[1] = (struct arena_item){.bytes = 128, .first = 5, .last = 5, .offset = 0};
    check(!survives_painting(pair, 2, 128));
    pair[1].offset = 128;
    check(survives_painting(pair, 2, 256));
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
    check_run(wrong_layouts_are_seen);
    check_run(a_chain_needs_two_buffers);
    check_run(touching_lives_do_not_share);
    check_run(empty_plans_and_items_take_no_room);
    check_run(refuses_sums_that_overflow);
    return check_done();
}
