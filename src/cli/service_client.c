#define _GNU_SOURCE /* explicit_bzero */

#include "service_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"
#include "service/base64.h"

enum {
    CREDENTIALS_BYTES = 512,
    HEAD_BYTES = 2048,
    NAME_BYTES = 256
};

static const char default_port[] = "7860";

/* ---- where ------------------------------------------------------------------------------- */

struct address {
    char host[NAME_BYTES], port[16];
    const char *unix_path; /* NULL: host and port */
    char shown[NAME_BYTES + 24];
};

static enum dr_code read_address(struct address *address, struct dr_error *err)
{
    static const char scheme[] = "http://";
    const char *said = getenv("DARKROOM_HOST");
    if (!said || !*said) said = "127.0.0.1";
    *address = (struct address){0};
    if (strncmp(said, "unix:", 5) == 0) {
        address->unix_path = said + 5;
        (void)snprintf(address->shown, sizeof address->shown, "%.*s", NAME_BYTES, said);
        return DR_OK;
    }
    if (strncasecmp(said, "https:", 6) == 0)
        return command_fail(err, DR_BAD_INPUT,
                            "DARKROOM_HOST: https is not supported; give HOST:PORT or "
                            "unix:PATH");
    if (strncasecmp(said, scheme, sizeof scheme - 1) == 0) said += sizeof scheme - 1;
    const size_t length = strcspn(said, "/");
    const char *const bracket = *said == '[' ? memchr(said, ']', length) : NULL;
    const char *const from = bracket ? bracket : said;
    const char *const colon = memchr(from, ':', (size_t)(said + length - from));
    const size_t host_length = colon ? (size_t)(colon - said) : length;
    const size_t port_length = colon ? length - host_length - 1 : 0;
    if (host_length == 0 || host_length >= sizeof address->host ||
        port_length >= sizeof address->port || (*said == '[' && !bracket))
        return command_fail(err, DR_BAD_INPUT,
                            "DARKROOM_HOST is \"%.80s\"; it takes HOST:PORT, "
                            "http://HOST:PORT or unix:PATH",
                            said);
    memcpy(address->host, said, host_length);
    if (port_length)
        memcpy(address->port, colon + 1, port_length);
    else
        memcpy(address->port, default_port, sizeof default_port);
    (void)snprintf(address->shown, sizeof address->shown, "%s:%s", address->host,
                   address->port);
    return DR_OK;
}

static enum dr_code no_service(const struct address *address, const char *why,
                               struct dr_error *err)
{
    return command_fail(err, DR_IO,
                        "no service answers at %.300s: %s; start one with darkroom "
                        "serve, or name another in DARKROOM_HOST",
                        address->shown, why);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, path, strlen(path));
    const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file >= 0 && connect(file, (struct sockaddr *)&name, sizeof name) != 0) {
        const int why = errno;
        (void)close(file);
        errno = why;
        return -1;
    }
    return file;
}

/* The first of its addresses that can be connected to. "[::1]" is asked for without brackets. */
static int connect_host(const struct address *address, const char **why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char host[NAME_BYTES];
    const size_t is_bracketed = address->host[0] == '[';
    (void)snprintf(host, sizeof host, "%.*s",
                   (int)(strlen(address->host) - 2 * is_bracketed),
                   address->host + is_bracketed);
    const int problem = getaddrinfo(host, address->port, &hints, &list);
    if (problem != 0) {
        *why = gai_strerror(problem);
        return -1;
    }
    int file = -1;
    for (const struct addrinfo *at = list; at && file < 0; at = at->ai_next) {
        file = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (file < 0 || connect(file, at->ai_addr, at->ai_addrlen) == 0) continue;
        *why = strerror(errno);
        (void)close(file);
        file = -1;
    }
    freeaddrinfo(list);
    return file;
}

/* ---- who --------------------------------------------------------------------------------- */

/* The first line that says something. */
static enum dr_code read_file(const char *path, char credentials[CREDENTIALS_BYTES],
                              struct dr_error *err)
{
    FILE *const file = fopen(path, "re");
    if (!file)
        return command_fail(err, errno == ENOENT ? DR_NOT_FOUND : DR_IO,
                            "DARKROOM_AUTH_FILE: %.300s: %s", path, strerror(errno));
    credentials[0] = '\0';
    while (!credentials[0] && fgets(credentials, CREDENTIALS_BYTES, file)) {
        credentials[strcspn(credentials, "\r\n")] = '\0';
        if (credentials[0] == '#') credentials[0] = '\0';
    }
    (void)fclose(file);
    return DR_OK;
}

/* The Authorization header, or "". */
static enum dr_code make_authorization(char header[HEAD_BYTES], struct dr_error *err)
{
    char credentials[CREDENTIALS_BYTES] = "";
    const char *const said = getenv("DARKROOM_AUTH"), *const path =
                                                          getenv("DARKROOM_AUTH_FILE");
    enum dr_code code = DR_OK;
    header[0] = '\0';
    if (said && *said)
        (void)snprintf(credentials, sizeof credentials, "%s", said);
    else if (path && *path)
        code = read_file(path, credentials, err);
    if (code != DR_OK || !credentials[0]) return code;
    if (!strchr(credentials, ':') || strpbrk(credentials, "\r\n"))
        return command_fail(err, DR_BAD_INPUT,
                            "%s has to be user:password or key:TOKEN",
                            said && *said ? "DARKROOM_AUTH"
                                          : "the line in DARKROOM_AUTH_FILE");
    if (strncmp(credentials, "key:", 4) == 0) {
        (void)snprintf(header, HEAD_BYTES, "Authorization: Bearer %s\r\n",
                       credentials + 4);
    } else {
        char text[2 * CREDENTIALS_BYTES] = "";
        base64_encode_into(credentials, strlen(credentials), text);
        (void)snprintf(header, HEAD_BYTES, "Authorization: Basic %s\r\n", text);
        explicit_bzero(text, sizeof text);
    }
    explicit_bzero(credentials, sizeof credentials);
    return DR_OK;
}

/* ---- one request ------------------------------------------------------------------------- */

static int send_all(int file, const char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t sent = send(file, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        bytes += sent;
        count -= (size_t)sent;
    }
    return 0;
}

/* Until the service closes the connection. */
static enum dr_code receive(int file, struct service_reply *reply, size_t *count,
                            struct dr_error *err)
{
    size_t capacity = 0;
    *count = 0;
    for (;;) {
        if (*count + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            if (capacity > SERVICE_CLIENT_BYTES)
                return command_fail(err, DR_CORRUPT,
                                    "the service's answer is longer than %d bytes",
                                    SERVICE_CLIENT_BYTES);
            char *const text = realloc(reply->text, capacity);
            if (!text)
                return command_fail(err, DR_NOMEM,
                                    "out of memory for the service's answer");
            reply->text = text;
        }
        const ssize_t got = recv(file, reply->text + *count, capacity - *count - 1, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return command_fail(err, DR_IO, "the service's answer breaks off: %s",
                                strerror(errno));
        if (got == 0) break;
        *count += (size_t)got;
    }
    reply->text[*count] = '\0';
    return DR_OK;
}

/* HTTP/1.0 was asked for: the body is what follows, with no lengths in it. */
static enum dr_code split(struct service_reply *reply, size_t count,
                          struct dr_error *err)
{
    char *const end = strstr(reply->text, "\r\n\r\n");
    if (!end || sscanf(reply->text, "HTTP/1.%*1[01] %3d ", &reply->status) != 1)
        return command_fail(err, DR_CORRUPT,
                            "what answers is no HTTP server, or its answer breaks off");
    reply->body = end + 4;
    reply->byte_count = count - (size_t)(reply->body - reply->text);
    return DR_OK;
}

static enum dr_code exchange(int file, const struct address *address,
                             const struct service_request *request,
                             struct service_reply *reply, struct dr_error *err)
{
    char authorization[HEAD_BYTES], head[2 * HEAD_BYTES];
    const size_t body_bytes = request->body ? strlen(request->body) : 0;
    size_t count = 0;
    enum dr_code code = make_authorization(authorization, err);
    if (code != DR_OK) return code;
    const int length =
        snprintf(head, sizeof head,
                 "%s %s HTTP/1.0\r\nHost: %s\r\n%s%sContent-Length: %zu\r\n\r\n",
                 request->method, request->path,
                 address->unix_path ? "localhost" : address->shown, authorization,
                 request->body ? "Content-Type: application/json\r\n" : "", body_bytes);
    const int failed =
        send_all(file, head, (size_t)length) != 0 ||
        send_all(file, request->body ? request->body : "", body_bytes) != 0;
    explicit_bzero(authorization, sizeof authorization);
    explicit_bzero(head, sizeof head);
    /* A service that refuses may have answered before it closed. */
    if (failed && errno != EPIPE && errno != ECONNRESET)
        return no_service(address, strerror(errno), err);
    code = receive(file, reply, &count, err);
    return code == DR_OK ? split(reply, count, err) : code;
}

enum dr_code service_client_ask(const struct service_request *request,
                                struct service_reply *reply, struct dr_error *err)
{
    struct address address;
    const char *why = NULL;
    *reply = (struct service_reply){0};
    enum dr_code code = read_address(&address, err);
    if (code != DR_OK) return code;
    const int file = address.unix_path ? connect_unix(address.unix_path)
                                       : connect_host(&address, &why);
    if (file < 0) return no_service(&address, why ? why : strerror(errno), err);
    code = exchange(file, &address, request, reply, err);
    (void)close(file);
    if (code != DR_OK) service_reply_finish(reply);
    return code;
}

void service_reply_finish(struct service_reply *reply)
{
    free(reply->text);
    *reply = (struct service_reply){0};
}
