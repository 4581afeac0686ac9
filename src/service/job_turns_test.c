#include "service/job_turns.h"

#include <string.h>

#include "check.h"

/* Jobs by arrival from a text: "a1 a2 b1" are three jobs of two users. */
static int32_t jobs(const char *text, struct job_waiting *waiting)
{
    int32_t count = 0;
    for (const char *c = text; *c; c += c[2] ? 3 : 2, ++count) {
        waiting[count] = (struct job_waiting){.number = count};
        memcpy(waiting[count].id, c, 2);
        waiting[count].user[0] = *c;
    }
    return count;
}

/* The order in which all of them run. */
static const char *order(struct job_turns *turns, const char *text)
{
    static char run[256];
    struct job_waiting waiting[32];
    int32_t count = jobs(text, waiting);
    *run = '\0';
    while (count > 0) {
        const int32_t next = job_turns_next(turns, waiting, count);
        strcat(strcat(run, *run ? " " : ""), waiting[next].id);
        job_turns_serve(turns, waiting[next].user);
        memmove(waiting + next, waiting + next + 1,
                (size_t)(--count - next) * sizeof *waiting);
    }
    return run;
}

static void one_user_is_served_by_arrival(void)
{
    struct job_turns turns = {0};
    check_str(order(&turns, "a1 a2 a3"), "a1 a2 a3");
    check_int(job_turns_next(&turns, NULL, 0), ==, -1);
}

static void users_take_turns(void)
{
    struct job_turns turns = {0};
    check_str(order(&turns, "a1 a2 a3 b1 b2 c1"), "a1 b1 c1 a2 b2 a3");
}

/* Two busy users do not keep a third one out for ever. */
static void nobody_starves(void)
{
    struct job_turns turns = {0};
    job_turns_serve(&turns, "b");
    job_turns_serve(&turns, "a");
    check_str(order(&turns, "a1 a2 b1 b2 c1"), "c1 b1 a1 b2 a2");
}

static void the_order_is_that_of_running(void)
{
    static const char *const queues[] = {"", "a1", "a1 a2 a3 b1", "a1 a2 b1 b2 c1",
                                         "b1 a1 a2 c1 b2 b3 a3"};
    for (size_t i = 0; i < sizeof queues / sizeof *queues; ++i) {
        struct job_turns turns = {0};
        struct job_waiting waiting[32];
        char planned[256] = "";
        job_turns_serve(&turns, "a");
        const int32_t count = jobs(queues[i], waiting);
        job_turns_order(&turns, waiting, count);
        for (int32_t at = 0; at < count; ++at)
            strcat(strcat(planned, at ? " " : ""), waiting[at].id);
        check_str(planned, order(&turns, queues[i]));
    }
}

static void many_users_are_remembered_in_part(void)
{
    struct job_turns turns = {0};
    char user[64];
    for (int i = 0; i < 3 * JOB_TURNS_USERS; ++i) {
        snprintf(user, sizeof user, "user %d", i);
        job_turns_serve(&turns, user);
    }
    int known = 0;
    for (int i = 0; i < JOB_TURNS_USERS; ++i)
        known += strstr(turns.served[i].user, user) != NULL;
    check_int(known, ==, 1);
    check_int(turns.turn, ==, 3 * JOB_TURNS_USERS);
}

int main(void)
{
    check_run(one_user_is_served_by_arrival);
    check_run(users_take_turns);
    check_run(nobody_starves);
    check_run(the_order_is_that_of_running);
    check_run(many_users_are_remembered_in_part);
    return check_done();
}
