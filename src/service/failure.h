/* failure — fills a struct dr_error: every error of the service is made here.
 *
 * Threads: any.
 */
#ifndef SERVICE_FAILURE_H
#define SERVICE_FAILURE_H

#include <darkroom/error.h>

/* Sets code and message, cut where it is too long, and returns the code. err may be NULL. */
enum dr_code failure(struct dr_error *err, enum dr_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* There was no memory for what. */
enum dr_code failure_memory(struct dr_error *err, const char *what);

#endif
