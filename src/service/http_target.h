/* http_target — the path and the query of a request line, decoded.
 *
 * Percent escapes are decoded once. Text that is malformed, not UTF-8, or holds a NUL or another control character is
 * refused, since what it means depends on who reads it.
 */
#ifndef SERVICE_HTTP_TARGET_H
#define SERVICE_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "service/http_request.h"

/* Decodes a path into decoded [decoded_bytes], terminated. False: malformed, or too long; decoded is "" then. */
bool http_target_path(const char *target, char *decoded, size_t decoded_bytes);

/* Decodes the names and values of a query ("+" is a blank) into new text, which the fields point into then; what is malformed
 * is "". Returns the text, for free; NULL: no memory. */
char *http_target_decode_fields(struct http_field *fields, size_t count);

#endif
