/* start_settings — what libraries read before main, and can be told in the environment alone.
 *
 * glibc.malloc.tcache_count=0: each thread keeps up to seven freed blocks of each small size for
 * itself, and malloc_trim does not see them. Each can hold a page of the heap: over a thousand
 * switches they spread until 280 KB more were held than after the first hundred, though nothing was
 * in use. Without them what is freed is given back (engine/switch_slope_test.c).
 *
 * GOMP_SPINCOUNT: a thread that waits for the others looks that many times before it sleeps. OpenMP's
 * own 300,000 take milliseconds, in which it holds a core that another program, or the thread it waits
 * for, could have: beside six busy programs on two cores a picture took twelve times as long. A thousand
 * take some ten microseconds, about as long as waking a thread, and cost next to nothing on a quiet machine
 * (docs/BENCHMARKS.md, "Beside busy programs"; docs/decisions/0007-waiting-threads.md).
 *
 * What the user set stays as it is: for the second also OMP_WAIT_POLICY, which means the same.
 */
#ifndef CLI_START_SETTINGS_H
#define CLI_START_SETTINGS_H

#define START_SETTINGS_SPIN "1000"

/* Where a setting is missing: set all that are and begin again as the same program with the same
 * words, once. Returns where nothing is missing, or where the system does not let a program begin
 * again. */
void start_settings_apply(char *const *words);

#endif
