/* job_turns — whose job runs next: a share for each user.
 *
 * Of the users with waiting jobs, the one whose last turn is the longest ago (never: first of all) is next, with the
 * oldest of their jobs. So one who queues many jobs delays the others by one job at most. With one user it is the order
 * of arrival. Only JOB_TURNS_USERS users are remembered; older ones count as new.
 * Threads: plain values, one thread at a time.
 */
#ifndef SERVICE_JOB_TURNS_H
#define SERVICE_JOB_TURNS_H

#include <stdint.h>

#include "service/job_store.h"

enum {
    JOB_TURNS_USERS = 64
};

struct job_turns {
    struct {
        char user[64];
        uint64_t turn; /* 0: this entry is free */
    } served[JOB_TURNS_USERS];
    uint64_t turn;
};

/* The index of the job that runs next, of those that wait, by arrival; -1 where none wait. */
int32_t job_turns_next(const struct job_turns *turns, const struct job_waiting *waiting,
                       int32_t count);
/* A job of this user runs now. */
void job_turns_serve(struct job_turns *turns, const char *user);
/* Puts those that wait, by arrival, into the order in which they run. */
void job_turns_order(const struct job_turns *turns, struct job_waiting *waiting,
                     int32_t count);

#endif
