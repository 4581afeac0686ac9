#include "base/clock.h"

#include <time.h>

double clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
