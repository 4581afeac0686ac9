#include "service/route.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* In the order of the API's description. */
static const struct route *const tables[] = {
    page_routes,       status_routes, a1111_picture_routes, a1111_control_routes,
    a1111_list_routes, openai_routes, gallery_routes,       job_routes,
    engine_routes,     model_routes,  prompt_routes,
};
enum {
    TABLE_COUNT = sizeof tables / sizeof *tables
};

const struct route *route_at(size_t idx)
{
    for (size_t i = 0; i < TABLE_COUNT; ++i)
        for (const struct route *route = tables[i]; route->path; ++route, --idx)
            if (idx == 0) return route;
    return NULL;
}

/* What stands for the placeholders of a route's path, as they are found. */
struct match {
    char *room;
    size_t room_bytes, used_bytes, count;
    const char **segments;
};

static bool take_segment(struct match *match, const char *text, size_t length)
{
    if (length == 0 || match->count == HTTP_REQUEST_SEGMENTS ||
        length >= match->room_bytes - match->used_bytes)
        return false;
    char *const to = match->room + match->used_bytes;
    memcpy(to, text, length);
    to[length] = '\0';
    match->used_bytes += length + 1;
    match->segments[match->count++] = to;
    return true;
}

static bool matches(const char *pattern, const char *path, struct match *match)
{
    match->used_bytes = 0;
    match->count = 0;
    while (*pattern) {
        if (*pattern == '{') {
            const size_t length = strcspn(path, "/");
            if (!take_segment(match, path, length)) return false;
            pattern += strcspn(pattern, "}") + 1;
            path += length;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

static void add_allowed(char *allowed, size_t allowed_bytes, const char *name)
{
    const size_t length = strlen(allowed);
    if (length < allowed_bytes)
        (void)snprintf(allowed + length, allowed_bytes - length, "%s%s",
                       length ? ", " : "", name);
}

static const char *allowed_name(enum http_method method)
{
    switch (method) {
    case HTTP_GET: return "GET, HEAD";
    case HTTP_POST: return "POST";
    case HTTP_PUT: return "PUT";
    case HTTP_DELETE: return "DELETE";
    case HTTP_HEAD:
    case HTTP_OPTIONS:
    case HTTP_OTHER: break;
    }
    return "";
}

const struct route *route_find(const struct http_request *request, char *allowed,
                               size_t allowed_bytes, char *room, size_t room_bytes,
                               const char *segments[HTTP_REQUEST_SEGMENTS])
{
    const enum http_method method =
        request->method == HTTP_HEAD ? HTTP_GET : request->method;
    struct match match = {.room = room, .room_bytes = room_bytes, .segments = segments};
    allowed[0] = '\0';
    for (size_t i = 0; i < TABLE_COUNT; ++i)
        for (const struct route *route = tables[i]; route->path; ++route) {
            if (!matches(route->path, request->path, &match)) continue;
            if (route->method == method) return route;
            add_allowed(allowed, allowed_bytes, allowed_name(route->method));
        }
    return NULL;
}
