#include "compute/team.h"

#include <omp.h>
#include <signal.h>
#include <stdatomic.h>

#include "compute/compute.h"
#include "mem/headroom.h"
#include "mem/lost_page.h"

/* OpenMP creates its threads for a thread's first team, keeps them, and ends the process if it cannot create
 * one. So this is tried before, and fewer threads are requested if only fewer can be created. */
static _Thread_local int team_wanted, team_size;

static int size_team(int threads)
{
    if (team_wanted != threads) {
        team_size = 1 + headroom_threads(threads - 1);
        team_wanted = threads;
    }
    return team_size;
}

/* Block all signals except those that a fault in the thread itself raises: if these were blocked, the process
 * would end without a message. */
static void hold_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t held;
    (void)sigfillset(&held);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i)
        (void)sigdelset(&held, faults[i]);
    (void)pthread_sigmask(SIG_BLOCK, &held, before);
}

/* Threads that come when all lanes are taken have nothing to do; which thread has which lane is not fixed. */
struct shared {
    atomic_int_fast64_t next_task;
    atomic_int next_lane;
};

static void work(struct shared *shared, int32_t lanes, int64_t count, team_task *task,
                 void *context)
{
    const int lane = atomic_fetch_add(&shared->next_lane, 1);
    if (lane >= lanes) return;
    for (int64_t i; (i = atomic_fetch_add(&shared->next_task, 1)) < count;)
        task(context, i, lane);
}

void team_run_on(int32_t lanes, int64_t count, team_task *task, void *context)
{
    const int threads = size_team(compute_thread_count());
    struct shared shared = {0};
    sigset_t before;
    /* The threads that OpenMP makes here keep the mask that they are born with. */
    hold_signals(&before);
#pragma omp parallel num_threads(threads)
    {
        /* Weights may be a mapped file, and a file may lose a page. */
        lost_page_prepare_thread();
        work(&shared, lanes, count, task, context);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void team_run(int64_t count, team_task *task, void *context)
{
    team_run_on(compute_thread_count(), count, task, context);
}

int32_t team_lanes(int64_t tasks, size_t lane_bytes)
{
    int64_t most = compute_thread_count();
    const int64_t fitting =
        lane_bytes > 0 ? (int64_t)(TEAM_SCRATCH_BYTES / lane_bytes) : most;
    if (most > TEAM_FEWEST_LANES && most > fitting)
        most = fitting > TEAM_FEWEST_LANES ? fitting : TEAM_FEWEST_LANES;
    if (tasks < most) most = tasks;
    return most > 1 ? (int32_t)most : 1;
}
