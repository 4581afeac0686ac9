#include "service/reply_headers.h"

#include "check.h"

struct taken {
    char text[4096];
};

static void take(void *cookie, const char *name, const char *value)
{
    struct taken *const taken = cookie;
    const size_t length = strlen(taken->text);
    (void)snprintf(taken->text + length, sizeof taken->text - length, "%s: %s\n", name,
                   value);
}

static struct taken headers_of(const struct http_reply *reply, const char *cors_origin)
{
    struct taken taken = {""};
    reply_headers_each(reply, cors_origin, cors_origin != NULL, take, &taken);
    return taken;
}

static void R19_R20_every_answer_is_what_it_says_and_is_in_no_frame(void)
{
    static const char *const types[] = {"application/json", "image/png",
                                        "text/html; charset=utf-8",
                                        "text/event-stream"};
    for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
        struct http_reply reply;
        http_reply_init(&reply);
        http_reply_static(&reply, types[i], "x", 1);
        const struct taken taken = headers_of(&reply, NULL);
        check_has(taken.text, "X-Content-Type-Options: nosniff\n");
        check_has(taken.text, "X-Frame-Options: DENY\n");
        check_has(taken.text, "frame-ancestors 'none'");
        check_has(taken.text, "default-src 'none'");
        check_has(taken.text, "Referrer-Policy: no-referrer\n");
        check_has(taken.text, "Cross-Origin-Resource-Policy: same-origin\n");
        check_has(taken.text, "Cache-Control: no-store\n");
        check(!strstr(taken.text, "Access-Control"));
        check(!strstr(taken.text, "unsafe"));
        /* Scripts run in pages alone. */
        check((strstr(taken.text, "script-src 'self'") != NULL) == (i == 2));
        http_reply_finish(&reply);
    }
}

static void R14_an_origin_is_named_where_it_is_listed(void)
{
    struct http_reply reply;
    http_reply_init(&reply);
    const struct taken taken = headers_of(&reply, "https://listed.example");
    check_has(taken.text, "Access-Control-Allow-Origin: https://listed.example\n");
    check_has(taken.text, "Vary: Origin\n");
    check(!strstr(taken.text, "Credentials") && !strchr(taken.text, '*'));
    http_reply_finish(&reply);
}

static void a_replys_own_headers_count(void)
{
    struct http_reply reply;
    http_reply_init(&reply);
    http_reply_header(&reply, "Cache-Control", "private, max-age=60");
    http_reply_header(&reply, "ETag", "\"a\"");
    reply.closes = true;
    const struct taken taken = headers_of(&reply, NULL);
    check_has(taken.text, "Cache-Control: private, max-age=60\n");
    check_has(taken.text, "ETag: \"a\"\n");
    check_has(taken.text, "Connection: close\n");
    check(!strstr(taken.text, "no-store"));
    http_reply_finish(&reply);
}

static void the_head_as_text_is_whole(void)
{
    struct http_reply reply;
    char text[2048];
    http_reply_init(&reply);
    http_reply_error(&reply, API_OWN, 413, NULL, "too large");
    const size_t count = reply_headers_text(&reply, NULL, text, sizeof text);
    check_int(count, ==, strlen(text));
    check(strncmp(text, "HTTP/1.1 413 \r\nContent-Type: application/json\r\n", 47) ==
          0);
    check_has(text, "\r\nContent-Length: 52\r\n\r\n");
    check_str(text + count - 4, "\r\n\r\n");
    check_int(reply.byte_count, ==, 52u);
    /* A line that does not fit is left out whole. */
    check_int(reply_headers_text(&reply, NULL, text, 20), ==, 17u);
    http_reply_finish(&reply);
}

int main(void)
{
    check_run(the_head_as_text_is_whole);
    check_run(R19_R20_every_answer_is_what_it_says_and_is_in_no_frame);
    check_run(R14_an_origin_is_named_where_it_is_listed);
    check_run(a_replys_own_headers_count);
    return check_done();
}
