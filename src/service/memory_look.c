#include "service/memory_look.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "service/failure.h"

void memory_look_init(struct memory_look *look, memory_look_ask *ask, void *cookie,
                      double (*clock_ms)(void))
{
    *look = (struct memory_look){.ask = ask, .cookie = cookie, .clock_ms = clock_ms};
    pthread_mutex_init(&look->lock, NULL);
}

void memory_look_finish(struct memory_look *look)
{
    dr_memory_free(&look->kept);
    pthread_mutex_destroy(&look->lock);
}

void memory_look_drop(struct memory_look *look)
{
    (void)atomic_fetch_add(&look->drop_count, 1);
}

static void *copy_of(const void *values, size_t bytes)
{
    void *const copy = malloc(bytes > 0 ? bytes : 1);
    if (copy && bytes > 0) memcpy(copy, values, bytes);
    return copy;
}

static enum dr_code copy_memory(const struct dr_memory *from, struct dr_memory *to,
                                struct dr_error *err)
{
    *to = *from;
    to->components = copy_of(from->components,
                             (size_t)from->component_count * sizeof *from->components);
    to->regions = copy_of(from->regions, from->region_count * sizeof *from->regions);
    if (to->components && to->regions) return DR_OK;
    dr_memory_free(to);
    return failure_memory(err, "the figures of memory");
}

/* Is what is kept of now? A clock that went back says no. */
static bool is_of_now(struct memory_look *look)
{
    const double now_ms = look->clock_ms();
    return look->is_kept && look->kept_count == atomic_load(&look->drop_count) &&
           now_ms >= look->kept_from_ms && now_ms < look->kept_until_ms;
}

static double keep_ms(double took_ms)
{
    const double ms = MEMORY_LOOK_SHARE * took_ms;
    if (ms < MEMORY_LOOK_KEEP_MS) return MEMORY_LOOK_KEEP_MS;
    return ms < MEMORY_LOOK_LONGEST_MS ? ms : MEMORY_LOOK_LONGEST_MS;
}

/* lock is held. The count is read first: what changes while the engine is asked may be missing in its answer. */
static enum dr_code ask_again(struct memory_look *look, struct dr_error *err)
{
    struct dr_memory memory;
    const uint64_t count = atomic_load(&look->drop_count);
    const double began_ms = look->clock_ms();
    const enum dr_code code = look->ask(look->cookie, &memory, err);
    if (code != DR_OK) return code;
    dr_memory_free(&look->kept);
    look->kept = memory;
    look->kept_count = count;
    look->kept_from_ms = look->clock_ms();
    look->kept_until_ms = look->kept_from_ms + keep_ms(look->kept_from_ms - began_ms);
    look->is_kept = true;
    return DR_OK;
}

enum dr_code memory_look(struct memory_look *look, struct dr_memory *memory,
                         struct dr_error *err)
{
    enum dr_code code = DR_OK;
    *memory = (struct dr_memory){0};
    pthread_mutex_lock(&look->lock);
    if (!is_of_now(look)) code = ask_again(look, err);
    if (code == DR_OK) code = copy_memory(&look->kept, memory, err);
    pthread_mutex_unlock(&look->lock);
    return code;
}
