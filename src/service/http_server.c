#define _GNU_SOURCE /* POLLRDHUP */

#include "service/http_server.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <darkroom/darkroom.h>
#include <microhttpd.h>

#include "service/access_log.h"
#include "service/connection_table.h"
#include "service/failure.h"
#include "service/http_target.h"
#include "service/metrics.h"
#include "service/reply_headers.h"
#include "service/request_body.h"
#include "service/socket_address.h"
#include "service/thread_stack.h"

enum {
    STREAM_BLOCK_BYTES = 64 * 1024, /* an event of a stream, at most */
    SKIPPED_BYTES = 64 * 1024       /* of the body of a request that is refused */
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    struct connection_table *connections;
    struct body_room room;
    _Atomic int32_t waiting_count; /* requests of ROUTE_WAITS */
};

/* A request, from its head to the end of its reply. */
struct exchange {
    struct http_server *server;
    struct connection *connection;
    struct http_request request;
    struct gate_verdict verdict;
    struct request_body body;
    char *path; /* the target, decoded */
    char peer[SOCKET_ADDRESS_BYTES], local[SOCKET_ADDRESS_BYTES];
    struct http_field *headers, *query;
    char *query_text; /* the query's names and values, decoded */
    int socket;
    double start_ms;
    bool is_waiting; /* counted in waiting_count */
    bool is_refused; /* by the gate: `refusal` is sent when the body has come */
    struct http_reply refusal;
    bool is_answered;
    int status;
    uint64_t reply_bytes;
    /* Of a reply that is a stream: the library lets go of its response after the exchange, so it is closed with that. */
    struct http_reply stream;
};

/* ---- the request's head -------------------------------------------------------------------- */

static enum http_method method_of(const char *name)
{
    static const char *const names[] = {"GET", "HEAD",   "POST",
                                        "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(names[i], name) == 0) return (enum http_method)i;
    return HTTP_OTHER;
}

struct field_list {
    struct http_field *fields;
    size_t count, capacity;
};

static enum MHD_Result take_field(void *cookie, enum MHD_ValueKind kind,
                                  const char *name, const char *value)
{
    struct field_list *const list = cookie;
    (void)kind;
    if (list->count == list->capacity) return MHD_NO;
    list->fields[list->count++] = (struct http_field){name, value ? value : ""};
    return MHD_YES;
}

/* The headers, or the query's parameters, as the library keeps them. NULL: no memory. */
static struct http_field *read_fields(struct MHD_Connection *connection,
                                      enum MHD_ValueKind kind, size_t *count)
{
    const int found = MHD_get_connection_values(connection, kind, NULL, NULL);
    struct field_list list = {.capacity = found > 0 ? (size_t)found : 0};
    list.fields = calloc(list.capacity + 1, sizeof *list.fields);
    if (!list.fields) return NULL;
    (void)MHD_get_connection_values(connection, kind, take_field, &list);
    *count = list.count;
    return list.fields;
}

/* Has the client closed its side? */
static bool is_gone(void *cookie)
{
    const struct exchange *const exchange = cookie;
    struct pollfd file = {.fd = exchange->socket, .events = POLLRDHUP};
    return poll(&file, 1, 0) > 0 &&
           (file.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static bool read_head(struct exchange *exchange, struct MHD_Connection *connection,
                      const char *target, const char *method, const char *version)
{
    struct http_request *const request = &exchange->request;
    socket_address_ends(exchange->socket, exchange->peer, exchange->local);
    exchange->path = malloc(strlen(target) + 1);
    if (!exchange->path) return false;
    (void)http_target_path(target, exchange->path, strlen(target) + 1);
    *request = (struct http_request){.method = method_of(method),
                                     .version = version,
                                     .target = target,
                                     .path = exchange->path,
                                     .peer = exchange->peer,
                                     .local = exchange->local,
                                     .user = exchange->verdict.user,
                                     .is_gone = is_gone,
                                     .cookie = exchange};
    exchange->headers =
        read_fields(connection, MHD_HEADER_KIND, &request->header_count);
    exchange->query =
        read_fields(connection, MHD_GET_ARGUMENT_KIND, &request->query_count);
    if (!exchange->headers || !exchange->query) return false;
    exchange->query_text =
        http_target_decode_fields(exchange->query, request->query_count);
    if (!exchange->query_text) return false;
    request->headers = exchange->headers;
    request->query = exchange->query;
    return true;
}

/* ---- replies ------------------------------------------------------------------------------- */

static ssize_t read_stream(void *cookie, uint64_t position, char *bytes,
                           size_t capacity)
{
    struct exchange *const exchange = cookie;
    struct connection_table *const table = exchange->server->connections;
    (void)position;
    connection_table_enter(table, exchange->connection, CONNECTION_HANDLER, 0,
                           dr_clock_ms());
    const size_t count =
        exchange->stream.read(exchange->stream.cookie, bytes, capacity);
    exchange->reply_bytes += count;
    connection_table_enter(table, exchange->connection, CONNECTION_REPLY, count,
                           dr_clock_ms());
    if (count > 0) return (ssize_t)count;
    return exchange->reply_bytes < exchange->stream.byte_count
               ? MHD_CONTENT_READER_END_WITH_ERROR
               : MHD_CONTENT_READER_END_OF_STREAM;
}

/* Takes the reply's body: what is left of it has nothing to free. */
static struct MHD_Response *make_response(struct exchange *exchange,
                                          struct http_reply *reply)
{
    struct MHD_Response *response = NULL;
    switch (reply->kind) {
    case HTTP_BODY_BYTES:
        response =
            reply->is_static || !reply->bytes
                ? MHD_create_response_from_buffer(reply->byte_count, reply->bytes,
                                                  MHD_RESPMEM_PERSISTENT)
                : MHD_create_response_from_buffer_with_free_callback(reply->byte_count,
                                                                     reply->bytes,
                                                                     free);
        break;
    case HTTP_BODY_FILE:
        response = MHD_create_response_from_fd(reply->byte_count, reply->file);
        break;
    case HTTP_BODY_STREAM:
        response = MHD_create_response_from_callback(
            reply->byte_count ? reply->byte_count : MHD_SIZE_UNKNOWN,
            STREAM_BLOCK_BYTES, read_stream, exchange, NULL);
        break;
    }
    if (!response) return NULL;
    if (reply->kind == HTTP_BODY_STREAM) exchange->stream = *reply;
    reply->bytes = NULL;
    reply->file = -1;
    reply->kind = HTTP_BODY_BYTES;
    return response;
}

static void add_header(void *cookie, const char *name, const char *value)
{
    (void)MHD_add_response_header(cookie, name, value);
}

/* Sends a reply and finishes it. */
static enum MHD_Result send_reply(struct exchange *exchange,
                                  struct MHD_Connection *connection,
                                  struct http_reply *reply)
{
    const bool is_stream = reply->kind == HTTP_BODY_STREAM;
    const uint64_t bytes = is_stream ? 0 : reply->byte_count;
    struct http_reply head = *reply; /* for its headers: the body is taken */
    struct MHD_Response *const response = make_response(exchange, reply);
    http_reply_finish(reply);
    if (!response) return MHD_NO;
    reply_headers_each(&head, exchange->verdict.cors_origin,
                       exchange->server->options.policy->cors_origins != NULL,
                       add_header, response);
    exchange->is_answered = true;
    exchange->status = head.status;
    exchange->reply_bytes = bytes;
    connection_table_enter(exchange->server->connections, exchange->connection,
                           CONNECTION_REPLY, bytes, dr_clock_ms());
    const enum MHD_Result result =
        MHD_queue_response(connection, (unsigned)head.status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the body, and the handler ------------------------------------------------------------- */

static bool parse_body(struct exchange *exchange, struct http_reply *reply)
{
    struct http_request *const request = &exchange->request;
    struct request_body *const body = &exchange->body;
    const struct route *const route = exchange->verdict.route;
    struct dr_error err = {.code = DR_OK};
    enum dr_code code = DR_OK;
    request_body_digest(body, request->body_digest);
    switch (route->body) {
    case ROUTE_BODY_NONE: break;
    case ROUTE_BODY_JSON:
        code = json_body_parse(&request->json, body->bytes, body->count, &err);
        break;
    case ROUTE_BODY_FORM: {
        const char *const type = http_request_header(request, "Content-Type");
        code = multipart_parse(&request->form, type ? type : "", body->bytes,
                               body->count, &err);
        break;
    }
    }
    if (code != DR_OK) http_reply_failure(reply, route->shape, &err);
    return code == DR_OK;
}

/* Connections beyond those that may wait stay free for requests that are answered at once. */
static bool may_wait(struct exchange *exchange, struct http_reply *reply)
{
    struct http_server *const server = exchange->server;
    if (!(exchange->verdict.route->flags & ROUTE_WAITS)) return true;
    exchange->is_waiting = true;
    if (atomic_fetch_add(&server->waiting_count, 1) < server->options.most_waiting)
        return true;
    http_reply_error(reply, exchange->verdict.route->shape, 503, NULL,
                     "%d requests wait for jobs or events, which is the limit (a part "
                     "of --max-connections)",
                     server->options.most_waiting);
    return false;
}

static enum MHD_Result answer(struct exchange *exchange,
                              struct MHD_Connection *connection)
{
    struct http_reply reply;
    if (exchange->is_refused)
        return send_reply(exchange, connection, &exchange->refusal);
    http_reply_init(&reply);
    connection_table_enter(exchange->server->connections, exchange->connection,
                           CONNECTION_HANDLER, 0, dr_clock_ms());
    if (parse_body(exchange, &reply) && may_wait(exchange, &reply))
        exchange->verdict.route->handle(exchange->server->options.service,
                                        &exchange->request, &reply);
    return send_reply(exchange, connection, &reply);
}

/* The library takes a reply before the body or after it. One that ends a body half way is written past it, and the
 * connection is closed. */
static enum MHD_Result refuse_rest(struct exchange *exchange, struct http_reply *reply)
{
    char head[2048];
    reply->closes = true;
    const size_t count =
        reply_headers_text(reply, exchange->verdict.cors_origin, head, sizeof head);
    if (send(exchange->socket, head, count, MSG_NOSIGNAL) > 0 && reply->byte_count > 0)
        (void)!send(exchange->socket, reply->bytes, reply->byte_count, MSG_NOSIGNAL);
    exchange->is_answered = true;
    exchange->status = reply->status;
    exchange->reply_bytes = reply->byte_count;
    http_reply_finish(reply);
    return MHD_NO;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *bytes,
                                 size_t *count)
{
    struct http_reply reply;
    struct request_body *const body = &exchange->body;
    connection_table_progress(exchange->server->connections, exchange->connection,
                              *count);
    const enum body_status status =
        exchange->is_refused ? BODY_TAKEN : request_body_add(body, bytes, *count);
    *count = 0;
    if (status == BODY_TAKEN) return MHD_YES;
    const enum api_shape shape = exchange->verdict.route->shape;
    http_reply_init(&reply);
    if (status == BODY_TOO_LARGE)
        http_reply_error(&reply, shape, 413, NULL,
                         "the body has more than %llu bytes (--max-body)",
                         (unsigned long long)body->most_bytes);
    else
        http_reply_error(&reply, shape, 503, NULL,
                         "the bodies of other requests take the memory that there is "
                         "for them, %llu bytes (--body-memory)",
                         (unsigned long long)body->room->most_bytes);
    return refuse_rest(exchange, &reply);
}

/* ---- the library's callbacks --------------------------------------------------------------- */

/* The library closes the connection after a reply that comes before the body's end. A refusal waits for a short body
 * instead, so that a client that errs can go on with its connection. */
static bool is_soon_over(const struct http_request *request,
                         const struct http_reply *reply)
{
    const char *const length = http_request_header(request, "Content-Length");
    return !reply->closes && !http_request_header(request, "Transfer-Encoding") &&
           !http_request_header(request, "Expect") &&
           (!length || strtoull(length, NULL, 10) <= SKIPPED_BYTES);
}

static enum MHD_Result begin(struct exchange *exchange,
                             struct MHD_Connection *connection, const char *target,
                             const char *method, const char *version)
{
    struct http_reply reply;
    struct http_server *const server = exchange->server;
    if (!read_head(exchange, connection, target, method, version)) return MHD_NO;
    http_reply_init(&reply);
    gate_judge(server->options.policy, &exchange->request, exchange->start_ms,
               &exchange->verdict, &reply);
    memcpy(exchange->request.segments, exchange->verdict.segments,
           sizeof exchange->request.segments);
    if (!exchange->verdict.route && !is_soon_over(&exchange->request, &reply))
        return send_reply(exchange, connection, &reply);
    exchange->is_refused = exchange->verdict.route == NULL;
    exchange->refusal = reply;
    request_body_init(&exchange->body, &server->room,
                      server->options.policy->most_body_bytes);
    connection_table_enter(server->connections, exchange->connection, CONNECTION_BODY,
                           0, exchange->start_ms);
    return MHD_YES;
}

static enum MHD_Result handle(void *cookie, struct MHD_Connection *connection,
                              const char *target, const char *method,
                              const char *version, const char *bytes, size_t *count,
                              void **kept)
{
    struct exchange *exchange = *kept;
    if (exchange && *count > 0) return take_body(exchange, bytes, count);
    if (exchange) return exchange->is_answered ? MHD_YES : answer(exchange, connection);
    const union MHD_ConnectionInfo *const socket =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *const entry =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    exchange = calloc(1, sizeof *exchange);
    if (!exchange || !socket) {
        free(exchange);
        return MHD_NO;
    }
    http_reply_init(&exchange->refusal);
    http_reply_init(&exchange->stream);
    exchange->server = cookie;
    exchange->connection = entry ? entry->socket_context : NULL;
    exchange->socket = socket->connect_fd;
    exchange->start_ms = dr_clock_ms();
    *kept = exchange;
    return begin(exchange, connection, target, method, version);
}

static void note_answer(const struct exchange *exchange)
{
    const struct access_entry entry = {
        .peer = exchange->peer,
        .method = exchange->request.method,
        .route = exchange->verdict.route ? exchange->verdict.route->path : NULL,
        .status = exchange->is_answered ? exchange->status : 0,
        .bytes = exchange->reply_bytes,
        .seconds = (dr_clock_ms() - exchange->start_ms) / 1e3};
    access_log_add(exchange->server->options.access_log, &entry);
    metrics_add_request(exchange->server->options.metrics, entry.route, entry.status);
}

static void complete(void *cookie, struct MHD_Connection *connection, void **kept,
                     enum MHD_RequestTerminationCode why)
{
    struct http_server *const server = cookie;
    struct exchange *const exchange = *kept;
    (void)connection;
    (void)why;
    *kept = NULL;
    if (!exchange) return;
    note_answer(exchange);
    if (exchange->is_waiting) (void)atomic_fetch_sub(&server->waiting_count, 1);
    connection_table_enter(server->connections, exchange->connection, CONNECTION_HEAD,
                           0, dr_clock_ms());
    http_reply_finish(&exchange->refusal);
    http_reply_finish(&exchange->stream);
    json_body_finish(&exchange->request.json);
    multipart_finish(&exchange->request.form);
    request_body_finish(&exchange->body);
    free(exchange->path);
    free(exchange->headers);
    free(exchange->query);
    free(exchange->query_text);
    free(exchange);
    thread_stack_trim(); /* it may wait for the next request for long */
}

static void notice_connection(void *cookie, struct MHD_Connection *connection,
                              void **kept, enum MHD_ConnectionNotificationCode what)
{
    struct http_server *const server = cookie;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        connection_table_remove(server->connections, *kept);
        *kept = NULL;
        return;
    }
    const union MHD_ConnectionInfo *const socket =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char peer[SOCKET_ADDRESS_BYTES] = "", local[SOCKET_ADDRESS_BYTES];
    if (socket) socket_address_ends(socket->connect_fd, peer, local);
    *kept = socket ? connection_table_add(server->connections, socket->connect_fd, peer,
                                          dr_clock_ms())
                   : NULL;
}

/* A client of another machine may have half of the connections. Those of this machine may be a proxy's. */
static enum MHD_Result may_connect(void *cookie, const struct sockaddr *address,
                                   socklen_t length)
{
    const struct http_server *const server = cookie;
    char peer[SOCKET_ADDRESS_BYTES];
    (void)length;
    if (socket_address_is_local(address)) return MHD_YES;
    socket_address_host(address, peer);
    return connection_table_count(server->connections, peer) <
                   (size_t)server->options.most_connections / 2
               ? MHD_YES
               : MHD_NO;
}

/* Percent escapes are decoded by http_target, which refuses what is malformed. */
static size_t keep_escapes(void *cookie, struct MHD_Connection *connection, char *text)
{
    (void)cookie;
    (void)connection;
    return strlen(text);
}

/* ---- start and stop ------------------------------------------------------------------------ */

static struct MHD_Daemon *start_daemon(struct http_server *server)
{
    const struct http_server_options *const options = &server->options;
    return MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC, 0,
        may_connect, server, handle, server, MHD_OPTION_LISTEN_SOCKET, options->socket,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->most_connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_SERVER_POOL_BYTES,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)HTTP_SERVER_STACK_BYTES,
        /* connection_table.h has the limits of time. */
        MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        complete, server, MHD_OPTION_NOTIFY_CONNECTION, notice_connection, server,
        MHD_OPTION_END);
}

enum dr_code http_server_start(struct http_server **out,
                               const struct http_server_options *options,
                               struct dr_error *err)
{
    const struct connection_limits limits = connection_limits_default();
    struct http_server *const server = calloc(1, sizeof *server);
    if (!server) return failure_memory(err, "the server");
    server->options = *options;
    server->room.most_bytes = options->body_memory_bytes;
    server->connections = connection_table_create(&limits);
    if (!server->connections || !connection_table_watch(server->connections)) {
        http_server_stop(server);
        return failure_memory(err, "the server");
    }
    server->daemon = start_daemon(server);
    if (!server->daemon) {
        http_server_stop(server);
        return failure(
            err, DR_NOMEM,
            "the HTTP library did not start: there is no memory, or no thread");
    }
    *out = server;
    return DR_OK;
}

int32_t http_server_connection_count(const struct http_server *server)
{
    return (int32_t)connection_table_count(server->connections, NULL);
}

void http_server_quiesce(struct http_server *server)
{
    const MHD_socket socket = MHD_quiesce_daemon(server->daemon);
    if (socket != MHD_INVALID_SOCKET) (void)close(socket);
}

static void let_answers_leave(struct http_server *server)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    const double until_ms = dr_clock_ms() + HTTP_SERVER_LAST_MS;
    while (connection_table_busy(server->connections) > 0 && dr_clock_ms() < until_ms)
        (void)nanosleep(&moment, NULL);
}

void http_server_stop(struct http_server *server)
{
    if (!server) return;
    if (server->daemon) let_answers_leave(server);
    if (server->daemon) MHD_stop_daemon(server->daemon);
    connection_table_destroy(server->connections);
    free(server);
}
