/* profile_table — the time of a job's layers, for people: a table for each network.
 *
 *     unet: 20 runs, 5.124 s
 *       layer                      count    GFLOP      ms  share  GFLOP/s  of library   touched
 *       conv 3x3 2x64x64 320->320      9   271.80  612.40  12.0%    443.8         81%  1.73 GiB
 *       ...
 *       31 more kinds and shapes          112     ...
 *       total                             402   ...
 *
 * The slowest layers come first, at most PROFILE_TABLE_ROWS for each network; the others are added up in one
 * row. "2x64x64 320->320" is the result's batch, height and width, and channels in and out. GFLOP,
 * ms and bytes are of all runs. Layers without multiplications have no rate.
 */
#ifndef CLI_PROFILE_TABLE_H
#define CLI_PROFILE_TABLE_H

#include <stdio.h>

#include <darkroom/darkroom.h>

enum {
    PROFILE_TABLE_ROWS = 20
};

void profile_table_print(const struct dr_profile *profile, FILE *stream);

#endif
