#include "service/page_files.h"

#include <string.h>

#include <darkroom/darkroom.h>

#include "service/route.h"

static const char index_name[] = "index.html", icon_name[] = "favicon.svg";

static const struct page_file *find(const char *name)
{
    for (size_t i = 0; i < page_file_count; ++i)
        if (strcmp(page_files[i].name, name) == 0) return &page_files[i];
    return NULL;
}

/* If-None-Match: a list of tags, weak or not, or "*". A tag is 16 hexadecimal digits in quotes, so no other tag holds it. */
static bool is_known(const struct http_request *request, const struct page_file *file)
{
    const char *const tags = http_request_header(request, "If-None-Match");
    return tags && (strcmp(tags, "*") == 0 || strstr(tags, file->etag));
}

static void send_file(const struct http_request *request, const char *name,
                      struct http_reply *reply)
{
    const struct page_file *const file = find(name);
    if (!file) {
        http_reply_error(reply, API_OWN, 404, NULL,
                         "the page has no file of this name");
        return;
    }
    http_reply_static(reply, file->content_type, file->bytes, file->byte_count);
    http_reply_header(reply, "Cache-Control",
                      "no-cache"); /* kept, but asked for again */
    http_reply_header(reply, "ETag", file->etag);
    if (!is_known(request, file)) return;
    reply->status = 304;
    reply->byte_count = 0;
}

static void get_file(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    (void)service;
    send_file(request, request->segments[0], reply);
}

static void get_icon(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    (void)service;
    send_file(request, icon_name, reply);
}

/* Browsers say text/html; programs that look whether somebody is there get JSON, as on all other paths. */
static void get_root(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    (void)service;
    const char *const accept = http_request_header(request, "Accept");
    http_reply_header(reply, "Vary", "Accept");
    if (accept && strstr(accept, "text/html"))
        send_file(request, index_name, reply);
    else
        http_reply_json(reply, 200,
                        json_pack("{s:s, s:s, s:s, s:s}", "name", "darkroom", "version",
                                  dr_version(), "openapi", "openapi.json", "health",
                                  "health"));
}

const struct route page_routes[] = {
    {.method = HTTP_GET,
     .path = "/",
     .handle = get_root,
     .flags = ROUTE_PUBLIC | ROUTE_HIDDEN,
     .summary = "The page, or JSON that says what this is"},
    {.method = HTTP_GET,
     .path = "/page/{name}",
     .handle = get_file,
     .flags = ROUTE_PUBLIC | ROUTE_HIDDEN,
     .summary = "A file of the page"},
    {.method = HTTP_GET,
     .path = "/favicon.ico",
     .handle = get_icon,
     .flags = ROUTE_PUBLIC | ROUTE_HIDDEN,
     .summary = "The page's icon"},
    {.path = NULL                                   },
};
