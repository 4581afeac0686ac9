/* thread_stack — gives the pages back that a thread's stack has touched and does not use now.
 *
 *     low                                  frame of the caller              high
 *      |.......... touched once, free ........|=== frames in use ===|= pthread =|
 *      |<------------ given back ----------->|
 *
 * A thread that waits for its client for minutes would else hold what its deepest request took. Threads: any; for itself.
 */
#ifndef SERVICE_THREAD_STACK_H
#define SERVICE_THREAD_STACK_H

/* Of the calling thread, which was made with pthread_create. What the kernel refuses stays. */
void thread_stack_trim(void);

#endif
