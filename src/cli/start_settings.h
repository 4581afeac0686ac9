/* start_settings — what the C library reads before main, and can be told in the environment alone.
 *
 * glibc.malloc.tcache_count=0: each thread keeps up to seven freed blocks of each small size for
 * itself, and malloc_trim does not see them. Each can hold a page of the heap: over a thousand
 * switches they spread until 280 KB more were held than after the first hundred, though nothing was
 * in use. Without them what is freed is given back (engine/switch_slope_test.c).
 *
 * What the user set stays as it is.
 */
#ifndef CLI_START_SETTINGS_H
#define CLI_START_SETTINGS_H

/* Where a setting is missing: set it and begin again as the same program with the same words, once.
 * Returns where nothing is missing, or where the system does not let a program begin again. */
void start_settings_apply(char *const *words);

#endif
