#include "compute/team.h"

#include <omp.h>
#include <signal.h>

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

void team_run(int64_t count, team_task *task, void *context)
{
    const int threads = size_team(compute_thread_count());
    sigset_t before;
    /* The threads that OpenMP makes here keep the mask that they are born with. */
    hold_signals(&before);
#pragma omp parallel num_threads(threads)
    {
        /* Weights may be a mapped file, and a file may lose a page. */
        lost_page_prepare_thread();
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < count; ++i)
            task(context, i, omp_get_thread_num());
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}
