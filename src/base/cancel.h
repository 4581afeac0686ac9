/* cancel — has the user asked a long call to stop?
 *
 * The flag is set by any thread, or by a signal handler, and stays set until the call is over. Every
 * place that looks at it asks here, so that a test can have the N-th look of any call find it set
 * (FAULT_CANCEL in fault.h).
 *
 * Whoever finds it set stops and returns DR_CANCELLED. That is a result of its own: work that was
 * left out says nothing about the data that it was about. Nothing is judged, kept or removed by it.
 * Any thread.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>

/* flag NULL: nobody can ask, and it is false. */
bool cancel_requested(const atomic_bool *flag);

#endif
