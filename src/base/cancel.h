/* cancel — has someone asked a long call to stop?
 *
 *     struct cancel engine = {0};                    stops whatever runs
 *     struct cancel job = {.above = &engine};        stops this job alone
 *     cancel_request(&engine)                        stops both
 *     cancel_insist(&job)                            stops also what a request lets end
 *
 * A part of a call that a request should let end, because what it saves would be lost, looks at a flag
 * that is below the call's and takes insistence alone:
 *
 *     struct cancel saving = {.above = &job, .heeds_insistence_alone = true};
 *
 * A request is made by any thread, or by a signal handler, and stays until its owner withdraws it. Every
 * place that reads it does so through this module, so that a test can make the N-th read of any call
 * find a request (FAULT_CANCEL in fault.h).
 *
 * Code that finds a request stops and returns DR_CANCELLED. This error proves nothing about the data: a
 * cancelled check must not cause data to be classified, kept or removed. Any thread; cancel_request,
 * cancel_insist and cancel_withdraw are async-signal-safe.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>

struct cancel {
    atomic_bool requested, insisted;
    const struct cancel *above;  /* a request there counts here too; NULL: none */
    bool heeds_insistence_alone; /* of what is above */
};

/* cancel NULL: nobody can ask, and it is false. */
bool cancel_requested(const struct cancel *cancel);

void cancel_request(struct cancel *cancel);
/* A request, and more: what it would let end stops too. */
void cancel_insist(struct cancel *cancel);
/* What was requested above stays. */
void cancel_withdraw(struct cancel *cancel);

#endif
