#include "service/job_turns.h"

#include <stdio.h>
#include <stdlib.h>
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

int32_t job_turns_position(const struct job_turns *turns,
                           const struct job_waiting *waiting, int32_t count,
                           const char *id)
{
    struct job_turns played = *turns;
    struct job_waiting *const left = malloc((size_t)(count ? count : 1) * sizeof *left);
    int32_t position = 0, left_count = count;
    if (!left) return 0;
    if (count) memcpy(left, waiting, (size_t)count * sizeof *left);
    while (left_count > 0) {
        const int32_t next = job_turns_next(&played, left, left_count);
        ++position;
        if (strcmp(left[next].id, id) == 0) break;
        job_turns_serve(&played, left[next].user);
        memmove(left + next, left + next + 1,
                (size_t)(left_count - next - 1) * sizeof *left);
        if (--left_count == 0) position = 0;
    }
    free(left);
    return position;
}
