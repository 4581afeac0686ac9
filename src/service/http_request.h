/* http_request — a request as the handlers see it: nothing of the HTTP library, so that a test or a fuzzer can make one.
 *
 * All strings are borrowed: they live until the reply has been sent. Names of headers are compared without regard to case.
 * Threads: a request belongs to the thread of its connection.
 */
#ifndef SERVICE_HTTP_REQUEST_H
#define SERVICE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "service/json_body.h"
#include "service/multipart.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

/* A header, or a parameter of the query (then decoded). */
struct http_field {
    const char *name, *value;
};

enum {
    HTTP_REQUEST_SEGMENTS = 2 /* placeholders in a route's path */
};

struct http_request {
    enum http_method method;
    const char *version; /* "HTTP/1.1" */
    const char *target;  /* as sent, without the query */
    const char *
        path; /* the target with percent escapes decoded; "" where that is not possible or not UTF-8 */
    const struct http_field *headers;
    size_t header_count;
    const struct http_field *query;
    size_t query_count;
    const char *peer; /* the client's address without port: "127.0.0.1"; "unix" */
    const char *
        local; /* the address that it connected to, with port: "127.0.0.1:7860"; "unix" */

    /* Set by the gate. */
    const char *user; /* the name of its credentials; "" where none are asked for */
    const char
        *segments[HTTP_REQUEST_SEGMENTS]; /* what stands for {id} in the route's path */

    /* Set when the body has come; the route says which of them. */
    struct json_body json;
    struct multipart form;
    /* The SHA-256 of the body as it came, for retries that join a job. */
    unsigned char body_digest[32];

    /* Has the client closed its connection? For handlers that wait. NULL: it never does. */
    bool (*is_gone)(void *cookie);
    void *cookie;
};

/* The value of a header, or of a parameter of the query; NULL where there is none. Of several the first. */
const char *http_request_header(const struct http_request *request, const char *name);
const char *http_request_query(const struct http_request *request, const char *name);
/* How many headers of a name there are. */
size_t http_request_count(const struct http_request *request, const char *name);

#endif
