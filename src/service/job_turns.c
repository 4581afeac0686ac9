#include "service/job_turns.h"

#include <stdio.h>
#include <string.h>

static uint64_t last_turn(const struct job_turns *turns, const char *user)
{
    for (int32_t i = 0; i < JOB_TURNS_USERS; ++i)
        if (turns->served[i].turn && strcmp(turns->served[i].user, user) == 0)
            return turns->served[i].turn;
    return 0;
}

int32_t job_turns_next(const struct job_turns *turns, const struct job_waiting *waiting,
                       int32_t count)
{
    int32_t next = -1;
    uint64_t least = 0;
    for (int32_t i = 0; i < count; ++i) {
        const uint64_t turn = last_turn(turns, waiting[i].user);
        if (next >= 0 && turn >= least) continue;
        next = i;
        least = turn;
    }
    return next;
}

void job_turns_serve(struct job_turns *turns, const char *user)
{
    int32_t place = 0;
    for (int32_t i = 0; i < JOB_TURNS_USERS; ++i) {
        if (turns->served[i].turn && strcmp(turns->served[i].user, user) == 0) {
            place = i;
            break;
        }
        if (turns->served[i].turn < turns->served[place].turn) place = i;
    }
    snprintf(turns->served[place].user, sizeof turns->served[place].user, "%s", user);
    turns->served[place].turn = ++turns->turn;
}

void job_turns_order(const struct job_turns *turns, struct job_waiting *waiting,
                     int32_t count)
{
    struct job_turns played = *turns;
    for (int32_t at = 0; at < count; ++at) {
        struct job_waiting *const left = waiting + at;
        const int32_t next = job_turns_next(&played, left, count - at);
        const struct job_waiting job = left[next];
        memmove(left + 1, left, (size_t)next * sizeof *left);
        left[0] = job;
        job_turns_serve(&played, job.user);
    }
}
