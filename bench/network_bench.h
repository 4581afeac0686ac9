/* network_bench — what the benchmarks of whole networks share: their clock, their inputs, and how they fail. */
#ifndef BENCH_NETWORK_BENCH_H
#define BENCH_NETWORK_BENCH_H

#include <time.h>

#include "compute/plan.h"
#include "darkroom/error.h"

extern const char bench_name[]; /* the program's, which defines it */

/* Says it after the program's name, and ends the program. */
void fail(const char *text) __attribute__((noreturn));
void must(enum dr_code code, const struct dr_error *err); /* fail, unless DR_OK */

/* CLOCK_MONOTONIC until another is set: processor time is not lengthened by other programs on the machine. */
extern clockid_t clock_used;
double now(void); /* in seconds */

/* The same numbers from -1 to 1 each time. A value that the plan does not have is left alone. */
void fill_noise(struct plan *plan, struct value value);

#endif
