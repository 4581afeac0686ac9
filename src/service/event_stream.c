#include "service/event_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/job_store.h"

struct event_stream {
    struct service *service;
    char job[STORE_ID_BYTES];
    char user[64];
    const char *viewer; /* user, or NULL: sees all */
    uint64_t after;
    bool is_new;  /* nothing was sent yet, and the client did not say where it was */
    bool has_end; /* the job's last state was sent */
    bool (*is_gone)(void *cookie); /* of the request; NULL: never */
    void *cookie;
};

enum {
    LOOK_MS = 1000 /* how often a stream that waits looks whether its client is there */
};

static size_t put(char *bytes, size_t capacity, const char *text)
{
    const size_t length = strlen(text);
    if (length > capacity) return 0;
    memcpy(bytes, text, length);
    return length;
}

static bool is_over(enum job_phase phase)
{
    return phase != JOB_QUEUED && phase != JOB_RUNNING;
}

/* What the job is now; without an id, so that the client's place in the log stays. */
static size_t put_state(struct event_stream *stream, char *bytes, size_t capacity)
{
    struct job_record record = {0};
    char text[128];
    if (job_store_get(stream->service->store, stream->job, NULL, &record, NULL) !=
        DR_OK)
        return 0;
    snprintf(text, sizeof text,
             "event: state\ndata: {\"id\":\"%s\",\"state\":\"%s\"}\n\n", record.id,
             job_phase_name(record.phase));
    stream->has_end = is_over(record.phase);
    job_record_finish(&record);
    return put(bytes, capacity, text);
}

/* Is it the event of a job that has ended? */
static bool ends_job(const char *bytes, size_t length)
{
    static const enum job_phase ends[] = {JOB_DONE, JOB_FAILED, JOB_CANCELLED};
    char event[256], state[32];
    if (length >= sizeof event) return false;
    memcpy(event, bytes, length);
    event[length] = '\0';
    if (!strstr(event, "\nevent: state\n")) return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; ++i) {
        snprintf(state, sizeof state, "\"state\":\"%s\"", job_phase_name(ends[i]));
        if (strstr(event, state)) return true;
    }
    return false;
}

static size_t read_events(void *cookie, char *bytes, size_t capacity)
{
    struct event_stream *const stream = cookie;
    struct event_log *const log = stream->service->events;
    if (stream->has_end) return 0;
    if (stream->is_new) {
        stream->is_new = false;
        const size_t length = *stream->job ? put_state(stream, bytes, capacity)
                                           : put(bytes, capacity, ": events\n\n");
        if (length > 0) return length;
    }
    for (int waited_ms = 0; waited_ms < 1000 * EVENT_STREAM_PING_S;
         waited_ms += LOOK_MS) {
        const size_t length =
            event_log_next(log, stream->after, stream->job, stream->viewer, LOOK_MS,
                           bytes, capacity, &stream->after);
        if (length > 0) {
            stream->has_end = *stream->job && ends_job(bytes, length);
            return length;
        }
        if (event_log_is_closed(log) ||
            (stream->is_gone && stream->is_gone(stream->cookie)))
            return 0;
    }
    return event_log_is_closed(log) ? 0 : put(bytes, capacity, ": ping\n\n");
}

static void close_events(void *cookie)
{
    free(cookie);
}

void event_stream_reply(struct service *service, const struct http_request *request,
                        const char *job, struct http_reply *reply)
{
    struct event_stream *const stream = calloc(1, sizeof *stream);
    if (!stream) {
        http_reply_error(reply, API_OWN, 503, NULL, "there is no memory for a stream");
        return;
    }
    const char *const last = http_request_header(request, "Last-Event-ID");
    const char *const viewer = service_viewer(service, request);
    stream->service = service;
    stream->is_gone = request->is_gone;
    stream->cookie = request->cookie;
    snprintf(stream->job, sizeof stream->job, "%s", job);
    if (viewer) {
        snprintf(stream->user, sizeof stream->user, "%s", viewer);
        stream->viewer = stream->user;
    }
    stream->is_new = !last;
    stream->after = last ? strtoull(last, NULL, 10) : event_log_last(service->events);
    reply->status = 200;
    reply->content_type = "text/event-stream";
    reply->kind = HTTP_BODY_STREAM;
    reply->read = read_events;
    reply->close = close_events;
    reply->cookie = stream;
    http_reply_header(reply, "X-Accel-Buffering", "no");
}
