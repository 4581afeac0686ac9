/* team — the threads of compute/: tasks with numbers, taken as threads become free.
 *
 * Which thread (lane) runs a task is not fixed; what a task computes may depend on its number
 * only, never on the lane, which names nothing but scratch memory. So results are the same
 * bytes from run to run, and one slow core delays its own task alone.
 *
 * Signals wait while tasks run. oneDNN's float32 matrix kernels for AVX2 keep a pointer into the
 * heap in the stack pointer's register, to have one register more; a signal handler that ran then
 * would have its frame written into the heap. So the calling thread holds signals back until the
 * tasks are done (milliseconds), and the other threads never take any.
 */
#ifndef COMPUTE_TEAM_H
#define COMPUTE_TEAM_H

#include <stdint.h>

typedef void team_task(void *context, int64_t task_idx, int lane);

/* Run tasks 0..count-1; returns when all are done. Lanes are 0..compute_thread_count()-1, or fewer
 * where the system does not make that many threads. */
void team_run(int64_t count, team_task *task, void *context);

#endif
