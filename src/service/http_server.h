/* http_server — sockets and libmicrohttpd: turns connections into requests for the gate and the handlers, and replies into
 * bytes. The only file that knows the HTTP library.
 *
 * A thread for each connection, with HTTP_SERVER_STACK_BYTES of stack and HTTP_SERVER_POOL_BYTES of buffers: what
 * connections can take is most_connections times both, a number of the memory plan. A client of another machine may have
 * half of the connections. Bodies together take at most body_memory_bytes.
 */
#ifndef SERVICE_HTTP_SERVER_H
#define SERVICE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/gate.h"

enum {
    HTTP_SERVER_STACK_BYTES = 256 * 1024,
    HTTP_SERVER_POOL_BYTES = 16 * 1024,
    HTTP_SERVER_LAST_MS = 2000
};

struct service;
struct http_server; /* opaque */
struct access_log;
struct metrics;

struct http_server_options {
    int socket; /* bound and listening; the server's */
    const struct gate_policy *policy;
    struct service *service;       /* what handlers get */
    struct access_log *access_log; /* NULL: none */
    struct metrics *metrics;       /* counts requests; NULL: nobody does */
    uint64_t body_memory_bytes;
    int32_t most_connections;
    int32_t
        most_waiting; /* connections of routes that wait (ROUTE_WAITS); more get 503 */
};
enum dr_code http_server_start(struct http_server **out,
                               const struct http_server_options *options,
                               struct dr_error *err) DR_MUST_CHECK;
/* How many clients are connected now. */
int32_t http_server_connection_count(const struct http_server *server);
/* No new connections; those that are there go on. */
void http_server_quiesce(struct http_server *server);
/* Gives answers that are on their way HTTP_SERVER_LAST_MS to leave, then ends all connections. */
void http_server_stop(struct http_server *server);

#endif
