#include "service/keep_alive.h"

#include "check.h"
#include "service/picture_request.h"

enum {
    UNCHANGED = 77
};

static int32_t read_value(const char *value)
{
    int32_t seconds = UNCHANGED;
    char text[100];
    snprintf(text, sizeof text, "{\"keep_alive\":%s}", value);
    json_t *const object = json_loads(text, 0, NULL);
    check_int(keep_alive_read(object, "keep_alive", &seconds, NULL), ==, DR_OK);
    json_decref(object);
    return seconds;
}

static void numbers_and_text_are_durations(void)
{
    check_int(read_value("300"), ==, 300);
    check_int(read_value("1.9"), ==, 1);
    check_int(read_value("0"), ==, 0);
    check_int(read_value("-1"), ==, KEEP_ALIVE_ALWAYS);
    check_int(read_value("\"-5\""), ==, KEEP_ALIVE_ALWAYS);
    check_int(read_value("\"5m\""), ==, 300);
    check_int(read_value("\"1.5h\""), ==, 5400);
    check_int(read_value("\"90s\""), ==, 90);
    check_int(read_value("\"90\""), ==, 90);
}

static void nothing_changes_nothing(void)
{
    check_int(read_value("null"), ==, UNCHANGED);
    check_int(read_value("\"\""), ==, UNCHANGED);
    int32_t seconds = UNCHANGED;
    check_int(keep_alive_read(NULL, "keep_alive", &seconds, NULL), ==, DR_OK);
    check_int(seconds, ==, UNCHANGED);
}

static void what_is_no_duration_is_refused(void)
{
    static const char *const values[] = {"\"soon\"", "\"5 m\"", "\"5mm\"", "true",
                                         "[]",       "1e300",   "\"nan\"", "\"m\""};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        struct dr_error err = {0};
        int32_t seconds = UNCHANGED;
        char text[100];
        snprintf(text, sizeof text, "{\"keep_alive\":%s}", values[i]);
        json_t *const object = json_loads(text, 0, NULL);
        check_int(keep_alive_read(object, "keep_alive", &seconds, &err), ==,
                  DR_BAD_INPUT);
        check_has(err.message, "keep_alive is");
        check_int(seconds, ==, UNCHANGED);
        json_decref(object);
    }
}

int main(void)
{
    check_run(numbers_and_text_are_durations);
    check_run(nothing_changes_nothing);
    check_run(what_is_no_duration_is_refused);
    return check_done();
}
