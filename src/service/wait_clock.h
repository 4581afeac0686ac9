/* wait_clock — conditions that are waited for with a limit, by the clock that nobody sets (CLOCK_MONOTONIC).
 *
 *     const struct timespec until = wait_clock_after(500);
 *     while (!is_there && pthread_cond_timedwait(&condition, &lock, &until) != ETIMEDOUT) continue;
 *
 * Threads: any.
 */
#ifndef SERVICE_WAIT_CLOCK_H
#define SERVICE_WAIT_CLOCK_H

#include <pthread.h>
#include <time.h>

/* In the place of pthread_cond_init; ends with pthread_cond_destroy. */
void wait_clock_init(pthread_cond_t *condition);
/* So many milliseconds from now on, at least 0. */
struct timespec wait_clock_after(double ms);

#endif
