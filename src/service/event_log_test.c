#include "service/event_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

static char bytes[4096];

static json_t *data(int value)
{
    return json_pack("{s:i}", "value", value);
}

/* The next event's text without waiting; "" for none. */
static const char *next(struct event_log *log, uint64_t *number, const char *job,
                        const char *user)
{
    const size_t length =
        event_log_next(log, *number, job, user, 0, bytes, sizeof bytes, number);
    bytes[length] = '\0';
    return bytes;
}

static void events_come_in_order_as_sse(void)
{
    struct event_log *const log = event_log_create();
    uint64_t number = 0;
    check_int(event_log_last(log), ==, 0);
    check_str(next(log, &number, "", NULL), "");
    event_log_add(log, "state", "a", "", data(1));
    event_log_add(log, "image", "a", "", data(2));
    check_int(event_log_last(log), ==, 2);
    check_str(next(log, &number, "", NULL),
              "id: 1\nevent: state\ndata: {\"value\":1}\n\n");
    check_str(next(log, &number, "", NULL),
              "id: 2\nevent: image\ndata: {\"value\":2}\n\n");
    check_str(next(log, &number, "", NULL), "");
    check_int(number, ==, 2);
    event_log_destroy(log);
}

static void each_sees_its_own(void)
{
    struct event_log *const log = event_log_create();
    uint64_t all = 0, job = 0, ann = 0;
    event_log_add(log, "state", "a", "ann", data(1));
    event_log_add(log, "state", "b", "bob", data(2));
    event_log_add(log, "memory", "", "", data(3));
    check_has(next(log, &all, "", NULL), "id: 1\n");
    check_has(next(log, &all, "", NULL), "id: 2\n");
    check_has(next(log, &job, "b", NULL), "id: 2\n");
    check_str(next(log, &job, "b", NULL), "");
    check_has(next(log, &ann, "", "ann"), "id: 1\n");
    check_has(next(log, &ann, "", "ann"), "id: 3\n");
    ann = 0;
    check_str(next(log, &ann, "b", "ann"), "");
    event_log_destroy(log);
}

static void progress_replaces_what_nobody_read(void)
{
    struct event_log *const log = event_log_create();
    uint64_t number = 0;
    event_log_add(log, "progress", "a", "", data(1));
    event_log_add(log, "progress", "b", "", data(2));
    event_log_add(log, "preview", "a", "", data(3));
    event_log_add(log, "progress", "a", "", data(4));
    check_has(next(log, &number, "", NULL), "id: 2\n");
    check_has(next(log, &number, "", NULL), "id: 3\n");
    check_has(next(log, &number, "", NULL), "\"value\":4");
    check_str(next(log, &number, "", NULL), "");
    event_log_destroy(log);
}

static void the_oldest_events_go(void)
{
    struct event_log *const log = event_log_create();
    uint64_t number = 0;
    for (int i = 0; i < 3 * EVENT_LOG_COUNT; ++i)
        event_log_add(log, "state", "a", "", data(i));
    int count = 0;
    check_has(next(log, &number, "", NULL), "id: 2049\n");
    for (count = 1; *next(log, &number, "", NULL); ++count)
        ;
    check_int(count, ==, EVENT_LOG_COUNT);
    event_log_destroy(log);
}

/* All texts together stay within EVENT_LOG_BYTES, and one that is larger alone is left out. */
static void text_is_bounded(void)
{
    struct event_log *const log = event_log_create();
    char *const text = malloc(EVENT_LOG_BYTES + 1);
    memset(text, 'x', EVENT_LOG_BYTES);
    text[EVENT_LOG_BYTES] = '\0';
    event_log_add(log, "state", "", "", json_string(text));
    check_int(event_log_last(log), ==, 0);
    text[EVENT_LOG_BYTES / 4] = '\0';
    for (int i = 0; i < 12; ++i)
        event_log_add(log, "state", "", "", json_pack("{s:s}", "text", text));
    char *const room = malloc(EVENT_LOG_BYTES);
    uint64_t number = 0;
    int count = 0;
    while (event_log_next(log, number, "", NULL, 0, room, EVENT_LOG_BYTES, &number))
        ++count;
    check_int(count, ==, 3);
    check_has(room, text); /* the newest is whole */
    /* It is too long for this reader, who goes on behind it. */
    number = 0;
    event_log_add(log, "state", "", "", data(5));
    check_has(next(log, &number, "", NULL), "\"value\":5");
    free(room);
    free(text);
    event_log_destroy(log);
}

/* Texts of many lengths go round the ring: those that are kept are whole, the newest ones, and in order. */
static void texts_stay_whole_round_the_ring(void)
{
    struct event_log *const log = event_log_create();
    static char text[EVENT_LOG_BYTES / 3], room[EVENT_LOG_BYTES];
    uint32_t state = 7;
    for (int i = 0; i < 5000; ++i) {
        state = state * 1664525u + 1013904223u;
        const size_t length = (state >> 8) % (i % 50 == 0 ? sizeof text : 2000);
        memset(text, 'a' + i % 26, length);
        text[length] = '\0';
        event_log_add(log, "state", "a", "", json_pack("{s:i,s:s}", "n", i, "t", text));
        if (i % 100) continue;
        uint64_t number = 0;
        int next_n = -1;
        while (event_log_next(log, number, "", NULL, 0, room, sizeof room, &number)) {
            json_t *const value = json_loads(strstr(room, "data: ") + 6, 0, NULL);
            const int n = (int)json_integer_value(json_object_get(value, "n"));
            const char *const t = json_string_value(json_object_get(value, "t"));
            check(value && (next_n < 0 || n == next_n));
            check(t && strspn(t, (char[]){(char)('a' + n % 26), '\0'}) == strlen(t));
            json_decref(value);
            next_n = n + 1;
        }
        check_int(next_n, ==, i + 1);
    }
    event_log_destroy(log);
}

static void a_number_from_another_run_starts_anew(void)
{
    struct event_log *const log = event_log_create();
    uint64_t number = 5000;
    event_log_add(log, "state", "a", "", data(1));
    check_has(next(log, &number, "", NULL), "id: 1\n");
    event_log_destroy(log);
}

static void *add_later(void *cookie)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    event_log_add(cookie, "state", "a", "", data(9));
    return NULL;
}

static void a_reader_waits_for_what_comes(void)
{
    struct event_log *const log = event_log_create();
    pthread_t thread;
    uint64_t number = 0;
    check_int(pthread_create(&thread, NULL, add_later, log), ==, 0);
    const size_t length =
        event_log_next(log, 0, "", NULL, 60000, bytes, sizeof bytes, &number);
    check_int(length, >, 0);
    check_int(number, ==, 1);
    pthread_join(thread, NULL);
    check_int(event_log_next(log, 1, "", NULL, 1, bytes, sizeof bytes, &number), ==, 0);
    event_log_destroy(log);
}

static void *close_later(void *cookie)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    event_log_close(cookie);
    return NULL;
}

static void closing_wakes_all(void)
{
    struct event_log *const log = event_log_create();
    pthread_t thread;
    uint64_t number = 0;
    check_int(pthread_create(&thread, NULL, close_later, log), ==, 0);
    check_int(event_log_next(log, 0, "", NULL, 3600000, bytes, sizeof bytes, &number),
              ==, 0);
    pthread_join(thread, NULL);
    event_log_destroy(log);
}

int main(void)
{
    check_run(events_come_in_order_as_sse);
    check_run(each_sees_its_own);
    check_run(progress_replaces_what_nobody_read);
    check_run(the_oldest_events_go);
    check_run(text_is_bounded);
    check_run(texts_stay_whole_round_the_ring);
    check_run(a_number_from_another_run_starts_anew);
    check_run(a_reader_waits_for_what_comes);
    check_run(closing_wakes_all);
    return check_done();
}
