/* gate — the one place where a request is let in or refused, before its body is read.
 *
 * A pure function of the request's head and the policy: no socket, no clock but the one that is passed. The order is
 * that of the checks below, and the first that fails answers:
 *
 *     1 head: sizes, duplicate Host or Content-Length, Content-Length with Transfer-Encoding, unknown encodings   400, 431, 414
 *     2 Host: a loopback name, the address that was connected to, or one of --allowed-host                        400, 403
 *     3 Origin, Sec-Fetch-Site: absent, our own, or one of --cors-origin; "null" is foreign                       403
 *     4 credentials, for every route but the public ones, also for paths that do not exist                        401
 *     5 path and method: 404, 405 with Allow; OPTIONS answers here                                                204, 404, 405
 *     6 body: its type and its stated length                                                                      413, 415
 */
#ifndef SERVICE_GATE_H
#define SERVICE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/credentials.h"
#include "service/http_reply.h"
#include "service/http_request.h"
#include "service/route.h"

enum {
    GATE_SEGMENT_BYTES = 512
};

struct gate_policy {
    const char *const
        *allowed_hosts; /* names or name:port; NULL-terminated; NULL: none */
    const char *const *cors_origins;       /* exact; NULL-terminated; NULL: none */
    const struct credentials *credentials; /* NULL: none are asked for */
    uint64_t most_body_bytes;
};

struct gate_verdict {
    const struct route *route; /* NULL: refused, or answered here: send the reply */
    char user[CREDENTIALS_NAME_BYTES];
    char room[GATE_SEGMENT_BYTES];
    const char *segments[HTTP_REQUEST_SEGMENTS];
    /* The Origin to allow, for Access-Control-Allow-Origin; NULL: none. Borrowed from the policy. */
    const char *cors_origin;
};

/* Judges a request by its head. reply is filled where verdict->route is NULL. now_ms: of a monotonic clock, for the
 * rate of failed logins. */
void gate_judge(const struct gate_policy *policy, const struct http_request *request,
                double now_ms, struct gate_verdict *verdict, struct http_reply *reply);

/* The shape of errors for a path, known or not: by its beginning. */
enum api_shape gate_shape(const char *path);

#endif
