#include "service/gate.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"
#include "service/http_target.h"

/* A request's head in few words, and what becomes of it. */
struct trial {
    const char *name;
    enum http_method method;
    const char *target;
    const char *
        headers; /* "Name: value" lines; "Host: 127.0.0.1:7860" is added where it has no Host */
    int status; /* 0: let in */
};

enum {
    MOST_FIELDS = 512
};

struct head {
    struct http_request request;
    struct http_field fields[MOST_FIELDS];
    char text[64 * 1024], path[8192];
};

static const char *const origins[] = {"https://listed.example", NULL};
static const char *const hosts[] = {"box.lan", "tunnel:9000", NULL};
static const struct gate_policy policy = {.allowed_hosts = hosts,
                                          .cors_origins = origins,
                                          .most_body_bytes = 1000};

static void make_head(struct head *head, enum http_method method, const char *target,
                      const char *headers)
{
    *head = (struct head){
        .request = {.method = method,
                    .version = "HTTP/1.1",
                    .target = target,
                    .peer = "127.0.0.1",
                    .local = "127.0.0.1:7860",
                    .user = ""}
    };
    (void)http_target_path(target, head->path, sizeof head->path);
    (void)snprintf(head->text, sizeof head->text, "%s%s", headers,
                   strstr(headers, "Host:") ? "" : "Host: 127.0.0.1:7860\n");
    char *rest = NULL;
    size_t count = 0;
    for (char *line = strtok_r(head->text, "\n", &rest); line && count < MOST_FIELDS;
         line = strtok_r(NULL, "\n", &rest)) {
        char *const colon = strchr(line, ':');
        *colon = '\0';
        head->fields[count++] =
            (struct http_field){line, colon[1] ? colon + 2 : colon + 1};
    }
    head->request.path = head->path;
    head->request.headers = head->fields;
    head->request.header_count = count;
}

static int judge(const struct gate_policy *rules, const struct head *head,
                 struct gate_verdict *verdict, struct http_reply *reply)
{
    http_reply_init(reply);
    gate_judge(rules, &head->request, 0.0, verdict, reply);
    return verdict->route ? 0 : reply->status;
}

static void run_trials(const struct trial *trials, size_t count)
{
    struct head *const head = malloc(sizeof *head);
    for (size_t i = 0; i < count; ++i) {
        struct gate_verdict verdict;
        struct http_reply reply;
        make_head(head, trials[i].method, trials[i].target, trials[i].headers);
        const int status = judge(&policy, head, &verdict, &reply);
        if (status != trials[i].status)
            check_fail_at("%s: %d, not %d", trials[i].name, status, trials[i].status);
        http_reply_finish(&reply);
    }
    free(head);
}

#define RUN(trials) run_trials(trials, sizeof trials / sizeof *(trials))

/* A route of some kind, whichever the tables have. */
static const struct route *some_route(enum http_method method, enum route_body body)
{
    for (size_t i = 0; route_at(i); ++i)
        if (route_at(i)->method == method && route_at(i)->body == body &&
            !strchr(route_at(i)->path, '{'))
            return route_at(i);
    return NULL;
}

/* ---- 1 head -------------------------------------------------------------------------------- */

static void R29_a_request_with_two_ends_is_refused(void)
{
    static const struct trial trials[] = {
        {"plain",                  HTTP_GET, "/health", "",                                                0  },
        {"both",                   HTTP_GET, "/health", "Content-Length: 3\nTransfer-Encoding: chunked\n",
         400                                                                                                  },
        {"two lengths",            HTTP_GET, "/health", "Content-Length: 3\nContent-Length: 3\n",
         400                                                                                                  },
        {"two codings",            HTTP_GET, "/health",
         "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n",                                       400},
        {"two hosts",              HTTP_GET, "/health",
         "Host: 127.0.0.1:7860\nHost: 127.0.0.1:7860\n",                                                   400},
        {"unknown coding",         HTTP_GET, "/health", "Transfer-Encoding: xchunked\n",                   400},
        {"coding twice",           HTTP_GET, "/health", "Transfer-Encoding: gzip, chunked\n",
         400                                                                                                  },
        {"blank before the colon", HTTP_GET, "/health", "Content-Length : 3\n",                            400},
        {"no name",                HTTP_GET, "/health", ": 3\n",                                           400},
        {"signed length",          HTTP_GET, "/health", "Content-Length: +3\n",                            400},
        {"negative length",        HTTP_GET, "/health", "Content-Length: -3\n",                            400},
        {"empty length",           HTTP_GET, "/health", "Content-Length:\n",                               400},
        {"list of lengths",        HTTP_GET, "/health", "Content-Length: 3, 3\n",                          400},
        {"length past 64 bits",    HTTP_GET, "/health",
         "Content-Length: 99999999999999999999\n",                                                         400},
        {"chunked",                HTTP_GET, "/health", "Transfer-Encoding: Chunked\n",                    0  },
    };
    RUN(trials);
}

static void R29_a_coding_needs_HTTP_1_1(void)
{
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    make_head(head, HTTP_GET, "/health", "Transfer-Encoding: chunked\n");
    head->request.version = "HTTP/1.0";
    check_int(judge(&policy, head, &verdict, &reply), ==, 400);
    check(reply.closes);
    http_reply_finish(&reply);
    free(head);
}

static void R24_heads_that_are_too_large_are_refused(void)
{
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    char *const text = malloc(64 * 1024);
    char *to = text;
    for (int i = 0; i < 101; ++i)
        to += sprintf(to, "A: b\n");
    make_head(head, HTTP_GET, "/health", text);
    check_int(judge(&policy, head, &verdict, &reply), ==, 431);
    http_reply_finish(&reply);
    memset(text, 'x', 9000);
    memcpy(text, "A: ", 3);
    memcpy(text + 9000, "\n", 2);
    make_head(head, HTTP_GET, "/health", text);
    check_int(judge(&policy, head, &verdict, &reply), ==, 431);
    check_has(reply.bytes, "8192 bytes");
    http_reply_finish(&reply);
    memset(text, 'x', 5000);
    text[0] = '/';
    text[5000] = '\0';
    make_head(head, HTTP_GET, text, "");
    check_int(judge(&policy, head, &verdict, &reply), ==, 414);
    http_reply_finish(&reply);
    free(text);
    free(head);
}

static void R02_paths_are_names_and_never_files(void)
{
    static const struct trial trials[] = {
        {"dots",           HTTP_GET, "/../../etc/passwd",            "", 404},
        {"encoded dots",   HTTP_GET, "/%2e%2e/%2e%2e/etc/passwd",    "", 404},
        {"encoded twice",  HTTP_GET, "/%252e%252e/etc/passwd",       "", 404},
        {"backslash",      HTTP_GET, "/..%5c..%5cetc/passwd",        "", 404},
        {"two slashes",    HTTP_GET, "//etc/passwd",                 "", 404},
        {"file=",          HTTP_GET, "/file=/etc/passwd",            "", 404},
        {"of the page",    HTTP_GET, "/page/..%2f..%2fetc%2fpasswd", "", 404},
        {"NUL",            HTTP_GET, "/health%00.png",               "", 400},
        {"not UTF-8",      HTTP_GET, "/%ff%fe",                      "", 400},
        {"raw not UTF-8",  HTTP_GET, "/\xc3\x28",                    "", 400},
        {"overlong",       HTTP_GET, "/%c0%ae%c0%ae/etc/passwd",     "", 400},
        {"surrogate",      HTTP_GET, "/%ed%a0%80",                   "", 400},
        {"half an escape", HTTP_GET, "/%2",                          "", 400},
        {"no hexadecimal", HTTP_GET, "/%zz",                         "", 400},
        {"line break",     HTTP_GET, "/health%0d%0aX:%201",          "", 400},
        {"empty",          HTTP_GET, "",                             "", 400},
    };
    RUN(trials);
}

static void R30_targets_of_other_forms_get_a_sane_answer(void)
{
    static const struct trial trials[] = {
        {"absolute",    HTTP_GET,     "http://127.0.0.1:7860/health", "", 400},
        {"authority",   HTTP_OTHER,   "evil.example:443",             "", 400},
        {"star",        HTTP_OPTIONS, "*",                            "", 204},
        {"star of GET", HTTP_GET,     "*",                            "", 400},
    };
    RUN(trials);
}

/* ---- 2 host -------------------------------------------------------------------------------- */

static void R12_the_host_is_one_of_ours(void)
{
    static const struct trial trials[] = {
        {"localhost",                HTTP_GET, "/health",  "Host: localhost:7860\n",      0  },
        {"in capitals",              HTTP_GET, "/health",  "Host: LocalHost:7860\n",      0  },
        {"loopback of IPv6",         HTTP_GET, "/health",  "Host: [::1]:7860\n",          0  },
        {"name that resolves to us", HTTP_GET, "/health",  "Host: evil.example:7860\n",
         403                                                                                 },
        {"beginning of ours",        HTTP_GET, "/health",  "Host: localhost.evil:7860\n", 403},
        {"end of ours",              HTTP_GET, "/health",  "Host: evil.localhost:7860\n", 403},
        {"other port",               HTTP_GET, "/health",  "Host: localhost:80\n",        403},
        {"no port",                  HTTP_GET, "/health",  "Host: localhost\n",           403},
        {"empty",                    HTTP_GET, "/health",  "Host:\n",                     400},
        {"listed, any port",         HTTP_GET, "/health",  "Host: box.lan:1234\n",        0  },
        {"listed, no port",          HTTP_GET, "/health",  "Host: BOX.lan\n",             0  },
        {"listed port",              HTTP_GET, "/health",  "Host: tunnel:9000\n",         0  },
        {"not the listed port",      HTTP_GET, "/health",  "Host: tunnel:9001\n",         403},
        {"below a listed one",       HTTP_GET, "/health",  "Host: a.box.lan\n",           403},
        {"user in it",               HTTP_GET, "/health",  "Host: localhost:7860@evil\n", 403},
        {"unknown path",             HTTP_GET, "/nothing", "Host: evil.example\n",        403},
    };
    RUN(trials);
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    make_head(head, HTTP_GET, "/health", "");
    head->request.header_count = 0;
    check_int(judge(&policy, head, &verdict, &reply), ==, 400);
    http_reply_finish(&reply);
    free(head);
}

static void R12_the_address_of_the_connection_is_ours(void)
{
    static const struct {
        const char *local, *host;
        int status;
    } trials[] = {
        {"192.168.1.5:7860", "192.168.1.5:7860",  0  },
        {"192.168.1.5:7860", "192.168.1.6:7860",  403},
        {"192.168.1.5:7860", "192.168.1.5:78601", 403},
        {"192.168.1.5:80",   "192.168.1.5",       0  },
        {"[fe80::1]:7860",   "[fe80::1]:7860",    0  },
        {"[fe80::1]:7860",   "[fe80::2]:7860",    403},
        {"unix",             "localhost",         0  },
        {"unix",             "evil.example",      403},
    };
    struct head *const head = malloc(sizeof *head);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i) {
        struct gate_verdict verdict;
        struct http_reply reply;
        char line[128];
        (void)snprintf(line, sizeof line, "Host: %s\n", trials[i].host);
        make_head(head, HTTP_GET, "/health", line);
        head->request.local = trials[i].local;
        check_int(judge(&policy, head, &verdict, &reply), ==, trials[i].status);
        http_reply_finish(&reply);
    }
    free(head);
}

/* ---- 3 origin ------------------------------------------------------------------------------ */

static void R13_pages_of_other_sites_are_refused(void)
{
    static const struct trial trials[] = {
        {"own",                       HTTP_GET,  "/health",  "Origin: http://127.0.0.1:7860\n",  0  },
        {"own behind a proxy",        HTTP_GET,  "/health",
         "Host: box.lan\nOrigin: https://box.lan\n",                                             0  },
        {"foreign",                   HTTP_GET,  "/health",  "Origin: https://evil.example\n",   403},
        {"foreign, unknown path",     HTTP_POST, "/nothing",
         "Origin: https://evil.example\n",                                                       403},
        {"other port here",           HTTP_GET,  "/health",  "Origin: http://127.0.0.1:3000\n",
         403                                                                                        },
        {"other name here",           HTTP_GET,  "/health",  "Origin: http://localhost:7860\n",
         403                                                                                        },
        {"null",                      HTTP_GET,  "/health",  "Origin: null\n",                   403},
        {"empty",                     HTTP_GET,  "/health",  "Origin:\n",                        403},
        {"file",                      HTTP_GET,  "/health",  "Origin: file://127.0.0.1:7860\n",  403},
        {"extension",                 HTTP_GET,  "/health",  "Origin: chrome-extension://abc\n", 403},
        {"listed",                    HTTP_GET,  "/health",  "Origin: https://listed.example\n", 0  },
        {"beginning of a listed one", HTTP_GET,  "/health",
         "Origin: https://listed.example.evil\n",                                                403},
        {"listed, other scheme",      HTTP_GET,  "/health",  "Origin: http://listed.example\n",
         403                                                                                        },
        {"two",                       HTTP_GET,  "/health",
         "Origin: https://listed.example\nOrigin: https://evil.example\n",                       400},
        {"cross-site",                HTTP_GET,  "/health",  "Sec-Fetch-Site: cross-site\n",     403},
        {"same-site",                 HTTP_GET,  "/health",  "Sec-Fetch-Site: same-site\n",      403},
        {"same-origin",               HTTP_GET,  "/health",  "Sec-Fetch-Site: same-origin\n",    0  },
        {"typed",                     HTTP_GET,  "/health",  "Sec-Fetch-Site: none\n",           0  },
        {"cross-site, listed",        HTTP_GET,  "/health",
         "Sec-Fetch-Site: cross-site\nOrigin: https://listed.example\n",                         0  },
        {"link to the page",          HTTP_GET,  "/",
         "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: "
         "document\n",                                                                           0  },
        {"frame of the page",         HTTP_GET,  "/",
         "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: "
         "iframe\n",                                                                             403},
        {"form sent as a link",       HTTP_POST, "/",
         "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: "
         "document\n",                                                                           403},
    };
    RUN(trials);
}

static const char *header_of(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; ++i)
        if (strcmp(reply->headers[i].name, name) == 0) return reply->headers[i].value;
    return NULL;
}

static void R14_a_preflight_allows_listed_origins_alone(void)
{
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    make_head(head, HTTP_OPTIONS, "/health", "Origin: https://evil.example\n");
    check_int(judge(&policy, head, &verdict, &reply), ==, 204);
    check(!verdict.cors_origin);
    check(!header_of(&reply, "Access-Control-Allow-Methods"));
    http_reply_finish(&reply);
    make_head(head, HTTP_OPTIONS, "/health", "Origin: https://listed.example\n");
    check_int(judge(&policy, head, &verdict, &reply), ==, 204);
    check(verdict.cors_origin == origins[0]);
    check_str(header_of(&reply, "Access-Control-Allow-Methods"), "GET, HEAD");
    check_has(header_of(&reply, "Access-Control-Allow-Headers"), "Content-Type");
    check(!header_of(&reply, "Access-Control-Allow-Credentials"));
    http_reply_finish(&reply);
    free(head);
}

static void R17_a_private_network_is_granted_to_listed_origins_alone(void)
{
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    make_head(head, HTTP_OPTIONS, "/health",
              "Origin: https://evil.example\nAccess-Control-Request-Private-Network: "
              "true\n");
    (void)judge(&policy, head, &verdict, &reply);
    check(!header_of(&reply, "Access-Control-Allow-Private-Network"));
    http_reply_finish(&reply);
    make_head(head, HTTP_OPTIONS, "/health",
              "Origin: "
              "https://listed.example\nAccess-Control-Request-Private-Network: true\n");
    (void)judge(&policy, head, &verdict, &reply);
    check_str(header_of(&reply, "Access-Control-Allow-Private-Network"), "true");
    http_reply_finish(&reply);
    free(head);
}

/* ---- 4 credentials ------------------------------------------------------------------------- */

static struct credentials *make_credentials(void)
{
    struct credentials *credentials = NULL;
    struct dr_error err = {0};
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/users", scratch_folder());
    FILE *const file = fopen(path, "w");
    if (file) {
        fputs("ada:secret\nkey:token\n", file);
        (void)fclose(file);
    }
    (void)chmod(path, 0600);
    check_int(credentials_read(path, &credentials, &err), ==, DR_OK);
    return credentials;
}

static void R03_every_route_but_the_public_ones_asks_who_it_is(void)
{
    struct credentials *const credentials = make_credentials();
    struct gate_policy guarded = policy;
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    size_t guarded_count = 0, public_count = 0;
    guarded.credentials = credentials;
    for (size_t i = 0; route_at(i); ++i) {
        const struct route *const route = route_at(i);
        char path[256];
        (void)snprintf(path, sizeof path, "%s", route->path);
        for (char *c = path; *c; ++c)
            if (*c == '{' || *c == '}') *c = 'x';
        make_head(head, route->method, path, "");
        const int status = judge(&guarded, head, &verdict, &reply);
        const bool is_public = (route->flags & ROUTE_PUBLIC) != 0;
        if (status != (is_public ? 0 : 401))
            check_fail_at("%s without credentials: %d", path, status);
        *(is_public ? &public_count : &guarded_count) += 1;
        if (status == 401) check(header_of(&reply, "WWW-Authenticate") != NULL);
        http_reply_finish(&reply);
    }
    check_int(public_count, >=, 1u);
    check_int(guarded_count, >=, 20u);
    make_head(head, HTTP_GET, "/nothing/here", "");
    check_int(judge(&guarded, head, &verdict, &reply), ==, 401);
    http_reply_finish(&reply);
    make_head(head, HTTP_GET, "/nothing/here",
              "Authorization: Basic YWRhOnNlY3JldA==\n");
    check_int(judge(&guarded, head, &verdict, &reply), ==, 404);
    check_str(verdict.user, "ada");
    http_reply_finish(&reply);
    make_head(head, HTTP_GET, "/nothing/here",
              "Authorization: Bearer token\nAuthorization: Bearer wrong\n");
    check_int(judge(&guarded, head, &verdict, &reply), ==, 400);
    http_reply_finish(&reply);
    free(head);
    credentials_destroy(credentials);
}

static void R03_pages_of_public_routes_are_the_page_and_health(void)
{
    for (size_t i = 0; route_at(i); ++i) {
        const char *const path = route_at(i)->path;
        if (!(route_at(i)->flags & ROUTE_PUBLIC)) continue;
        if (strcmp(path, "/health") != 0 && strcmp(path, "/") != 0 &&
            strncmp(path, "/page/", 6) != 0 && strcmp(path, "/favicon.ico") != 0)
            check_fail_at("%s needs no credentials", path);
        check_int(route_at(i)->method, ==, HTTP_GET);
    }
}

static void T06_credentials_that_nobody_asked_for_change_nothing(void)
{
    static const struct trial trials[] = {
        {"empty", HTTP_GET, "/health", "Authorization: Basic\n",              0},
        {"wrong", HTTP_GET, "/health", "Authorization: Basic dW5kZWZpbmVk\n", 0},
        {"key",   HTTP_GET, "/health", "Authorization: Bearer x\n",           0},
    };
    RUN(trials);
}

/* ---- 5 path and method --------------------------------------------------------------------- */

static void T07_options_without_origin(void)
{
    struct head *const head = malloc(sizeof *head);
    for (size_t i = 0; route_at(i); ++i) {
        struct gate_verdict verdict;
        struct http_reply reply;
        char path[256];
        (void)snprintf(path, sizeof path, "%s", route_at(i)->path);
        for (char *c = path; *c; ++c)
            if (*c == '{' || *c == '}') *c = 'x';
        make_head(head, HTTP_OPTIONS, path, "");
        check_int(judge(&policy, head, &verdict, &reply), ==, 204);
        check(header_of(&reply, "Allow") != NULL);
        http_reply_finish(&reply);
    }
    free(head);
}

static void R16_nothing_is_changed_by_GET(void)
{
    struct head *const head = malloc(sizeof *head);
    for (size_t i = 0; route_at(i); ++i) {
        const struct route *const route = route_at(i);
        struct gate_verdict verdict;
        struct http_reply reply;
        if (route->method == HTTP_GET) {
            check_int(route->body, ==, ROUTE_BODY_NONE);
            continue;
        }
        make_head(head, HTTP_GET, route->path, "");
        const int status = judge(&policy, head, &verdict, &reply);
        /* Where a path takes both, they are two routes. */
        if (verdict.route)
            check(verdict.route->handle != route->handle);
        else
            check_int(status, ==, 405);
        http_reply_finish(&reply);
    }
    free(head);
}

static void a_wrong_method_says_which_are_right(void)
{
    struct head *const head = malloc(sizeof *head);
    struct gate_verdict verdict;
    struct http_reply reply;
    make_head(head, HTTP_DELETE, "/health", "");
    check_int(judge(&policy, head, &verdict, &reply), ==, 405);
    check_str(header_of(&reply, "Allow"), "GET, HEAD");
    http_reply_finish(&reply);
    make_head(head, HTTP_HEAD, "/health", "");
    check_int(judge(&policy, head, &verdict, &reply), ==, 0);
    http_reply_finish(&reply);
    make_head(head, HTTP_OTHER, "/health", "");
    check_int(judge(&policy, head, &verdict, &reply), ==, 405);
    http_reply_finish(&reply);
    free(head);
}

static void R07_no_route_ends_the_process_and_R10_none_fetches_models(void)
{
    static const char *const none[] = {
        "/sdapi/v1/server-kill",
        "/sdapi/v1/server-restart",
        "/sdapi/v1/server-stop",
        "/sdapi/v1/download-model",
        "/api/v1/models/install",
        "/file=x",
        "/queue/join",
        "/ws",
    };
    struct head *const head = malloc(sizeof *head);
    for (size_t i = 0; i < sizeof none / sizeof *none; ++i) {
        struct gate_verdict verdict;
        struct http_reply reply;
        make_head(head, HTTP_POST, none[i], "");
        const int status = judge(&policy, head, &verdict, &reply);
        if (status != 404 && status != 405)
            check_fail_at("POST %s: %d", none[i], status);
        http_reply_finish(&reply);
    }
    free(head);
}

static void an_error_has_the_shape_of_its_path(void)
{
    check_int(gate_shape("/sdapi/v1/x"), ==, API_A1111);
    check_int(gate_shape("/internal/ping"), ==, API_A1111);
    check_int(gate_shape("/v1/images"), ==, API_OPENAI);
    check_int(gate_shape("/images/nothing"), ==, API_OPENAI);
    check_int(gate_shape("/api/v1/jobs"), ==, API_OWN);
    check_int(gate_shape("/health"), ==, API_OWN);
    check_int(gate_shape(""), ==, API_A1111);
}

/* ---- 6 body -------------------------------------------------------------------------------- */

static void R15_only_the_type_that_a_route_reads_is_let_in(void)
{
    static const struct {
        const char *headers;
        int json, form; /* the status of a route of each kind; 0: let in */
    } trials[] = {
        {"Content-Length: 2\nContent-Type: application/json\n",                         0,   415},
        {"Content-Length: 2\nContent-Type: application/json; charset=utf-8\n",          0,   415},
        {"Content-Length: 2\nContent-Type: application/merge+json\n",                   0,   415},
        {"Content-Length: 2\n",                                                         0,   415},
        {"",                                                                            0,   0  }, /* no body */
        {"Content-Length: 0\nContent-Type: text/plain\n",                               0,   0  },
        {"Content-Length: 2\nContent-Type: text/plain\n",                               415, 415},
        {"Content-Length: 2\nContent-Type: application/x-www-form-urlencoded\n",        415,
         415                                                                                    },
        {"Content-Length: 2\nContent-Type: multipart/form-data; boundary=a\n",          415, 0  },
        {"Transfer-Encoding: chunked\nContent-Type: text/plain\n",                      415, 415},
        {"Content-Length: 2\nContent-Type: application/jsonx\n",                        415, 415},
        {"Content-Length: 2\nContent-Type: application/json\nContent-Encoding: gzip\n",
         415,                                                                                415},
        {"Content-Length: 1000\nContent-Type: application/json\n",                      0,   415},
        {"Content-Length: 1001\nContent-Type: application/json\n",                      413, 413},
    };
    const struct route *const json = some_route(HTTP_POST, ROUTE_BODY_JSON);
    const struct route *const form = some_route(HTTP_POST, ROUTE_BODY_FORM);
    struct head *const head = malloc(sizeof *head);
    check(json != NULL);
    check(form != NULL);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i)
        for (int of_form = 0; of_form < 2; ++of_form) {
            const struct route *const route = of_form ? form : json;
            struct gate_verdict verdict;
            struct http_reply reply;
            if (!route) continue;
            make_head(head, HTTP_POST, route->path, trials[i].headers);
            check_int(judge(&policy, head, &verdict, &reply), ==,
                      of_form ? trials[i].form : trials[i].json);
            http_reply_finish(&reply);
        }
    free(head);
}

static void R21_the_first_thing_that_is_wrong_answers(void)
{
    static const struct trial trials[] = {
        {"head before host",                  HTTP_POST, "/nothing",
         "Host: evil\nContent-Length: x\nOrigin: null\n",                                      400},
        {"host before origin",                HTTP_POST, "/nothing",
         "Host: evil.example\nOrigin: null\nContent-Length: 9999\n",                           403},
        {"path before body",                  HTTP_POST, "/nothing", "Content-Length: 9999\n", 404},
        {"method before body",                HTTP_POST, "/health",  "Content-Length: 9999\n", 405},
        {"length of a body that is not read", HTTP_GET,  "/health",
         "Content-Length: 9999\n",                                                             413},
    };
    RUN(trials);
}

int main(void)
{
    check_run(R29_a_request_with_two_ends_is_refused);
    check_run(R29_a_coding_needs_HTTP_1_1);
    check_run(R24_heads_that_are_too_large_are_refused);
    check_run(R02_paths_are_names_and_never_files);
    check_run(R30_targets_of_other_forms_get_a_sane_answer);
    check_run(R12_the_host_is_one_of_ours);
    check_run(R12_the_address_of_the_connection_is_ours);
    check_run(R13_pages_of_other_sites_are_refused);
    check_run(R14_a_preflight_allows_listed_origins_alone);
    check_run(R17_a_private_network_is_granted_to_listed_origins_alone);
    check_run(R03_every_route_but_the_public_ones_asks_who_it_is);
    check_run(R03_pages_of_public_routes_are_the_page_and_health);
    check_run(T06_credentials_that_nobody_asked_for_change_nothing);
    check_run(T07_options_without_origin);
    check_run(R16_nothing_is_changed_by_GET);
    check_run(a_wrong_method_says_which_are_right);
    check_run(R07_no_route_ends_the_process_and_R10_none_fetches_models);
    check_run(an_error_has_the_shape_of_its_path);
    check_run(R15_only_the_type_that_a_route_reads_is_let_in);
    check_run(R21_the_first_thing_that_is_wrong_answers);
    return check_done();
}
