/* team — the threads of compute/: tasks with numbers, taken as threads become free.
 *
 * Which thread (lane) runs a task is not fixed; what a task computes may depend on its number
 * only, never on the lane, which names nothing but scratch memory. So results are the same
 * bytes from run to run, and one slow core delays its own task alone.
 */
#ifndef COMPUTE_TEAM_H
#define COMPUTE_TEAM_H

#include <stdint.h>

typedef void team_task(void *context, int64_t task_idx, int lane);

/* Run tasks 0..count-1; returns when all are done. Lanes are 0..compute_thread_count()-1. */
void team_run(int64_t count, team_task *task, void *context);

#endif
