#include "service/event_log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/store.h"
#include "service/wait_clock.h"

/* A ring of events, ascending by number without gaps between `first` and `next`: slot number % EVENT_LOG_COUNT. Their texts
 * lie in a second ring, each in one piece and in the same order, so that the oldest event has the oldest text. */
struct logged_event {
    const char *type;
    char job[STORE_ID_BYTES];
    char user[64];
    size_t at, text_bytes; /* in the ring, with the terminator */
    bool is_dropped;       /* a newer one has replaced it */
};

struct event_log {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct logged_event events[EVENT_LOG_COUNT];
    uint64_t first, next; /* numbers: the oldest that is kept, the one to come */
    size_t end; /* where the next text begins, if there is room before the ring ends */
    bool is_closed;
    char texts[EVENT_LOG_BYTES];
};

struct event_log *event_log_create(void)
{
    struct event_log *const log = calloc(1, sizeof *log);
    if (!log) return NULL;
    /* Other than zero, so that all of its pages are there now. */
    memset(log->texts, ' ', sizeof log->texts);
    log->first = log->next = 1;
    pthread_mutex_init(&log->lock, NULL);
    wait_clock_init(&log->arrived);
    return log;
}

static struct logged_event *event_at(struct event_log *log, uint64_t number)
{
    return &log->events[number % EVENT_LOG_COUNT];
}

void event_log_destroy(struct event_log *log)
{
    if (!log) return;
    pthread_cond_destroy(&log->arrived);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* Progress and previews are of interest only until the next one. */
static bool is_replaced(const char *type)
{
    return strcmp(type, "progress") == 0 || strcmp(type, "preview") == 0;
}

static void replace_older(struct event_log *log, const char *type, const char *job)
{
    for (uint64_t number = log->next; number-- > log->first;) {
        struct logged_event *const event = event_at(log, number);
        if (event->is_dropped || strcmp(event->type, type) != 0 ||
            strcmp(event->job, job) != 0)
            continue;
        event->is_dropped = true;
        return; /* it had replaced those before it */
    }
}

/* Would a text at this place overwrite one that is kept? */
static bool is_taken(struct event_log *log, size_t at, size_t text_bytes)
{
    for (uint64_t number = log->first; number < log->next; ++number) {
        const struct logged_event *const event = event_at(log, number);
        if (event->at < at + text_bytes && at < event->at + event->text_bytes)
            return true;
    }
    return false;
}

/* The place for a text, from which the oldest events have gone. */
static size_t make_room(struct event_log *log, size_t text_bytes)
{
    const size_t at = log->end + text_bytes <= EVENT_LOG_BYTES ? log->end : 0;
    while (log->first < log->next &&
           (log->next - log->first >= EVENT_LOG_COUNT || is_taken(log, at, text_bytes)))
        ++log->first;
    return at;
}

void event_log_add(struct event_log *log, const char *type, const char *job,
                   const char *user, json_t *data_take)
{
    char *const text =
        data_take ? json_dumps(data_take, JSON_COMPACT | JSON_REAL_PRECISION(12))
                  : NULL;
    json_decref(data_take);
    const size_t text_bytes = text ? strlen(text) + 1 : 0;
    if (!text || text_bytes > EVENT_LOG_BYTES) {
        free(text);
        return;
    }
    pthread_mutex_lock(&log->lock);
    if (is_replaced(type)) replace_older(log, type, job);
    const size_t at = make_room(log, text_bytes);
    memcpy(log->texts + at, text, text_bytes);
    log->end = at + text_bytes;
    struct logged_event *const event = event_at(log, log->next++);
    *event = (struct logged_event){.type = type, .at = at, .text_bytes = text_bytes};
    snprintf(event->job, sizeof event->job, "%s", job);
    snprintf(event->user, sizeof event->user, "%s", user);
    pthread_cond_broadcast(&log->arrived);
    pthread_mutex_unlock(&log->lock);
    free(text);
}

static bool is_for(const struct logged_event *event, const char *job, const char *user)
{
    if (*job && strcmp(event->job, job) != 0) return false;
    return !user || !*event->user || strcmp(event->user, user) == 0;
}

/* Writes the first event after *number that is for them; *number is the last one that was looked at. */
static size_t write_next(struct event_log *log, const char *job, const char *user,
                         char *bytes, size_t capacity, uint64_t *number)
{
    if (*number + 1 < log->first) *number = log->first - 1;
    while (*number + 1 < log->next) {
        const struct logged_event *const event = event_at(log, ++*number);
        if (event->is_dropped || !is_for(event, job, user)) continue;
        const int length =
            snprintf(bytes, capacity, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n",
                     *number, event->type, log->texts + event->at);
        if (length > 0 && (size_t)length < capacity) return (size_t)length;
    }
    return 0;
}

size_t event_log_next(struct event_log *log, uint64_t after, const char *job,
                      const char *user, double wait_ms, char *bytes, size_t capacity,
                      uint64_t *number)
{
    const struct timespec until = wait_clock_after(wait_ms);
    size_t length;
    pthread_mutex_lock(&log->lock);
    /* A number from before a restart is ahead of ours: then all that is kept is new. */
    *number = after < log->next ? after : 0;
    while ((length = write_next(log, job, user, bytes, capacity, number)) == 0 &&
           !log->is_closed && wait_ms > 0)
        if (pthread_cond_timedwait(&log->arrived, &log->lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&log->lock);
    return length;
}

uint64_t event_log_last(struct event_log *log)
{
    pthread_mutex_lock(&log->lock);
    const uint64_t last = log->next - 1;
    pthread_mutex_unlock(&log->lock);
    return last;
}

void event_log_close(struct event_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->is_closed = true;
    pthread_cond_broadcast(&log->arrived);
    pthread_mutex_unlock(&log->lock);
}

bool event_log_is_closed(struct event_log *log)
{
    pthread_mutex_lock(&log->lock);
    const bool is_closed = log->is_closed;
    pthread_mutex_unlock(&log->lock);
    return is_closed;
}
