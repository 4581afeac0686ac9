#include "service/page_files.h"

#include <string.h>

#include "check.h"
#include "service/route.h"

static const struct route *route_of(const char *path)
{
    for (const struct route *route = page_routes; route->path; ++route)
        if (strcmp(route->path, path) == 0) return route;
    return NULL;
}

/* What a path answers, with one header and the name that stands for {name}. */
static void answer(const char *path, const char *header, const char *value,
                   const char *name, struct http_reply *reply)
{
    const struct http_field field = {header, value};
    const struct http_request request = {.method = HTTP_GET,
                                         .path = path,
                                         .headers = &field,
                                         .header_count = 1,
                                         .segments = {name}};
    const struct route *const route = route_of(path);
    http_reply_init(reply);
    check(route != NULL);
    if (route) route->handle(NULL, &request, reply);
}

static const char *header_of(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; ++i)
        if (strcmp(reply->headers[i].name, name) == 0) return reply->headers[i].value;
    return "";
}

static bool begins(const struct http_reply *reply, const char *text)
{
    return reply->byte_count >= strlen(text) &&
           memcmp(reply->bytes, text, strlen(text)) == 0;
}

static void a_browser_gets_the_page_and_others_json(void)
{
    struct http_reply reply;
    answer("/", "accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", NULL,
           &reply);
    check_int(reply.status, ==, 200);
    check_str(reply.content_type, "text/html; charset=utf-8");
    check(begins(&reply, "<!doctype html>"));
    check_str(header_of(&reply, "Vary"), "Accept");
    http_reply_finish(&reply);
    answer("/", "Accept", "*/*", NULL, &reply);
    check_int(reply.status, ==, 200);
    check_str(reply.content_type, "application/json");
    check(begins(&reply, "{\"name\":\"darkroom\""));
    http_reply_finish(&reply);
}

static void a_file_has_its_type_and_a_tag(void)
{
    struct http_reply reply;
    answer("/page/{name}", "Accept", "*/*", "main.js", &reply);
    check_int(reply.status, ==, 200);
    check_str(reply.content_type, "text/javascript; charset=utf-8");
    check_int((long)strlen(header_of(&reply, "ETag")), ==, 18);
    check_str(header_of(&reply, "Cache-Control"), "no-cache");
    http_reply_finish(&reply);
    answer("/favicon.ico", "Accept", "*/*", NULL, &reply);
    check_str(reply.content_type, "image/svg+xml");
    http_reply_finish(&reply);
}

static void what_a_browser_has_is_not_sent_again(void)
{
    struct http_reply reply;
    char tag[32];
    answer("/page/{name}", "Accept", "*/*", "main.js", &reply);
    (void)snprintf(tag, sizeof tag, "W/%s", header_of(&reply, "ETag"));
    http_reply_finish(&reply);
    answer("/page/{name}", "If-None-Match", tag, "main.js", &reply);
    check_int(reply.status, ==, 304);
    check_int((long)reply.byte_count, ==, 0);
    http_reply_finish(&reply);
    answer("/page/{name}", "If-None-Match", "\"0000000000000000\"", "main.js", &reply);
    check_int(reply.status, ==, 200);
    check(reply.byte_count > 0);
    http_reply_finish(&reply);
}

static void other_names_are_not_found(void)
{
    static const char *const names[] = {"", "main", "../page_files.c", "MAIN.JS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct http_reply reply;
        answer("/page/{name}", "Accept", "text/html", names[i], &reply);
        check_int(reply.status, ==, 404);
        check_str(reply.content_type, "application/json");
        http_reply_finish(&reply);
    }
}

int main(void)
{
    check_run(a_browser_gets_the_page_and_others_json);
    check_run(a_file_has_its_type_and_a_tag);
    check_run(what_a_browser_has_is_not_sent_again);
    check_run(other_names_are_not_found);
    return check_done();
}
