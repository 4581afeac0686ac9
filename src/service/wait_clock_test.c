#include "service/wait_clock.h"

#include <errno.h>

#include <darkroom/darkroom.h>

#include "check.h"

static double ms_of(struct timespec time)
{
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static void a_time_is_so_far_from_now(void)
{
    for (double ms = 0; ms < 5000; ms += 333) {
        const double before = ms_of(wait_clock_after(-1));
        const struct timespec until = wait_clock_after(ms);
        check(until.tv_nsec >= 0 && until.tv_nsec < 1000000000);
        check_real(ms_of(until), >=, before + ms - 0.01);
        check_real(ms_of(until), <=, ms_of(wait_clock_after(0)) + ms + 0.01);
    }
}

/* By another clock the time would have passed long ago, or be years away. */
static void a_condition_waits_by_that_clock(void)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    wait_clock_init(&condition);
    pthread_mutex_lock(&lock);
    const double begin_ms = dr_clock_ms();
    const struct timespec until = wait_clock_after(20);
    int result;
    while ((result = pthread_cond_timedwait(&condition, &lock, &until)) == 0)
        continue;
    check_int(result, ==, ETIMEDOUT);
    check_real(dr_clock_ms() - begin_ms, >=, 19.9);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&condition);
}

int main(void)
{
    check_run(a_time_is_so_far_from_now);
    check_run(a_condition_waits_by_that_clock);
    return check_done();
}
