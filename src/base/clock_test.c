#include "base/clock.h"

#include <time.h>

#include "check.h"

static void never_goes_back(void)
{
    double before = clock_ms();
    for (int i = 0; i < 100000; ++i) {
        const double now = clock_ms();
        if (now < before) check_fail_at("%.6f after %.6f", now, before);
        before = now;
    }
}

/* A loaded machine may sleep longer, never shorter. */
static void measures_a_sleep(void)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    const double before_ms = clock_ms();
    (void)nanosleep(&nap, NULL);
    check_real(clock_ms() - before_ms, >=, 19.9);
    check_real(clock_ms() - before_ms, <, 60e3);
}

int main(void)
{
    check_run(never_goes_back);
    check_run(measures_a_sleep);
    return check_done();
}
