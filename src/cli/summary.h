/* summary — what a job made, in a few lines for people.
 *
 *     star.png    seed 3
 *     star-2.png  seed 4
 *     8.2 s, VAE: the checkpoint's own
 *
 * With -q only the paths, one per line. The whole answer (receipt, times, planned and reached memory) is
 * listing's, with -v.
 */
#ifndef CLI_SUMMARY_H
#define CLI_SUMMARY_H

#include <stdbool.h>
#include <stdio.h>

#include "front/answer.h"

enum summary_detail {
    SUMMARY_PATHS,
    SUMMARY_FILES, /* and seeds: of a job that failed after these */
    SUMMARY_LINES
};

/* Is this the answer of a job that made files? */
bool summary_fits(const json_t *answer);

/* ms: how long the command took. Flushed. False where it could not be written completely. */
bool summary_print(const json_t *answer, double ms, enum summary_detail detail,
                   FILE *stream);

#endif
