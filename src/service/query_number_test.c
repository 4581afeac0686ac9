#include "service/query_number.h"

#include "check.h"

static const struct query_range range = {.fallback = 50, .least = 1, .most = 200};

/* The number; -1 where it is refused. */
static int64_t read_text(const char *text)
{
    const struct http_field field = {"limit", text};
    const struct http_request request = {.query = &field, .query_count = text ? 1 : 0};
    struct http_reply reply;
    int64_t number;
    http_reply_init(&reply);
    const bool is_read = query_number(&request, "limit", &range, &number, &reply);
    if (!is_read) {
        check_int(reply.status, ==, 400);
        check(strstr(reply.bytes, "\"field\":\"limit\"") != NULL);
    }
    http_reply_finish(&reply);
    return is_read ? number : -1;
}

static void numbers_of_the_range_are_read(void)
{
    check_int(read_text("1"), ==, 1);
    check_int(read_text("200"), ==, 200);
    check_int(read_text("007"), ==, 7);
    check_int(read_text(NULL), ==, 50);
    check_int(read_text(""), ==, 50);
}

static void everything_else_is_refused(void)
{
    static const char *const texts[] = {"0",   "201", "-1",
                                        "1.5", "a",   "1 ",
                                        "+1",  "0x1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i)
        check_int(read_text(texts[i]), ==, -1);
}

int main(void)
{
    check_run(numbers_of_the_range_are_read);
    check_run(everything_else_is_refused);
    return check_done();
}
