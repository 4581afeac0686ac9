#include "service/reply_headers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The page loads nothing but its own files; nothing may frame it. */
#define PAGE_POLICY                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: "   \
    "data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action " \
    "'none'"
#define OTHER_POLICY "default-src 'none'; frame-ancestors 'none'"

static bool has(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; ++i)
        if (strcasecmp(reply->headers[i].name, name) == 0) return true;
    return false;
}

void reply_headers_each(const struct http_reply *reply, const char *cors_origin,
                        bool varies, reply_headers_take *take, void *cookie)
{
    const bool is_page = strncmp(reply->content_type, "text/html", 9) == 0;
    const bool has_body = reply->kind != HTTP_BODY_BYTES || reply->byte_count > 0;
    if (has_body || reply->status != 204)
        take(cookie, "Content-Type", reply->content_type);
    take(cookie, "X-Content-Type-Options", "nosniff");
    if (!has(reply, "Content-Security-Policy"))
        take(cookie, "Content-Security-Policy", is_page ? PAGE_POLICY : OTHER_POLICY);
    take(cookie, "X-Frame-Options", "DENY");
    take(cookie, "Referrer-Policy", "no-referrer");
    /* Another site may read only what CORS allows it to. */
    take(cookie, "Cross-Origin-Resource-Policy",
         cors_origin ? "cross-origin" : "same-origin");
    if (!has(reply, "Cache-Control")) take(cookie, "Cache-Control", "no-store");
    if (cors_origin) take(cookie, "Access-Control-Allow-Origin", cors_origin);
    if (varies) take(cookie, "Vary", "Origin");
    if (reply->closes) take(cookie, "Connection", "close");
    for (size_t i = 0; i < reply->header_count; ++i)
        take(cookie, reply->headers[i].name, reply->headers[i].value);
}

struct text {
    char *bytes;
    size_t count, capacity;
};

static void append(struct text *text, const char *first, const char *between,
                   const char *second)
{
    const size_t room = text->capacity - text->count;
    const int wrote =
        snprintf(text->bytes + text->count, room, "%s%s%s\r\n", first, between, second);
    if (wrote > 0 && (size_t)wrote < room) text->count += (size_t)wrote;
}

static void add_line(void *cookie, const char *name, const char *value)
{
    append(cookie, name, ": ", value);
}

size_t reply_headers_text(const struct http_reply *reply, const char *cors_origin,
                          char *text, size_t text_bytes)
{
    struct text head = {.bytes = text, .capacity = text_bytes};
    char status[16], length[32];
    (void)snprintf(status, sizeof status, "%d", reply->status);
    (void)snprintf(length, sizeof length, "%zu", reply->byte_count);
    /* The reason may be left out, the blank before it may not. */
    append(&head, "HTTP/1.1 ", status, " ");
    reply_headers_each(reply, cors_origin, cors_origin != NULL, add_line, &head);
    add_line(&head, "Content-Length", length);
    append(&head, "", "", "");
    return head.count;
}
