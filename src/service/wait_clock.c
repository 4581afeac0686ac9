#include "service/wait_clock.h"

#include <stdint.h>

enum {
    SECOND_NS = 1000000000
};

void wait_clock_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

struct timespec wait_clock_after(double ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t nanoseconds = until.tv_nsec + (int64_t)((ms > 0 ? ms : 0) * 1e6);
    until.tv_sec += (time_t)(nanoseconds / SECOND_NS);
    until.tv_nsec = (long)(nanoseconds % SECOND_NS);
    return until;
}
