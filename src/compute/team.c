#include "compute/team.h"

#include <omp.h>
#include <signal.h>

#include "compute/compute.h"
#include "mem/lost_page.h"

/* All but those that a fault raises in the thread itself: held back, they would end the process
 * without a word. */
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
    const int threads = compute_thread_count();
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
