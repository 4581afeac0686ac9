/* Memory is tried for by mapping it, which is what the limits are counted by, and never touched.
 *
 * Threads are tried for by making them. They run on stacks of this module's own, in one mapping, so
 * that glibc keeps none of them for later (it would be memory that nobody asked for); whether stacks of
 * the usual size would fit is asked apart. All wait for one lock, so that they are there at once.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, pthread_getattr_default_np */

#include "mem/headroom.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/size.h"
#include "mem/kernel_view.h"

/* Of a thread that takes a lock and leaves, with room for the frame of a signal. */
#define TRIAL_STACK_BYTES ((size_t)256 << 10)

static void *map(size_t bytes)
{
    void *const data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

static bool can_map(size_t bytes)
{
    void *const data = map(bytes);
    if (data) (void)munmap(data, bytes);
    return data != NULL;
}

static bool limit_of(int resource, size_t *bytes)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    *bytes = (size_t)limit.rlim_cur;
    return true;
}

bool headroom_describe(char text[static HEADROOM_TEXT_BYTES])
{
    static const char advice[] = "give a smaller budget or picture";
    char most[16], now[16];
    size_t bytes;
    const size_t mapped = kernel_mapped_read();
    (void)snprintf(now, sizeof now, "unknown");
    if (mapped != KERNEL_UNKNOWN) (void)size_format(mapped, now);
    if (limit_of(RLIMIT_AS, &bytes))
        (void)snprintf(text, HEADROOM_TEXT_BYTES,
                       "this process may map %s (ulimit -v) and has mapped %s; raise "
                       "this limit, or %s",
                       size_format(bytes, most), now, advice);
    else if (limit_of(RLIMIT_DATA, &bytes))
        (void)snprintf(
            text, HEADROOM_TEXT_BYTES,
            "this process may use %s of data (ulimit -d) and has mapped %s; raise "
            "this limit, or %s",
            size_format(bytes, most), now, advice);
    else
        (void)snprintf(text, HEADROOM_TEXT_BYTES,
                       "this process has mapped %s and has no limit; end other "
                       "programs, or %s",
                       now, advice);
    return limit_of(RLIMIT_AS, &bytes) || limit_of(RLIMIT_DATA, &bytes);
}

enum dr_code headroom_check(size_t bytes, const char *what, struct dr_error *err)
{
    char size[16], limit[HEADROOM_TEXT_BYTES];
    if (can_map(bytes)) return DR_OK;
    (void)headroom_describe(limit);
    return error_set(err, DR_NOMEM,
                     "there may not be enough memory for %s: the system refuses %s; %s",
                     what, size_format(bytes, size), limit);
}

/* How many stacks of the usual size, count at most, could be mapped beside each other. */
static int stacks_that_fit(int count)
{
    pthread_attr_t usual;
    size_t stack = 0, guard = 0, bytes;
    if (pthread_getattr_default_np(&usual) != 0) return count;
    (void)pthread_attr_getstacksize(&usual, &stack);
    (void)pthread_attr_getguardsize(&usual, &guard);
    (void)pthread_attr_destroy(&usual);
    while (count > 0 &&
           !(size_mul(stack + guard, (size_t)count, &bytes) && can_map(bytes)))
        --count;
    return count;
}

/* What a trial's mapping begins with; the stacks follow. */
struct trial {
    pthread_mutex_t gate;
    int count;
    pthread_t threads[];
};

static void *pass_gate(void *argument)
{
    struct trial *const trial = argument;
    (void)pthread_mutex_lock(&trial->gate);
    (void)pthread_mutex_unlock(&trial->gate);
    return NULL;
}

static bool start_one(struct trial *trial, unsigned char *stack)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    const bool is_started =
        pthread_attr_setstack(&attributes, stack, TRIAL_STACK_BYTES) == 0 &&
        pthread_create(&trial->threads[trial->count], &attributes, pass_gate, trial) ==
            0;
    (void)pthread_attr_destroy(&attributes);
    return is_started;
}

/* They take no signals: a handler could want more than their stacks. */
static int start_all(struct trial *trial, unsigned char *stacks, int count)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_mutex_init(&trial->gate, NULL);
    (void)pthread_mutex_lock(&trial->gate);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    for (trial->count = 0; trial->count < count; ++trial->count)
        if (!start_one(trial, stacks + (size_t)trial->count * TRIAL_STACK_BYTES)) break;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_mutex_unlock(&trial->gate);
    for (int i = 0; i < trial->count; ++i)
        (void)pthread_join(trial->threads[i], NULL);
    (void)pthread_mutex_destroy(&trial->gate);
    return trial->count;
}

int headroom_threads(int count)
{
    count = stacks_that_fit(count);
    if (count <= 0) return 0;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t head =
        size_align(sizeof(struct trial) + (size_t)count * sizeof(pthread_t), page);
    const size_t bytes = head + (size_t)count * TRIAL_STACK_BYTES;
    unsigned char *const data = map(bytes);
    if (!data) return 0;
    void *const trial = data;
    count = start_all(trial, data + head, count);
    (void)munmap(data, bytes);
    return count;
}
