#include "compute/plan_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "compute/team.h"

static void refuses_odd_thread_counts(void)
{
    struct dr_error err = {0};
    check_int(compute_init(-1, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "-1 threads");
    check_int(compute_init(100000, &err), ==, DR_BAD_INPUT);
}

static void takes_the_asked_thread_count(void)
{
    struct dr_error err = {0};
    check_int(compute_init(3, &err), ==, DR_OK);
    check_int(compute_thread_count(), ==, 3);
    check_has(compute_description(), "3 threads");
    check_int(compute_init(0, &err), ==, DR_OK);
    check_int(compute_thread_count(), >=, 1);
}

struct count {
    atomic_int runs[1000];
    atomic_int lanes_wrong;
};

static void count_task(void *context, int64_t task_idx, int lane)
{
    struct count *const count = context;
    atomic_fetch_add(&count->runs[task_idx], 1);
    if (lane < 0 || lane >= compute_thread_count())
        atomic_fetch_add(&count->lanes_wrong, 1);
}

static void runs_each_task_once(void)
{
    static struct count count;
    struct dr_error err = {0};
    for (int threads = 1; threads < 6; ++threads) {
        check_int(compute_init(threads, &err), ==, DR_OK);
        team_run(1000, count_task, &count);
        for (int i = 0; i < 1000; ++i)
            check_int(atomic_load(&count.runs[i]), ==, threads);
        check_int(atomic_load(&count.lanes_wrong), ==, 0);
    }
    team_run(0, count_task, &count);
}

static void *change_threads(void *cookie)
{
    atomic_bool *const is_done = cookie;
    struct dr_error err;
    const double end_ms = clock_ms() + 300.0;
    for (int i = 0; clock_ms() < end_ms; ++i)
        (void)!compute_init(i % 2 ? 2 : 16, &err);
    atomic_store(is_done, true);
    return NULL;
}

/* An engine that is opened says how many threads there are while others ask for it. */
static void facts_are_whole_while_they_change(void)
{
    atomic_bool is_done = false;
    pthread_t thread;
    int64_t looks = 0, torn = 0;
    struct dr_error err;
    check_int(compute_init(2, &err), ==, DR_OK);
    const size_t prefix = strlen(compute_platform());
    if (pthread_create(&thread, NULL, change_threads, &is_done) != 0) exit(1);
    for (; !atomic_load(&is_done); ++looks) {
        char text[96];
        const int count = compute_thread_count();
        (void)snprintf(text, sizeof text, "%s", compute_description());
        const char *const end = strlen(text) > prefix ? text + prefix : "";
        torn += (count != 2 && count != 16) ||
                (strcmp(end, ", 2 threads") != 0 && strcmp(end, ", 16 threads") != 0);
    }
    (void)pthread_join(thread, NULL);
    check_int(torn, ==, 0);
    check_int(looks, >, 0);
    check_int(compute_init(1, &err), ==, DR_OK);
}

int main(void)
{
    check_run(refuses_odd_thread_counts);
    check_run(takes_the_asked_thread_count);
    check_run(runs_each_task_once);
    check_run(facts_are_whole_while_they_change);
    return check_done();
}
