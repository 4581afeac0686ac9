/* Tasks by number, whichever thread takes them; and signals, which must wait for them. */
#include "compute/plan_fixture.h"

#include "compute/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

enum {
    TASKS = 100,
    /* A product for which oneDNN 2.6 takes the kernel in question. */
    ROWS = 64,
    INPUTS = 128,
    OUTPUTS = 512
};

static void count_task(void *context, int64_t task_idx, int lane)
{
    atomic_int *const runs = context;
    check_int(lane, >=, 0);
    check_int(lane, <, compute_thread_count());
    atomic_fetch_add(&runs[task_idx], 1);
}

static void runs_each_task_once(void)
{
    static atomic_int runs[TASKS];
    team_run(TASKS, count_task, runs);
    for (int i = 0; i < TASKS; ++i)
        check_int(runs[i], ==, 1);
    team_run(0, count_task, runs);
}

/* ---- lanes ------------------------------------------------------------------------------ */

struct lanes {
    atomic_int runs[TASKS], busy[64];
    atomic_int most, shared;
};

/* Two tasks at the same time on one lane would write to each other's scratch memory. */
static void use_lane(void *context, int64_t task_idx, int lane)
{
    struct lanes *const lanes = context;
    if (atomic_fetch_add(&lanes->busy[lane], 1) != 0) atomic_store(&lanes->shared, 1);
    int most = atomic_load(&lanes->most);
    while (lane > most && !atomic_compare_exchange_weak(&lanes->most, &most, lane))
        ;
    atomic_fetch_add(&lanes->runs[task_idx], 1);
    (void)usleep(50);
    atomic_fetch_sub(&lanes->busy[lane], 1);
}

/* With many more threads than cores, on few lanes and on all. */
static void keeps_to_its_lanes(void)
{
    struct dr_error err = {0};
    check_int(compute_init(64, &err), ==, DR_OK);
    for (int32_t count = 1; count <= 64; count *= 4) {
        static struct lanes lanes;
        memset(&lanes, 0, sizeof lanes);
        team_run_on(count, TASKS, use_lane, &lanes);
        for (int i = 0; i < TASKS; ++i)
            check_int(lanes.runs[i], ==, 1);
        check_int(lanes.most, <, count);
        check_int(lanes.shared, ==, 0);
    }
    check_int(compute_init(0, &err), ==, DR_OK);
}

static void lanes_are_worth_their_memory(void)
{
    const size_t mib = (size_t)1 << 20;
    struct dr_error err = {0};
    check_int(compute_init(64, &err), ==, DR_OK);
    check_int(team_lanes(1000, 1000), ==, 64);
    check_int(team_lanes(1000, 0), ==, 64);
    check_int(team_lanes(5, 1000), ==, 5); /* of tasks */
    check_int(team_lanes(0, 1000), ==, 1);
    check_int(team_lanes(1000, 2 * mib), ==, 32);
    check_int(team_lanes(1000, 20 * mib), ==, TEAM_FEWEST_LANES);
    check_int(compute_init(TEAM_FEWEST_LANES, &err), ==, DR_OK);
    check_int(team_lanes(1000, 900 * mib), ==, TEAM_FEWEST_LANES);
    check_int(compute_init(0, &err), ==, DR_OK);
}

/* ---- signals ---------------------------------------------------------------------------- */

static atomic_int taken, off_stack;
static char *stack_low, *stack_high;

static void on_signal(int number)
{
    const char *const here = __builtin_frame_address(0);
    (void)number;
    atomic_fetch_add(&taken, 1);
    if (here < stack_low || here >= stack_high) atomic_fetch_add(&off_stack, 1);
}

static void look_at_mask(void *context, int64_t task_idx, int lane)
{
    atomic_int *const open_masks = context;
    sigset_t mask;
    (void)task_idx;
    (void)lane;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (!sigismember(&mask, SIGALRM) || !sigismember(&mask, SIGINT))
        atomic_fetch_add(open_masks, 1);
    if (sigismember(&mask, SIGSEGV)) atomic_fetch_add(open_masks, 1);
}

static void no_task_takes_a_signal(void)
{
    sigset_t mask;
    atomic_int open_masks = 0;
    team_run(TASKS, look_at_mask, &open_masks);
    check_int(open_masks, ==, 0);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    check(!sigismember(&mask, SIGALRM)); /* as it was before */
}

static void find_stack(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t bytes = 0;
    check_int(pthread_getattr_np(pthread_self(), &attributes), ==, 0);
    check_int(pthread_attr_getstack(&attributes, &low, &bytes), ==, 0);
    (void)pthread_attr_destroy(&attributes);
    stack_low = low;
    stack_high = stack_low + bytes;
}

/* A storm of signals over matrix products: each must find a stack under it. Without the mask one
 * in seven finds the heap, on a processor with AVX2 alone. */
static void a_storm_finds_the_stack(void)
{
    const struct itimerval storm = {.it_interval = {.tv_usec = 300},
                                    .it_value = {.tv_usec = 300}};
    const struct itimerval calm = {{0}, {0}};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    struct fixture f;
    fixture_begin(&f, DTYPE_F32);
    const struct weight_shape shape = {WEIGHT_LINEAR, DTYPE_F32, OUTPUTS, INPUTS, 1, 1};
    const struct linear_options options = {.weight =
                                               fixture_weight(&f, shape, 0.1f, 0)};
    const struct value x =
        plan_input(f.plan, (struct shape){1, 1, ROWS, INPUTS}, DTYPE_F32);
    (void)plan_output(f.plan, plan_linear(f.plan, x, &options), DTYPE_F32);
    fixture_seal(&f);
    memset(fixture_data(f.plan, x), 0, (size_t)ROWS * INPUTS * sizeof(float));
    find_stack();
    check_int(sigaction(SIGALRM, &action, &old), ==, 0);
    check_int(setitimer(ITIMER_REAL, &storm, NULL), ==, 0);
    for (int i = 0; i < 100000 && atomic_load(&taken) < 500; ++i)
        fixture_run(&f);
    check_int(setitimer(ITIMER_REAL, &calm, NULL), ==, 0);
    check_int(sigaction(SIGALRM, &old, NULL), ==, 0);
    check_int(taken, >, 50);
    check_int(off_stack, ==, 0);
    fixture_end(&f);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(2, &err) != DR_OK) return 1;
    check_run(runs_each_task_once);
    check_run(keeps_to_its_lanes);
    check_run(lanes_are_worth_their_memory);
    check_run(no_task_takes_a_signal);
    check_run(a_storm_finds_the_stack);
    return check_done();
}
