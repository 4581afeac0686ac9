/* What ledger_check is for: each invariant broken on purpose must end the process. How the
 * ledger follows regions is in region_test.c. */
#include "mem/ledger.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "mem/region.h"

struct scene {
    struct ledger ledger;
    struct region regions[3];
    unsigned char
        bytes[3]; /* stand-ins for the regions' addresses: the ledger does not look */
};

static void set(struct scene *scene)
{
    *scene = (struct scene){.ledger = {.limit_bytes = 1 << 20}};
    for (size_t i = 0; i < 3; ++i) {
        scene->regions[i] =
            (struct region){.data = &scene->bytes[i],
                            .bytes = 4096 * (i + 1),
                            .tag = REGION_WEIGHTS,
                            .kind = i == 1 ? REGION_MAPPED : REGION_PRIVATE,
                            .component = "unet"};
        check_int(ledger_reserve(&scene->ledger, &scene->regions[i], NULL), ==, DR_OK);
    }
}

typedef void fault(struct scene *scene);

/* Break it in a child, and see how that ends. */
static int signal_of(fault *break_it)
{
    const pid_t child = fork();
    if (child == 0) {
        struct scene scene;
        set(&scene);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1); /* the assertion's own words */
        break_it(&scene);
        ledger_check(&scene.ledger);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void nothing(struct scene *scene)
{
    (void)scene;
}

#define BREAK(name, statement)            \
    static void name(struct scene *scene) \
    {                                     \
        statement;                        \
    }

BREAK(private_sum, scene->ledger.private_bytes += 4096)
BREAK(mapped_sum, scene->ledger.mapped_bytes -= 4096)
BREAK(tag_sum, scene->ledger.tag_bytes[REGION_IMAGE] = 1)
BREAK(count, ++scene->ledger.count)
BREAK(private_peak, scene->ledger.peak_private_bytes = 4096)
BREAK(mapped_peak, scene->ledger.peak_mapped_bytes = 0)
BREAK(tag_peak, scene->ledger.tag_peak_bytes[REGION_WEIGHTS] = 5)
BREAK(limit, scene->ledger.limit_bytes = 4 * 4096 - 1)
BREAK(opened, scene->ledger.opened_count = 2)
BREAK(last, scene->ledger.last = &scene->regions[1])
BREAK(loop, scene->regions[2].next = &scene->regions[0])
BREAK(backlink, scene->regions[1].previous = NULL)
BREAK(cut, scene->regions[0].next = NULL)
BREAK(stranger, scene->regions[1].ledger = NULL)
BREAK(closed, scene->regions[1].data = NULL)
BREAK(resized, scene->regions[2].bytes = 4096)
BREAK(retagged, scene->regions[2].tag = REGION_SCRATCH)
#undef BREAK

static void every_broken_invariant_is_caught(void)
{
    static fault *const faults[] = {private_sum,  mapped_sum,  tag_sum,  count,
                                    private_peak, mapped_peak, tag_peak, limit,
                                    opened,       last,        loop,     backlink,
                                    cut,          stranger,    closed,   resized,
                                    retagged};
    check_int(signal_of(nothing), ==, 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i)
        if (signal_of(faults[i]) != SIGABRT)
            check_fail_at("fault %zu was not caught", i);
}

static void sums_that_overflow_are_refused(void)
{
    struct ledger ledger = {0};
    struct region a = {.bytes = SIZE_MAX - 4095,
                       .kind = REGION_MAPPED,
                       .component = "unet"};
    struct region b = {.bytes = 4096, .kind = REGION_PRIVATE, .component = "unet"};
    struct dr_error err = {0};
    check_int(ledger_reserve(&ledger, &a, NULL), ==, DR_OK);
    const struct ledger before = ledger;
    check_int(ledger_reserve(&ledger, &b, &err), ==, DR_OVER_BUDGET);
    check(memcmp(&before, &ledger, sizeof before) == 0);
    b.kind = REGION_MAPPED;
    check_int(ledger_reserve(&ledger, &b, &err), ==, DR_OVER_BUDGET);
    ledger_refund(&ledger, &a);
    check_int(ledger.count, ==, 0);
}

static void *try_lock(void *lock)
{
    if (pthread_mutex_trylock(lock) != 0) return lock;
    (void)pthread_mutex_unlock(lock);
    return NULL;
}

static bool is_held_for_others(pthread_mutex_t *lock)
{
    pthread_t other;
    void *held = NULL;
    check_int(pthread_create(&other, NULL, try_lock, lock), ==, 0);
    check_int(pthread_join(other, &held), ==, 0);
    return held != NULL;
}

/* The lock is there for whoever gives one, and may be taken again by who has it. */
static void a_lock_is_the_owners(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutex_t lock;
    check_int(pthread_mutexattr_init(&recursive), ==, 0);
    check_int(pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE), ==, 0);
    check_int(pthread_mutex_init(&lock, &recursive), ==, 0);
    const struct ledger with = {.lock = &lock}, without = {0};
    ledger_lock(NULL);
    ledger_lock(&without);
    ledger_unlock(&without);
    ledger_unlock(NULL);
    ledger_lock(&with);
    ledger_lock(&with);
    ledger_unlock(&with);
    check(is_held_for_others(&lock));
    ledger_unlock(&with);
    check(!is_held_for_others(&lock));
    check_int(pthread_mutex_destroy(&lock), ==, 0);
    (void)pthread_mutexattr_destroy(&recursive);
}

int main(void)
{
    check_run(every_broken_invariant_is_caught);
    check_run(sums_that_overflow_are_refused);
    check_run(a_lock_is_the_owners);
    return check_done();
}
