#include "service/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MOST_TARGET_BYTES = 4096,
    MOST_HEADERS = 100,
    MOST_HEADER_BYTES = 8192, /* of all together */
    ALLOWED_BYTES = 64        /* "GET, HEAD, POST, PUT, DELETE" */
};

/* What the checks share. Each returns true where it has refused, with the reply filled. */
struct judgement {
    const struct gate_policy *policy;
    const struct http_request *request;
    double now_ms;
    struct gate_verdict *verdict;
    struct http_reply *reply;
    enum api_shape shape;
    const struct route *route; /* of path and method; NULL: none */
    char allowed[ALLOWED_BYTES];
};

#define REFUSE(judgement, status, ...)                                      \
    (http_reply_error((judgement)->reply, (judgement)->shape, status, NULL, \
                      __VA_ARGS__),                                         \
     true)

/* As REFUSE, where what comes after this request cannot be trusted to be another. */
#define REFUSE_AND_CLOSE(judgement, status, ...) \
    ((judgement)->reply->closes = true, REFUSE(judgement, status, __VA_ARGS__))

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

enum api_shape gate_shape(const char *path)
{
    static const char *const own[] = {"/api/", "/health", "/metrics", "/openapi.json",
                                      "/docs"};
    if (begins_with(path, "/v1/") || begins_with(path, "/images/")) return API_OPENAI;
    for (size_t i = 0; i < sizeof own / sizeof *own; ++i)
        if (begins_with(path, own[i])) return API_OWN;
    return API_A1111;
}

/* ---- 1 head -------------------------------------------------------------------------------- */

/* A token of RFC 9110: a blank before the colon would be part of it. */
static bool is_header_name(const char *name)
{
    if (!*name) return false;
    for (; *name; ++name) {
        const bool is_letter = (*name >= 'a' && *name <= 'z') ||
                               (*name >= 'A' && *name <= 'Z') ||
                               (*name >= '0' && *name <= '9');
        if (!is_letter && !strchr("!#$%&'*+-.^_`|~", *name)) return false;
    }
    return true;
}

static bool refuses_sizes(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    size_t bytes = 0;
    if (strlen(request->target) > MOST_TARGET_BYTES)
        return REFUSE_AND_CLOSE(judgement, 414,
                                "the path has %zu bytes; it may have %d",
                                strlen(request->target), MOST_TARGET_BYTES);
    for (size_t i = 0; i < request->header_count; ++i) {
        bytes += strlen(request->headers[i].name) + strlen(request->headers[i].value);
        if (!is_header_name(request->headers[i].name))
            return REFUSE_AND_CLOSE(judgement, 400, "header %zu has a malformed name",
                                    i + 1);
    }
    if (request->header_count > MOST_HEADERS || bytes > MOST_HEADER_BYTES)
        return REFUSE_AND_CLOSE(judgement, 431,
                                "the request has %zu headers of %zu bytes; it may have "
                                "%d of %d bytes",
                                request->header_count, bytes, MOST_HEADERS,
                                MOST_HEADER_BYTES);
    return false;
}

/* What says where the body ends, and may say it twice: two readers would take two different requests out of one text. */
static bool refuses_framing(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    const char *const length = http_request_header(request, "Content-Length");
    const char *const coding = http_request_header(request, "Transfer-Encoding");
    if (http_request_count(request, "Content-Length") > 1 ||
        http_request_count(request, "Transfer-Encoding") > 1 || (length && coding))
        return REFUSE_AND_CLOSE(judgement, 400,
                                "the request says more than once how long its body is");
    if (length &&
        (!*length || length[strspn(length, "0123456789")] || strlen(length) > 18))
        return REFUSE_AND_CLOSE(judgement, 400, "Content-Length is not a number");
    if (coding && strcasecmp(coding, "chunked") != 0)
        return REFUSE_AND_CLOSE(judgement, 400,
                                "the only Transfer-Encoding that is read is chunked");
    if (coding && strcmp(request->version, "HTTP/1.1") != 0)
        return REFUSE_AND_CLOSE(judgement, 400,
                                "Transfer-Encoding is a part of HTTP/1.1");
    return false;
}

static bool refuses_path(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    if (request->path[0] == '/') return false;
    if (request->method == HTTP_OPTIONS && strcmp(request->target, "*") == 0)
        return false;
    return REFUSE_AND_CLOSE(judgement, 400,
                            "the path has to begin with \"/\", and to be UTF-8 without "
                            "control characters");
}

/* ---- 2 Host -------------------------------------------------------------------------------- */

/* The length of the name in "name:port", "[::1]:port", "name". */
static size_t name_length(const char *host)
{
    if (host[0] == '[') {
        const char *const end = strchr(host, ']');
        return end ? (size_t)(end - host) + 1 : strlen(host);
    }
    return strcspn(host, ":");
}

static bool is_same_name(const char *a, size_t length, const char *b)
{
    return strlen(b) == length && strncasecmp(a, b, length) == 0;
}

static bool is_loopback_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (is_same_name(host, name_length(host), names[i])) return true;
    return false;
}

/* The port that a Host names; without one it is that of http. */
static const char *port_of(const char *host)
{
    const char *const colon = host + name_length(host);
    return *colon == ':' ? colon + 1 : "80";
}

/* With a port only that; without one any: a forwarded port may be another than ours. */
static bool is_listed_host(const char *const *list, const char *host)
{
    for (; list && *list; ++list) {
        const size_t length = name_length(*list);
        if (strcasecmp(*list, host) == 0) return true;
        if (!(*list)[length] && is_same_name(host, name_length(host), *list))
            return true;
    }
    return false;
}

static bool is_allowed_host(const struct judgement *judgement, const char *host)
{
    const char *const local = judgement->request->local;
    if (is_listed_host(judgement->policy->allowed_hosts, host)) return true;
    /* No browser comes through a Unix socket by itself: a proxy does, with any port. */
    if (strcmp(local, "unix") == 0) return is_loopback_name(host);
    if (strcmp(port_of(host), port_of(local)) != 0) return false;
    return is_loopback_name(host) || (name_length(host) == name_length(local) &&
                                      strncasecmp(host, local, name_length(host)) == 0);
}

/* A page of another site can have its name resolve to this address, but cannot have Host say anything but its name. */
static bool refuses_host(struct judgement *judgement)
{
    const char *const host = http_request_header(judgement->request, "Host");
    if (http_request_count(judgement->request, "Host") > 1)
        return REFUSE_AND_CLOSE(judgement, 400, "there are two Host headers");
    if (!host || !*host)
        return REFUSE_AND_CLOSE(judgement, 400, "there is no Host header");
    if (is_allowed_host(judgement, host)) return false;
    return REFUSE(judgement, 403,
                  "the name \"%.100s\" is not one that this service answers to; start "
                  "it with --allowed-host %.100s if it should",
                  host, host);
}

/* ---- 3 origin ------------------------------------------------------------------------------ */

static const char *listed_origin(const char *const *list, const char *origin)
{
    for (; list && *list; ++list)
        if (strcmp(*list, origin) == 0) return *list;
    return NULL;
}

/* Our own page's: the scheme is a proxy's matter, the rest is what Host says, which has been checked. */
static bool is_own_origin(const char *origin, const char *host)
{
    if (begins_with(origin, "http://")) return strcasecmp(origin + 7, host) == 0;
    if (begins_with(origin, "https://")) return strcasecmp(origin + 8, host) == 0;
    return false;
}

/* Somebody who follows a link to the page: that only shows it. */
static bool is_link(const struct http_request *request)
{
    const char *const mode = http_request_header(request, "Sec-Fetch-Mode");
    const char *const destination = http_request_header(request, "Sec-Fetch-Dest");
    return (request->method == HTTP_GET || request->method == HTTP_HEAD) && mode &&
           destination && strcmp(mode, "navigate") == 0 &&
           strcmp(destination, "document") == 0;
}

static bool refuses_origin(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    const char *const origin = http_request_header(request, "Origin");
    const char *const site = http_request_header(request, "Sec-Fetch-Site");
    if (http_request_count(request, "Origin") > 1)
        return REFUSE_AND_CLOSE(judgement, 400, "there are two Origin headers");
    if (origin)
        judgement->verdict->cors_origin =
            listed_origin(judgement->policy->cors_origins, origin);
    /* A preflight asks what is allowed, and the answer allows a foreign origin nothing. */
    if (judgement->verdict->cors_origin || request->method == HTTP_OPTIONS)
        return false;
    if (origin && !is_own_origin(origin, http_request_header(request, "Host")))
        return REFUSE(judgement, 403,
                      "pages of %.100s may not use this service; start it with "
                      "--cors-origin %.100s if they should",
                      origin, origin);
    if (!origin && site && strcasecmp(site, "same-origin") != 0 &&
        strcasecmp(site, "none") != 0 && !is_link(request))
        return REFUSE(judgement, 403, "pages of other sites may not use this service");
    return false;
}

/* ---- 4 credentials ------------------------------------------------------------------------- */

static bool refuses_user(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    const struct route *const route = judgement->route;
    if (!judgement->policy->credentials || (route && (route->flags & ROUTE_PUBLIC)) ||
        request->method == HTTP_OPTIONS)
        return false;
    if (http_request_count(request, "Authorization") > 1)
        return REFUSE_AND_CLOSE(judgement, 400, "there are two Authorization headers");
    if (credentials_admit(judgement->policy->credentials,
                          http_request_header(request, "Authorization"), request->peer,
                          judgement->now_ms, judgement->verdict->user))
        return false;
    (void)REFUSE(judgement, 401,
                 "this service asks for a user and password (Basic) or a key (Bearer)");
    http_reply_header(judgement->reply, "WWW-Authenticate",
                      "Basic realm=\"darkroom\", charset=\"UTF-8\"");
    return true;
}

/* ---- 5 path and method --------------------------------------------------------------------- */

static bool answers_options(struct judgement *judgement)
{
    struct http_reply *const reply = judgement->reply;
    const char *const allowed = judgement->allowed;
    reply->status = 204;
    if (allowed[0]) http_reply_header(reply, "Allow", allowed);
    if (!judgement->verdict->cors_origin) return true;
    http_reply_header(reply, "Access-Control-Allow-Methods", allowed);
    http_reply_header(reply, "Access-Control-Allow-Headers",
                      "Authorization, Content-Type, Idempotency-Key, Last-Event-ID");
    http_reply_header(reply, "Access-Control-Max-Age", "600");
    if (http_request_header(judgement->request,
                            "Access-Control-Request-Private-Network"))
        http_reply_header(reply, "Access-Control-Allow-Private-Network", "true");
    return true;
}

static bool refuses_route(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    if (request->method == HTTP_OPTIONS &&
        (judgement->allowed[0] || strcmp(request->target, "*") == 0))
        return answers_options(judgement);
    if (judgement->route) return false;
    if (!judgement->allowed[0])
        return REFUSE(judgement, 404,
                      "there is nothing at this path; /openapi.json "
                      "lists what there is");
    (void)REFUSE(judgement, 405, "this path takes %s", judgement->allowed);
    http_reply_header(judgement->reply, "Allow", judgement->allowed);
    return true;
}

/* ---- 6 body -------------------------------------------------------------------------------- */

/* Is it this type, whatever its parameters? */
static bool is_type(const char *said, const char *type)
{
    const size_t length = strlen(type);
    return strncasecmp(said, type, length) == 0 &&
           (said[length] == '\0' || strchr("; \t", said[length]));
}

static bool is_json(const char *said)
{
    const size_t length = strcspn(said, "; \t");
    return is_type(said, "application/json") ||
           (length > 5 && strncasecmp(said + length - 5, "+json", 5) == 0);
}

static bool refuses_type(struct judgement *judgement)
{
    const char *const type = http_request_header(judgement->request, "Content-Type");
    const char *const coding =
        http_request_header(judgement->request, "Content-Encoding");
    if (coding && strcasecmp(coding, "identity") != 0)
        return REFUSE(judgement, 415, "a body has to be sent without Content-Encoding");
    switch (judgement->route->body) {
    case ROUTE_BODY_NONE: return false;
    case ROUTE_BODY_JSON:
        if (!type || !*type || is_json(type)) return false;
        return REFUSE(judgement, 415,
                      "the body has to be JSON: send Content-Type: application/json");
    case ROUTE_BODY_FORM:
        if (type && is_type(type, "multipart/form-data")) return false;
        return REFUSE(judgement, 415,
                      "the body has to be a form: send Content-Type: "
                      "multipart/form-data");
    }
    return false;
}

static bool refuses_body(struct judgement *judgement)
{
    const struct http_request *const request = judgement->request;
    const char *const length = http_request_header(request, "Content-Length");
    const uint64_t bytes = length ? strtoull(length, NULL, 10) : 0;
    if (bytes > judgement->policy->most_body_bytes)
        return REFUSE_AND_CLOSE(judgement, 413,
                                "the body has %llu bytes; it may have %llu "
                                "(--max-body)",
                                (unsigned long long)bytes,
                                (unsigned long long)judgement->policy->most_body_bytes);
    const bool has_body =
        bytes > 0 || http_request_header(request, "Transfer-Encoding") != NULL;
    return has_body && refuses_type(judgement);
}

/* -------------------------------------------------------------------------------------------- */

void gate_judge(const struct gate_policy *policy, const struct http_request *request,
                double now_ms, struct gate_verdict *verdict, struct http_reply *reply)
{
    struct judgement judgement = {
        .policy = policy,
        .request = request,
        .now_ms = now_ms,
        .verdict = verdict,
        .reply = reply,
        /* A path that cannot be decoded has a beginning. */
        .shape = gate_shape(request->path[0] ? request->path : request->target)};
    static bool (*const checks[])(struct judgement *) = {
        refuses_sizes,  refuses_framing, refuses_path,  refuses_host,
        refuses_origin, refuses_user,    refuses_route, refuses_body};
    *verdict = (struct gate_verdict){.route = NULL};
    judgement.route =
        route_find(request, judgement.allowed, sizeof judgement.allowed, verdict->room,
                   sizeof verdict->room, verdict->segments);
    if (judgement.route) judgement.shape = judgement.route->shape;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; ++i)
        if (checks[i](&judgement)) return;
    verdict->route = judgement.route;
}
