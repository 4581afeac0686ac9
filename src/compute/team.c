#include "compute/team.h"

#include <omp.h>

#include "compute/compute.h"

void team_run(int64_t count, team_task *task, void *context)
{
    const int threads = compute_thread_count();
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t i = 0; i < count; ++i)
        task(context, i, omp_get_thread_num());
}
