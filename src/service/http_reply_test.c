#include "service/http_reply.h"

#include <string.h>

#include "check.h"

static bool has(const struct http_reply *reply, const char *text)
{
    return reply->bytes && strstr(reply->bytes, text) != NULL;
}

static bool has_header(const struct http_reply *reply, const char *name,
                       const char *value)
{
    for (size_t i = 0; i < reply->header_count; ++i)
        if (strcmp(reply->headers[i].name, name) == 0)
            return strcmp(reply->headers[i].value, value) == 0;
    return false;
}

static void an_error_has_the_shape_of_its_api(void)
{
    struct http_reply reply;
    http_reply_init(&reply);
    http_reply_error(&reply, API_A1111, 422, "width", "width is %d", 0);
    check_int(reply.status, ==, 422);
    check(has(&reply, "\"detail\":\"width is 0\"") &&
          has(&reply, "\"message\":\"width is 0\""));
    http_reply_finish(&reply);
    http_reply_init(&reply);
    http_reply_error(&reply, API_OPENAI, 400, "size", "size is wrong");
    check(has(&reply, "\"param\":\"size\"") && has(&reply, "invalid_request_error"));
    check(has_header(&reply, "x-should-retry", "false"));
    http_reply_finish(&reply);
    http_reply_init(&reply);
    http_reply_error(&reply, API_OWN, 429, NULL, "64 jobs wait");
    check(has(&reply,
              "{\"error\":{\"code\":\"queue_full\",\"message\":\"64 jobs wait\"}}"));
    check(has_header(&reply, "Retry-After", "5"));
    http_reply_finish(&reply);
}

static void an_answer_holds_no_markup(void)
{
    struct http_reply reply;
    http_reply_init(&reply);
    http_reply_json(&reply, 200,
                    json_pack("{s:s}", "info", "<script>alert(1)</script>"));
    check(strchr(reply.bytes, '<') == NULL);
    json_t *const read = json_loads(reply.bytes, 0, NULL);
    check_str(json_string_value(json_object_get(read, "info")),
              "<script>alert(1)</script>");
    json_decref(read);
    http_reply_finish(&reply);
}

static void a_header_takes_no_line_break(void)
{
    struct http_reply reply;
    http_reply_init(&reply);
    http_reply_header(&reply, "Location", "a\r\nSet-Cookie: b");
    check_int(reply.header_count, ==, 0u);
    http_reply_header(&reply, "Allow", "GET");
    check_int(reply.header_count, ==, 1u);
    http_reply_finish(&reply);
}

int main(void)
{
    check_run(an_error_has_the_shape_of_its_api);
    check_run(an_answer_holds_no_markup);
    check_run(a_header_takes_no_line_break);
    return check_done();
}
