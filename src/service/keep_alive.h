/* keep_alive — how long a model stays after a job, as clients say it: seconds as a number, or text such as "5m", "90s",
 * "1h", "-1" (always) and "0" (not at all).
 *
 * Threads: any.
 */
#ifndef SERVICE_KEEP_ALIVE_H
#define SERVICE_KEEP_ALIVE_H

#include <stdint.h>

#include <darkroom/error.h>
#include <jansson.h>

/* The member of an object; *seconds stays where it is missing, null or "". Any negative number is KEEP_ALIVE_ALWAYS.
 * Errors: DR_BAD_INPUT (the name, and what it takes). */
enum dr_code keep_alive_read(const json_t *object, const char *name, int32_t *seconds,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
