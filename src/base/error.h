/* error — filling a struct dr_error. The codes are in darkroom/error.h.
 *
 *     if (bytes > limit)
 *         return error_set(err, DR_CORRUPT, "%s: header of %zu bytes, at most %zu", ...);
 *
 * error_set returns the code that it was given, so that a failure is one statement.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>

#include "darkroom/error.h"

/* Fill *err (may be NULL) with code and a printf message; returns code.
 * A message too long for the field is cut at a whole UTF-8 character. */
enum dr_code error_set(struct dr_error *err, enum dr_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for DR_IO and its like: appends ": " and the text of errno_value. */
enum dr_code error_set_errno(struct dr_error *err, enum dr_code code, int errno_value,
                             const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Put "prefix: " before the message that is already there. code stays. */
void error_prefix(struct dr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
