/* A slot of the table is taken by its `state`; its range is written while no handler looks at it
 * (state TAKEN) and read by handlers only while it is WATCHED. A handler that meets a slot on its
 * way out reads a range that nobody faults in any more. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "mem/lost_page.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    WATCHES = 256,            /* two mappings for each of four slots, and 32 engines */
    SIGNAL_STACK = 64 * 1024, /* a frame with AVX-512 and AMX state is 11 KiB */
};

enum watch_state {
    FREE,
    TAKEN,
    WATCHED
};

static struct watch {
    atomic_int state;
    _Atomic uintptr_t start, end;
    atomic_int protection;
    atomic_bool lost;
} watches[WATCHES];

static pthread_once_t installed = PTHREAD_ONCE_INIT;
static struct sigaction before;
static uintptr_t page_mask;

static bool replace_page(uintptr_t address)
{
    for (int i = 0; i < WATCHES; ++i) {
        struct watch *const watch = &watches[i];
        if (atomic_load(&watch->state) != WATCHED) continue;
        if (address < atomic_load(&watch->start) || address >= atomic_load(&watch->end))
            continue;
        atomic_store(&watch->lost, true);
        void *const page =
            (void *)(address & page_mask); /* NOLINT(performance-no-int-to-ptr) */
        return mmap(page, ~page_mask + 1, atomic_load(&watch->protection),
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
    }
    return false;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    const int kept_errno = errno;
    /* One that another process sent has no address. */
    if (info->si_code > 0 && replace_page((uintptr_t)info->si_addr)) {
        errno = kept_errno;
        return;
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        /* The access is tried again, or the signal sent again, and ends the process as it would
         * have. */
        (void)sigaction(SIGBUS, &before, NULL);
        if (info->si_code <= 0) (void)raise(SIGBUS);
    }
    errno = kept_errno;
}

static void install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_sigbus;
    (void)sigemptyset(&action.sa_mask);
    page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    (void)sigaction(SIGBUS, &action, &before);
}

int lost_page_watch(const void *data, size_t bytes, int protection)
{
    (void)pthread_once(&installed, install);
    for (int i = 0; i < WATCHES; ++i) {
        struct watch *const watch = &watches[i];
        int expected = FREE;
        if (!atomic_compare_exchange_strong(&watch->state, &expected, TAKEN)) continue;
        atomic_store(&watch->start, (uintptr_t)data);
        atomic_store(&watch->end, (uintptr_t)data + bytes);
        atomic_store(&watch->protection, protection);
        atomic_store(&watch->lost, false);
        atomic_store(&watch->state, WATCHED);
        return i;
    }
    return LOST_PAGE_NO_WATCH;
}

void lost_page_unwatch(int watch)
{
    if (watch != LOST_PAGE_NO_WATCH) atomic_store(&watches[watch].state, FREE);
}

bool lost_page_happened(int watch)
{
    return watch != LOST_PAGE_NO_WATCH && atomic_load(&watches[watch].lost);
}

/* ---- signal stacks ------------------------------------------------------------------------ */

/* Mapped when a thread asks, and not a thread's own storage: that would be taken out of the stack of
 * every thread of the process. */
static pthread_key_t stack_key;
static pthread_once_t stack_key_made = PTHREAD_ONCE_INIT;
static bool has_stack_key;

static void close_stack(void *stack)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    (void)sigaltstack(&none, NULL);
    (void)munmap(stack, SIGNAL_STACK);
}

static void make_stack_key(void)
{
    has_stack_key = pthread_key_create(&stack_key, close_stack) == 0;
}

static void open_stack(void)
{
    stack_t current;
    (void)pthread_once(&stack_key_made, make_stack_key);
    if (!has_stack_key || sigaltstack(NULL, &current) ||
        !(current.ss_flags & SS_DISABLE))
        return;
    void *const memory = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
    const stack_t own = {.ss_sp = memory, .ss_size = SIGNAL_STACK};
    if (pthread_setspecific(stack_key, memory) == 0 && sigaltstack(&own, NULL) == 0)
        return;
    (void)pthread_setspecific(stack_key, NULL);
    (void)munmap(memory, SIGNAL_STACK);
}

void lost_page_prepare_thread(void)
{
    static _Thread_local bool is_prepared;
    if (is_prepared) return;
    open_stack();
    is_prepared = true;
}
