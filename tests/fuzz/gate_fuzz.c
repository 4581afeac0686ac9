/* gate_fuzz — any bytes as the head of a request: method, target, and a header a line.
 *
 * The first byte: 1 credentials are asked for, 2 one origin and one host are listed, 4 it came by a Unix socket. Refused
 * or admitted, no answer is the server's fault, and what is admitted keeps the gate's rules, which are checked here by
 * themselves.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "service/gate.h"
#include "service/http_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
    MOST_LINES = 120,
    PATH_BYTES = 4096
};

static const char *const methods[] = {"GET", "HEAD",   "POST",
                                      "PUT", "DELETE", "OPTIONS"};

/* One user, read once. The file is gone when the program starts: a fuzzer's end runs nothing. */
static struct credentials *one_user(void)
{
    static struct credentials *credentials;
    if (credentials) return credentials;
    char path[] = "/tmp/darkroom-fuzz-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0 || write(file, "ann:secret\n", 11) != 11) abort();
    (void)close(file);
    if (credentials_read(path, &credentials, NULL) != DR_OK) abort();
    (void)unlink(path);
    return credentials;
}

static enum http_method read_method(const char *text)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; ++i)
        if (strcmp(text, methods[i]) == 0) return (enum http_method)i;
    return HTTP_OTHER;
}

/* Splits at the first mark; the part before it ends there. Returns what is behind, or the end. */
static char *split(char *text, char mark)
{
    char *const at = strchr(text, mark);
    if (!at) return text + strlen(text);
    *at = '\0';
    return at + 1;
}

static size_t read_headers(char *text, struct http_field *headers)
{
    size_t count = 0;
    while (*text && count < MOST_LINES) {
        char *const next = split(text, '\n');
        char *const value = split(text, ':');
        headers[count++] = (struct http_field){.name = text, .value = value};
        text = next;
    }
    return count;
}

static void check_admitted(const struct http_request *request,
                           const struct gate_policy *policy,
                           const struct gate_verdict *verdict)
{
    const char *const host = http_request_header(request, "Host");
    const char *const origin = http_request_header(request, "Origin");
    const char *const length = http_request_header(request, "Content-Length");
    assert(request->path[0] == '/' && request->header_count <= 100);
    assert(host && http_request_count(request, "Host") == 1);
    assert(http_request_count(request, "Content-Length") <= 1);
    assert(!length || !http_request_header(request, "Transfer-Encoding"));
    assert(!length || strspn(length, "0123456789") == strlen(length));
    if (origin) {
        const char *const name = strstr(origin, "://");
        assert(verdict->cors_origin || (name && strcasecmp(name + 3, host) == 0));
    }
    if (policy->credentials && !(verdict->route->flags & ROUTE_PUBLIC)) {
        const char *const said = http_request_header(request, "Authorization");
        assert(said && strcmp(verdict->user, "ann") == 0);
        assert(strstr(said, "YW5uOnNlY3JldA"));
    }
    assert(verdict->route->method == request->method || request->method == HTTP_HEAD);
}

static void check_refused(const struct http_reply *reply)
{
    static const int statuses[] = {204, 400, 401, 403, 404, 405, 411,
                                   413, 414, 415, 431, 501, 0};
    const int *status = statuses;
    while (*status && *status != reply->status)
        ++status;
    assert(*status);
    assert(reply->status == 204 || reply->byte_count > 0);
    for (size_t i = 0; i < reply->header_count; ++i)
        for (const char *c = reply->headers[i].value; *c; ++c)
            assert((unsigned char)*c >= ' ' && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const hosts[] = {"darkroom.example", NULL};
    static const char *const origins[] = {"https://page.example", NULL};
    static char path[PATH_BYTES];
    static double now_ms;
    if (bytes == 0) return 0;
    char *const text = malloc(bytes);
    if (!text) abort();
    memcpy(text, data + 1, bytes - 1);
    text[bytes - 1] = '\0';

    struct http_field headers[MOST_LINES];
    char *const lines = split(text, '\n');
    char *const target = split(text, ' ');
    (void)http_target_path(target, path, sizeof path);
    struct http_request request = {.method = read_method(text),
                                   .version = "HTTP/1.1",
                                   .target = target,
                                   .path = path,
                                   .headers = headers,
                                   .peer = data[0] & 4 ? "unix" : "127.0.0.1",
                                   .local = data[0] & 4 ? "unix" : "127.0.0.1:7860",
                                   .user = ""};
    request.header_count = read_headers(lines, headers);
    const struct gate_policy policy = {.allowed_hosts = data[0] & 2 ? hosts : NULL,
                                       .cors_origins = data[0] & 2 ? origins : NULL,
                                       .credentials = data[0] & 1 ? one_user() : NULL,
                                       .most_body_bytes = 1 << 20};
    struct gate_verdict verdict = {0};
    struct http_reply reply;
    http_reply_init(&reply);
    now_ms += 1e6; /* so that no failed login is too soon after another */
    gate_judge(&policy, &request, now_ms, &verdict, &reply);
    if (verdict.route)
        check_admitted(&request, &policy, &verdict);
    else
        check_refused(&reply);
    http_reply_finish(&reply);
    free(text);
    return 0;
}
