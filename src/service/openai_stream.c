#include "service/openai_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "front/member.h"
#include "service/base64.h"
#include "service/openai_answer.h"

enum {
    WAIT_MS = 250,   /* for an event, before the job is looked at */
    PAUSE_MS = 50,   /* where events do not wait, since the service stops */
    QUIET_MS = 15000 /* then a comment, so that nobody takes the connection for dead */
};

struct stream {
    struct service *service;
    char job[STORE_ID_BYTES];
    struct worker_hold hold; /* on the job */
    char base[OPENAI_BASE_BYTES];
    bool gives_url;
    int32_t partial_count, partial_limit;
    bool (*is_gone)(void *cookie);
    void *cookie;
    uint64_t event; /* the last that was seen */
    double said_ms; /* when the client last got something */
    bool has_ended; /* the job */
    struct openai_pictures pictures;
    int32_t picture; /* the next to be sent */
    char *text;      /* that is being sent; NULL: none */
    size_t length, sent;
};

/* ---- events ------------------------------------------------------------------------------ */

/* Takes data. Without memory the stream ends. */
static void say(struct stream *stream, const char *type, json_t *data_take)
{
    member_set_text(data_take, "type", type);
    char *const data = json_dumps(data_take, JSON_COMPACT);
    json_decref(data_take);
    const size_t room = data ? strlen(data) + strlen(type) + 32 : 0;
    stream->text = data ? malloc(room) : NULL;
    stream->sent = 0;
    stream->length = stream->text
                         ? (size_t)snprintf(stream->text, room,
                                            "event: %s\ndata: %s\n\n", type, data)
                         : 0;
    free(data);
}

static void say_error(struct stream *stream, const struct dr_error *err)
{
    json_t *const error = json_object(), *const data = json_object();
    member_set_text(error, "message", err->message);
    member_set_text(error, "type",
                    dr_code_http(err->code) < 500 ? "invalid_request_error"
                                                  : "server_error");
    member_set(error, "param", json_null());
    member_set_text(error, "code", dr_code_name(err->code));
    member_set(data, "error", error);
    say(stream, "error", data);
}

static void say_comment(struct stream *stream)
{
    stream->text = strdup(": the job has not ended\n\n");
    stream->length = stream->text ? strlen(stream->text) : 0;
    stream->sent = 0;
}

static bool is_running(struct stream *stream, struct worker_progress *progress)
{
    worker_progress(stream->service->worker, progress);
    return progress->is_running && strcmp(progress->job, stream->job) == 0;
}

static void say_partial(struct stream *stream)
{
    struct worker_progress progress;
    size_t byte_count = 0;
    if (stream->partial_count == stream->partial_limit ||
        !is_running(stream, &progress))
        return;
    unsigned char *const png = worker_preview(stream->service->worker, &byte_count);
    /* Still the same job: then the preview is its own. */
    if (png && is_running(stream, &progress)) {
        json_t *const data = json_object();
        member_set(data, "b64_json", base64_json(png, byte_count));
        member_set_integer(data, "partial_image_index", stream->partial_count++);
        member_set_integer(data, "created_at", (int64_t)progress.created_s);
        member_set_text(data, "output_format", "png");
        say(stream, "image_generation.partial_image", data);
    }
    free(png);
}

static void say_picture(struct stream *stream)
{
    const struct gallery_picture *const picture =
        &stream->pictures.list[stream->picture++];
    struct dr_error err = {0};
    json_t *const data = json_object();
    const enum dr_code code =
        openai_answer_add_picture(data, stream->service->store, picture,
                                  stream->gives_url ? stream->base : NULL, &err);
    if (code != DR_OK) {
        json_decref(data);
        say_error(stream, &err);
        return;
    }
    openai_answer_describe(data, "created_at", picture);
    member_set(data, "usage", json_null());
    say(stream, "image_generation.completed", data);
}

/* ---- the job ----------------------------------------------------------------------------- */

static void look_for_end(struct stream *stream)
{
    struct job_record record = {0};
    struct dr_error err = {0};
    struct store *const store = stream->service->store;
    enum dr_code code = job_store_get(store, stream->job, NULL, &record, &err);
    if (code == DR_OK && (record.phase == JOB_QUEUED || record.phase == JOB_RUNNING)) {
        job_record_finish(&record);
        return;
    }
    if (code == DR_OK) code = openai_answer_error(&record, &err);
    if (code == DR_OK)
        code = openai_pictures_read(&stream->pictures, store, stream->job, &err);
    job_record_finish(&record);
    stream->has_ended = true;
    if (code != DR_OK) say_error(stream, &err);
}

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* Waits for the next event of the job. */
static void wait_for_event(struct stream *stream)
{
    char event[1024];
    const double before_ms = dr_clock_ms();
    const size_t length =
        event_log_next(stream->service->events, stream->event, stream->job, NULL,
                       WAIT_MS, event, sizeof event - 1, &stream->event);
    event[length] = '\0';
    if (length > 0 && strstr(event, "event: preview\n")) {
        say_partial(stream);
        return;
    }
    if (length == 0 && dr_clock_ms() - before_ms < PAUSE_MS) pause_ms(PAUSE_MS);
    if (length == 0 || strstr(event, "event: state\n")) look_for_end(stream);
    if (!stream->text && dr_clock_ms() - stream->said_ms > QUIET_MS)
        say_comment(stream);
}

/* ---- the reply's stream ------------------------------------------------------------------ */

static size_t read_stream(void *cookie, char *bytes, size_t capacity)
{
    struct stream *const stream = cookie;
    while (!stream->text) {
        if (stream->is_gone && stream->is_gone(stream->cookie)) return 0;
        if (!stream->has_ended)
            wait_for_event(stream);
        else if (stream->picture < stream->pictures.count)
            say_picture(stream);
        else
            return 0;
    }
    size_t count = stream->length - stream->sent;
    if (count > capacity) count = capacity;
    memcpy(bytes, stream->text + stream->sent, count);
    stream->sent += count;
    stream->said_ms = dr_clock_ms();
    if (stream->sent == stream->length) {
        free(stream->text);
        stream->text = NULL;
    }
    return count;
}

static void close_stream(void *cookie)
{
    struct stream *const stream = cookie;
    worker_leave(stream->service->worker, &stream->hold);
    openai_pictures_finish(&stream->pictures);
    free(stream->text);
    free(stream);
}

void openai_stream_start(struct service *service, const struct http_request *request,
                         const struct openai_request *wanted, const char *job,
                         struct http_reply *reply)
{
    struct stream *const stream = calloc(1, sizeof *stream);
    if (!stream) {
        http_reply_error(reply, API_OPENAI, 503, NULL, "there is no memory for events");
        return;
    }
    stream->service = service;
    memcpy(stream->job, job, sizeof stream->job);
    openai_base(request, stream->base);
    stream->gives_url = wanted->gives_url;
    stream->partial_limit = wanted->partial_count;
    stream->is_gone = request->is_gone;
    stream->cookie = request->cookie;
    stream->said_ms = dr_clock_ms();
    reply->status = 200;
    reply->content_type = "text/event-stream";
    reply->kind = HTTP_BODY_STREAM;
    reply->read = read_stream;
    reply->close = close_stream;
    reply->cookie = stream;
    worker_hold(service->worker, &stream->hold, stream->job);
}
