/* cancel — has someone asked a long call to stop?
 *
 *     struct cancel engine = {0};                    stops whatever runs
 *     struct cancel job = {.above = &engine};        stops this job alone
 *     cancel_request(&engine)                        stops both
 *
 * A request is made by any thread, or by a signal handler, and stays until its owner withdraws it. Every
 * place that reads it does so through this module, so that a test can make the N-th read of any call
 * find a request (FAULT_CANCEL in fault.h).
 *
 * Code that finds a request stops and returns DR_CANCELLED. This error proves nothing about the data: a
 * cancelled check must not cause data to be classified, kept or removed. Any thread; cancel_request and
 * cancel_withdraw are async-signal-safe.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>

struct cancel {
    atomic_bool requested;
    const struct cancel *above; /* a request there counts here too; NULL: none */
};

/* cancel NULL: nobody can ask, and it is false. */
bool cancel_requested(const struct cancel *cancel);

void cancel_request(struct cancel *cancel);
/* What was requested above stays. */
void cancel_withdraw(struct cancel *cancel);

#endif
