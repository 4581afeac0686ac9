/* forecast_text — a job's forecast for people: first whether it fits, then what it needs and what there is, then the
 * budgets to give.
 *
 *     512x512: fits, with all components resident
 *       private memory  415.5 MiB  buffers, and weights without packs; 49.0 MiB of it are the process itself
 *       mapped weights   2.01 GiB  in packs; the kernel can drop them and read them again
 *       RAM for a step   1.93 GiB  private memory and the UNet's weights
 *       available        20.0 GiB  MemAvailable; the machine has 23.5 GiB
 *       budget           18.0 GiB  90 % of MemAvailable
 *     budgets
 *       --budget 416M  all components resident
 *       --budget 266M  all components resident, ..., 1.7 times the arithmetic
 *
 * The same object that --json prints is read (front/forecast_json.h); with -v all of it follows as a listing.
 */
#ifndef CLI_FORECAST_TEXT_H
#define CLI_FORECAST_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "front/answer.h"

/* Is the answer a forecast? */
bool forecast_text_fits(const json_t *answer);

/* Flushed. False where it could not be written whole. */
bool forecast_text_print(const json_t *answer, FILE *stream);

#endif
