/* packs_text — what became of packs, in one line.
 *
 *     removed 6 packs (37.3 MiB), kept 5 (18.2 MiB), of which 3 are in use (12.4 MiB)
 *     all 11 packs were read, and they are good
 *
 * The same object that --json prints is read (front/pack_json.h).
 */
#ifndef CLI_PACKS_TEXT_H
#define CLI_PACKS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "front/answer.h"

/* Does the answer say what was removed? Then the line is all of it. */
bool packs_text_is_prune(const json_t *answer);

/* Does the answer say that packs were verified? Then their list follows. */
bool packs_text_is_verify(const json_t *answer);

/* The line of one of these. False where it could not be written. */
bool packs_text_print(const json_t *answer, FILE *stream);

#endif
