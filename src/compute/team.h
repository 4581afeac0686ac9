/* team — the worker threads of compute/. Tasks have numbers; each thread takes the next one when it is free.
 *
 * A worker is called a lane here. Which lane runs a task is not fixed. What a task computes may depend only on
 * its number; the lane only selects scratch memory. So results are the same bytes in each run, and a
 * slow core delays only its own task.
 *
 * Signals are blocked while tasks run. oneDNN's float32 matrix kernels for AVX2 use the stack pointer
 * register for a pointer into the heap; a signal handler that ran then would write its frame
 * into the heap. So the calling thread blocks signals until the tasks are done (milliseconds), and the
 * other threads block them always.
 */
#ifndef COMPUTE_TEAM_H
#define COMPUTE_TEAM_H

#include <stdint.h>

typedef void team_task(void *context, int64_t task_idx, int lane);

/* Run tasks 0..count-1; returns when all are done. Lanes are 0..compute_thread_count()-1, or fewer
 * if the system does not create that many threads. */
void team_run(int64_t count, team_task *task, void *context);

#endif
