/* start_settings — settings of libraries that are read before main, and only from the environment.
 *
 * glibc.malloc.tcache_count=0: each thread keeps up to seven freed blocks of each small size for
 * itself, and malloc_trim does not see them. Each can hold a page of the heap: over a thousand
 * switches they spread until 280 KB more were held than after the first hundred, though nothing was
 * in use. Without them what is freed is given back (engine/switch_slope_test.c).
 *
 * GOMP_SPINCOUNT: how often a waiting thread checks before it sleeps. OpenMP's default of
 * 300,000 takes milliseconds, during which it occupies a core that another program, or the thread that it waits
 * for, could use: beside six busy programs on two cores a picture took twelve times as long. A thousand
 * checks take about ten microseconds, as long as waking a thread, and cost almost nothing on a quiet machine
 * (docs/BENCHMARKS.md, "Beside busy programs"; docs/decisions/0007-waiting-threads.md).
 *
 * Values that the user set are not changed; for the second, OMP_WAIT_POLICY counts too.
 */
#ifndef CLI_START_SETTINGS_H
#define CLI_START_SETTINGS_H

#define START_SETTINGS_SPIN "1000"

/* If a setting is missing: set the missing ones, and execute the same program with the same arguments again,
 * once. Returns if nothing is missing, or if the system does not allow the program to be executed again. */
void start_settings_apply(char *const *words);

#endif
