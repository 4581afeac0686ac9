/* /api/v1/jobs: jobs that nobody waits for, and what happens to them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"
#include "service/a1111_request.h"
#include "service/event_stream.h"
#include "service/failure.h"
#include "service/job_view.h"
#include "service/loose_field.h"
#include "service/query_number.h"
#include "service/route.h"

enum {
    LISTED_JOBS = 50, /* where the client does not say how many */
    MOST_LISTED_JOBS = 200
};

/* ---- one job ----------------------------------------------------------------------------- */

/* The job of the path, if the user may see it; else the reply is filled. */
static bool find_job(struct service *service, const struct http_request *request,
                     struct job_record *record, struct http_reply *reply)
{
    struct dr_error err = {0};
    const char *const id = request->segments[0];
    enum dr_code code = DR_NOT_FOUND;
    if (store_is_id(id))
        code = job_store_get(service->store, id, service_viewer(service, request),
                             record, &err);
    else
        failure(&err, code, "there is no job \"%.64s\"", id);
    if (code != DR_OK) http_reply_failure(reply, API_OWN, &err);
    return code == DR_OK;
}

static void get_job(struct service *service, const struct http_request *request,
                    struct http_reply *reply)
{
    struct job_record record = {0};
    if (!find_job(service, request, &record, reply)) return;
    struct worker_queue queue = {0};
    http_reply_json(reply, 200, job_view_json(service, &record, &queue));
    worker_queue_finish(&queue);
    job_record_finish(&record);
}

/* Cancels it, or forgets one that has ended. */
static void delete_job(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    struct job_record record = {0};
    struct dr_error err = {0};
    if (!find_job(service, request, &record, reply)) return;
    const bool is_over = record.phase != JOB_QUEUED && record.phase != JOB_RUNNING;
    const enum dr_code code =
        is_over ? job_store_forget(service->store, record.id, &err)
                : worker_cancel(service->worker, record.id, NULL, &err);
    if (code != DR_OK)
        http_reply_failure(reply, API_OWN, &err);
    else
        http_reply_json(reply, 200,
                        json_pack("{s:s,s:s}", "id", record.id, "result",
                                  is_over ? "forgotten" : "cancelled"));
    job_record_finish(&record);
}

static void get_preview(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    struct job_record record = {0};
    struct worker_progress progress;
    size_t byte_count = 0;
    if (!find_job(service, request, &record, reply)) return;
    worker_progress(service->worker, &progress);
    unsigned char *const png = strcmp(progress.job, record.id) == 0
                                   ? worker_preview(service->worker, &byte_count)
                                   : NULL;
    job_record_finish(&record);
    if (!png) {
        http_reply_error(reply, API_OWN, 404, NULL,
                         "this job has no preview: it does not run, or has not made a "
                         "step yet");
        return;
    }
    reply->status = 200;
    reply->content_type = "image/png";
    reply->bytes = png;
    reply->byte_count = byte_count;
}

static void get_job_events(struct service *service, const struct http_request *request,
                           struct http_reply *reply)
{
    struct job_record record = {0};
    if (!find_job(service, request, &record, reply)) return;
    event_stream_reply(service, request, record.id, reply);
    job_record_finish(&record);
}

/* ---- all --------------------------------------------------------------------------------- */

static void get_events(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    event_stream_reply(service, request, "", reply);
}

static void get_jobs(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    struct job_record *records = NULL;
    struct dr_error err = {0};
    int32_t count = 0;
    static const struct query_range places = {0, 0, 999999999999999999};
    static const struct query_range limits = {LISTED_JOBS, 1, MOST_LISTED_JOBS};
    int64_t before, limit;
    if (!query_number(request, "before", &places, &before, reply) ||
        !query_number(request, "limit", &limits, &limit, reply))
        return;
    const enum dr_code code =
        job_store_list(service->store, service_viewer(service, request), before,
                       (int32_t)limit, &records, &count, &err);
    if (code != DR_OK) {
        http_reply_failure(reply, API_OWN, &err);
        return;
    }
    json_t *const jobs = json_array();
    struct worker_queue queue = {0};
    for (int32_t i = 0; i < count; ++i) {
        (void)json_array_append_new(jobs, job_view_json(service, &records[i], &queue));
        job_record_finish(&records[i]);
    }
    worker_queue_finish(&queue);
    free(records);
    http_reply_json(reply, 200, json_pack("{s:o}", "jobs", jobs));
}

/* ---- a new one --------------------------------------------------------------------------- */

static bool read_kind(const struct http_request *request, enum picture_kind *kind,
                      struct dr_error *err)
{
    const char *text = "txt2img";
    if (loose_text(request->json.value, "kind", &text, err) != DR_OK) return false;
    for (*kind = PICTURE_TXT2IMG; *kind <= PICTURE_UPSCALE; ++*kind)
        if (strcmp(text, picture_kind_name(*kind)) == 0) return true;
    failure(err, DR_BAD_INPUT, "kind is \"%.40s\": it is txt2img, img2img or upscale",
            text);
    return false;
}

static void refuse(struct http_reply *reply, const char *field,
                   const struct dr_error *err)
{
    if (err->code == DR_BUSY)
        http_reply_error(reply, API_OWN, 429, NULL, "%s", err->message);
    else if (err->code == DR_UNSUPPORTED)
        http_reply_error(reply, API_OWN, 501, field, "%s", err->message);
    else if (err->code == DR_BAD_INPUT)
        http_reply_error(reply, API_OWN, 422, field, "%s", err->message);
    else
        http_reply_failure(reply, API_OWN, err);
}

/* What it takes, if that is known without waiting for the job that runs; else null. */
static json_t *forecast_in_short(struct service *service,
                                 const struct picture_request *request)
{
    struct dr_forecast forecast;
    if (worker_forecast(service->worker, request, WORKER_DOES_NOT_WAIT, &forecast,
                        NULL) != DR_OK)
        return json_null();
    json_t *const value = json_object();
    uint64_t bytes = forecast.resident_peak_bytes;
    for (int32_t i = 0; i < forecast.level_count; ++i) {
        bytes = forecast.levels[i].peak_bytes;
        if (forecast.levels[i].budget_bytes <= forecast.budget_bytes) break;
    }
    member_set_bytes(value, "private_bytes", bytes);
    member_set_bytes(value, "budget_bytes", forecast.budget_bytes);
    member_set_flag(value, "fits", forecast.fits);
    const double seconds = worker_seconds(service->worker, request, &forecast);
    if (seconds >= 0) member_set_real(value, "seconds", seconds);
    dr_forecast_free(&forecast);
    return value;
}

static void accept(struct service *service, const struct http_request *request,
                   struct a1111_request *read, struct http_reply *reply)
{
    const char *field = NULL;
    struct dr_error err = {0};
    char id[STORE_ID_BYTES];
    struct worker_submission submission = {
        .request = read->picture,
        .user = request->user ? request->user : "",
        .survives = true,
        .key = http_request_header(request, "Idempotency-Key"),
        .body_digest = request->body_digest,
        .init = read->init,
        .init_byte_count = read->init_byte_count};
    json_t *const forecast = forecast_in_short(service, &read->picture);
    const enum dr_code code =
        worker_submit(service->worker, &submission, id, &field, &err);
    read->picture = submission.request;
    if (code != DR_OK) {
        json_decref(forecast);
        refuse(reply, field, &err);
        return;
    }
    struct job_record record = {0};
    json_t *const answer = json_object();
    member_set_text(answer, "id", id);
    if (job_store_get(service->store, id, NULL, &record, NULL) == DR_OK)
        member_set_text(answer, "state", job_phase_name(record.phase));
    job_record_finish(&record);
    struct worker_queue queue = {0};
    member_set_integer(answer, "position",
                       worker_position(service->worker, &queue, id));
    worker_queue_finish(&queue);
    member_set(answer, "forecast", forecast);
    http_reply_json(reply, 202, answer);
    char location[64];
    snprintf(location, sizeof location, "/api/v1/jobs/%s", id);
    http_reply_header(reply, "Location", location);
}

static void post_job(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    struct a1111_refusal refusal = {0};
    struct a1111_request read = {0};
    enum picture_kind kind;
    if (!read_kind(request, &kind, &refusal.err)) {
        refuse(reply, "kind", &refusal.err);
        return;
    }
    const struct a1111_reading reading = {
        .service = service, .body = &request->json, .kind = kind, .keeps = true};
    if (a1111_request_read(&read, &reading, &refusal) != DR_OK)
        http_reply_error(reply, API_OWN, refusal.status, refusal.field, "%s",
                         refusal.err.message);
    else
        accept(service, request, &read, reply);
    a1111_request_finish(&read);
}

const struct route job_routes[] = {
    {HTTP_POST,                                                      "/api/v1/jobs", post_job, ROUTE_BODY_JSON, 0, API_OWN,
     "Queue a job: a body as for txt2img or img2img, with \"kind\"", "JobRequest",
     "JobAccepted"},
    {HTTP_GET,                                                      "/api/v1/jobs", get_jobs, ROUTE_BODY_NONE, 0, API_OWN,
     "The jobs, newest first (limit, before)", NULL, "JobList"},
    {HTTP_GET,                                                             "/api/v1/jobs/{id}", get_job, ROUTE_BODY_NONE, 0, API_OWN,
     "A job: its state, progress and pictures", NULL, "Job"},
    {HTTP_DELETE, "/api/v1/jobs/{id}", delete_job, ROUTE_BODY_NONE, 0, API_OWN,
     "Cancel a job, or forget one that has ended", NULL, "JobRemoved"},
    {HTTP_GET,                                                  "/api/v1/jobs/{id}/preview", get_preview, ROUTE_BODY_NONE, 0, API_OWN,
     "The newest preview of a running job, a PNG", NULL, "Picture"},
    {HTTP_GET,                                                       "/api/v1/jobs/{id}/events", get_job_events, ROUTE_BODY_NONE, ROUTE_WAITS,
     API_OWN, "What happens to a job, as Server-Sent Events", NULL, "Events"},
    {HTTP_GET,                                                      "/api/v1/events", get_events, ROUTE_BODY_NONE, ROUTE_WAITS, API_OWN,
     "What happens to jobs and memory, as Server-Sent Events", NULL, "Events"},
    {.path = NULL                                                            },
};
