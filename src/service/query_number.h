/* query_number — a whole number in the query of a request, such as the limit of a list.
 *
 * Threads: any.
 */
#ifndef SERVICE_QUERY_NUMBER_H
#define SERVICE_QUERY_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "service/http_reply.h"
#include "service/http_request.h"

struct query_range {
    int64_t fallback; /* where the parameter is missing or empty */
    int64_t least, most;
};

/* False, and the reply is an error of the own API that names the parameter, where it is no whole number of the range. */
bool query_number(const struct http_request *request, const char *name,
                  const struct query_range *range, int64_t *number,
                  struct http_reply *reply);

#endif
