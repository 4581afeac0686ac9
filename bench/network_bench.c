#include "network_bench.h"

#include <stdio.h>
#include <stdlib.h>

void fail(const char *text)
{
    fprintf(stderr, "%s: %s\n", bench_name, text);
    exit(1);
}

void must(enum dr_code code, const struct dr_error *err)
{
    if (code) fail(err->message);
}

clockid_t clock_used = CLOCK_MONOTONIC;

double now(void)
{
    struct timespec time;
    clock_gettime(clock_used, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void fill_noise(struct plan *plan, struct value value)
{
    if (value.id == 0) return;
    const struct shape shape = plan_shape(plan, value);
    const size_t count =
        (size_t)shape.n * (size_t)shape.h * (size_t)shape.w * (size_t)shape.c;
    uint32_t state = 12345;
    for (size_t i = 0; i < count; ++i) {
        state = state * 1664525u + 1013904223u;
        const float noise = (float)(state >> 8) / (float)(1 << 23) - 1.0F;
        plan_write(plan, value, i, 1, &noise);
    }
}
