#include "service/memory_look.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"

enum {
    ASKER_COUNT = 64
};

static double now_ms, asking_ms;

static double clock_ms(void)
{
    return now_ms;
}

/* An engine: what it holds, and how often it was asked. */
struct source {
    struct memory_look look;
    _Atomic uint64_t held_bytes;
    _Atomic int asked_count;
    enum dr_code code;
    void (*while_asked)(struct source *source);
};

static enum dr_code ask(void *cookie, struct dr_memory *memory, struct dr_error *err)
{
    struct source *const source = cookie;
    (void)err;
    *memory = (struct dr_memory){.component_count = 1, .region_count = 2};
    if (source->code != DR_OK) return source->code;
    memory->components = calloc(1, sizeof *memory->components);
    memory->regions = calloc(2, sizeof *memory->regions);
    memory->ledger.private_bytes = atomic_load(&source->held_bytes);
    memory->components[0].private_bytes = memory->regions[1].bytes =
        memory->ledger.private_bytes;
    (void)atomic_fetch_add(&source->asked_count, 1);
    if (asking_ms > 0) now_ms += asking_ms;
    if (source->while_asked) source->while_asked(source);
    return DR_OK;
}

static void begin(struct source *source, uint64_t held_bytes)
{
    *source = (struct source){.held_bytes = held_bytes};
    memory_look_init(&source->look, ask, source, clock_ms);
    asking_ms = now_ms = 0;
}

static uint64_t look_at(struct source *source)
{
    struct dr_memory memory;
    uint64_t bytes = UINT64_MAX;
    if (memory_look(&source->look, &memory, NULL) == DR_OK) {
        bytes = memory.ledger.private_bytes;
        check_int(memory.components[0].private_bytes, ==, bytes);
        check_int(memory.regions[1].bytes, ==, bytes);
    }
    dr_memory_free(&memory);
    return bytes;
}

static uint64_t look_when(struct source *source, double ms)
{
    now_ms = ms;
    return look_at(source);
}

static void it_is_asked_again_after_its_time(void)
{
    struct source source;
    begin(&source, 5);
    check_int(look_when(&source, 1000), ==, 5);
    source.held_bytes = 6;
    check_int(look_when(&source, 1000 + MEMORY_LOOK_KEEP_MS - 1), ==, 5);
    check_int(source.asked_count, ==, 1);
    check_int(look_when(&source, 1000 + MEMORY_LOOK_KEEP_MS), ==, 6);
    check_int(source.asked_count, ==, 2);
    source.held_bytes = 7;
    check_int(look_when(&source, 0), ==, 7); /* the clock went back */
    memory_look_finish(&source.look);
}

/* Milliseconds that the asking takes, and how long its answer is kept. */
static void what_is_slow_to_ask_is_kept_longer(void)
{
    static const struct {
        double asking_ms, keep_ms;
    } cases[] = {
        {1,    250 },
        {2.5,  250 },
        {4,    400 },
        {9.5,  950 },
        {10,   1000},
        {60,   1000},
        {5000, 1000}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct source source;
        begin(&source, 5);
        asking_ms = cases[i].asking_ms;
        check_int(look_when(&source, 1000), ==, 5);
        source.held_bytes = 6;
        const double end_ms = now_ms + cases[i].keep_ms;
        check_int(look_when(&source, end_ms - 0.5), ==, 5);
        check_int(look_when(&source, end_ms), ==, 6);
        check_int(source.asked_count, ==, 2);
        memory_look_finish(&source.look);
    }
}

static void *ask_once(void *cookie)
{
    check_int(look_at(cookie), ==, 5);
    return NULL;
}

static void many_who_ask_share_one_answer(void)
{
    struct source source;
    pthread_t threads[ASKER_COUNT];
    begin(&source, 5);
    for (int i = 0; i < ASKER_COUNT; ++i)
        check_int(pthread_create(&threads[i], NULL, ask_once, &source), ==, 0);
    for (int i = 0; i < ASKER_COUNT; ++i)
        check_int(pthread_join(threads[i], NULL), ==, 0);
    check_int(source.asked_count, ==, 1);
    memory_look_finish(&source.look);
}

static void a_drop_is_obeyed_at_once(void)
{
    struct source source;
    begin(&source, 5);
    for (uint64_t held = 1; held < 100; ++held) {
        (void)look_at(&source);
        source.held_bytes = held;
        memory_look_drop(&source.look);
        check_int(look_at(&source), ==, held);
    }
    memory_look_finish(&source.look);
}

static void release(struct source *source)
{
    source->held_bytes = 0;
    memory_look_drop(&source->look);
}

/* What was read before a release must not be given to who asks after it. */
static void a_drop_while_it_is_asked_counts(void)
{
    struct source source;
    begin(&source, 5);
    source.while_asked = release;
    check_int(look_at(&source), ==, 5);
    source.while_asked = NULL;
    check_int(look_at(&source), ==, 0);
    check_int(source.asked_count, ==, 2);
    check_int(look_at(&source), ==, 0);
    check_int(source.asked_count, ==, 2);
    memory_look_finish(&source.look);
}

static void *change(void *cookie)
{
    struct source *const source = cookie;
    for (uint64_t held = 1; held <= 20000; ++held) {
        source->held_bytes = held;
        memory_look_drop(&source->look);
        check_int(look_at(source), ==, held);
    }
    return NULL;
}

/* One changes it and looks, while others ask all the time. */
static void what_was_changed_is_seen_among_many(void)
{
    struct source source;
    pthread_t thread;
    begin(&source, 0);
    check_int(pthread_create(&thread, NULL, change, &source), ==, 0);
    uint64_t before = 0;
    while (before < 20000) {
        const uint64_t seen = look_at(&source);
        if (seen < before) check_int(seen, >=, before);
        before = seen;
    }
    check_int(pthread_join(thread, NULL), ==, 0);
    memory_look_finish(&source.look);
}

static void an_error_is_not_kept(void)
{
    struct source source;
    struct dr_memory memory;
    begin(&source, 5);
    source.code = DR_NOMEM;
    check_int(memory_look(&source.look, &memory, NULL), ==, DR_NOMEM);
    check(!memory.components && !memory.regions);
    source.code = DR_OK;
    check_int(look_at(&source), ==, 5);
    source.code = DR_NOMEM; /* and what is kept goes on to be given */
    check_int(look_at(&source), ==, 5);
    memory_look_finish(&source.look);
}

int main(void)
{
    check_run(it_is_asked_again_after_its_time);
    check_run(what_is_slow_to_ask_is_kept_longer);
    check_run(many_who_ask_share_one_answer);
    check_run(a_drop_is_obeyed_at_once);
    check_run(a_drop_while_it_is_asked_counts);
    check_run(what_was_changed_is_seen_among_many);
    check_run(an_error_is_not_kept);
    return check_done();
}
