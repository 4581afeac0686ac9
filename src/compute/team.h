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

#include <stddef.h>
#include <stdint.h>

typedef void team_task(void *context, int64_t task_idx, int lane);

/* Run tasks 0..count-1; returns when all are done. Lanes are 0..compute_thread_count()-1, or fewer
 * if the system does not create that many threads. */
void team_run(int64_t count, team_task *task, void *context);

/* The same on at most this many lanes, 0..lanes-1: where each has scratch memory of its own. */
void team_run_on(int32_t lanes, int64_t count, team_task *task, void *context);

/* How many lanes are worth their memory: not more than there are tasks, and where there are many threads, not more
 * than TEAM_SCRATCH_BYTES hold (but always TEAM_FEWEST_LANES, so that up to so many threads lose nothing). */
#define TEAM_SCRATCH_BYTES ((size_t)64 << 20)
#define TEAM_FEWEST_LANES  8
int32_t team_lanes(int64_t tasks, size_t lane_bytes);

#endif
