/* A1111's routes that make pictures or read them: txt2img, img2img, the extras, png-info, interrogate.
 *
 * A request waits for its job; its answer has the pictures as base64, read from the gallery's files while it is sent
 * (picture_stream.h). A job that was interrupted answers with the pictures that it has. */
#include <stdlib.h>
#include <string.h>

#include "front/member.h"
#include "service/a1111_info.h"
#include "service/a1111_request.h"
#include "service/base64.h"
#include "service/failure.h"
#include "service/infotext.h"
#include "service/picture_header.h"
#include "service/picture_stream.h"
#include "service/route.h"
#include "service/service.h"

/* 422 for a wrong value, as A1111 has it; field: which, or NULL. A job that is not accepted may come again: 429. */
static void refuse(struct http_reply *reply, const char *field,
                   const struct dr_error *err)
{
    if (err->code == DR_BAD_INPUT || err->code == DR_BUSY)
        http_reply_error(reply, API_A1111, err->code == DR_BUSY ? 429 : 422, field,
                         "%s", err->message);
    else
        http_reply_failure(reply, API_A1111, err);
}

/* ---- the answer -------------------------------------------------------------------------- */

/* `info` is a text that holds JSON. */
static char *print_info(const struct a1111_made *made)
{
    json_t *const info = a1111_info_json(made);
    char *const text = info ? json_dumps(info, JSON_COMPACT) : NULL;
    json_decref(info);
    json_t *const string = text ? json_string(text) : NULL;
    free(text);
    return http_reply_print(string);
}

static enum dr_code add_pictures(struct picture_stream *stream,
                                 const struct a1111_made *made, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; made->sends_images && i < made->count && code == DR_OK; ++i) {
        code = picture_stream_add(stream, i ? "\",\"" : "\"", err);
        if (code == DR_OK)
            code = picture_stream_add_picture(stream, &made->pictures[i], err);
        if (code == DR_OK && i + 1 == made->count)
            code = picture_stream_add(stream, "\"", err);
    }
    return code;
}

/* init: what include_init_images asks for, as base64; NULL. It is taken. */
static char *print_parameters(const struct a1111_made *made, json_t *init_take)
{
    json_t *const parameters = a1111_info_parameters(made);
    if (init_take) member_set(parameters, "init_images", json_pack("[o]", init_take));
    return http_reply_print(parameters);
}

static void reply_made(struct http_reply *reply, struct store *store,
                       const struct a1111_made *made, json_t *init_take)
{
    struct dr_error err = {0};
    struct picture_stream *const stream = picture_stream_create(store);
    enum dr_code code = stream ? picture_stream_add(stream, "{\"images\":[", &err)
                               : failure_memory(&err, "the answer");
    if (code == DR_OK) code = add_pictures(stream, made, &err);
    if (code == DR_OK) code = picture_stream_add(stream, "],\"parameters\":", &err);
    char *const parameters = print_parameters(made, init_take);
    if (code == DR_OK)
        code = picture_stream_add_take(stream, parameters, &err);
    else
        free(parameters);
    if (code == DR_OK) code = picture_stream_add(stream, ",\"info\":", &err);
    if (code == DR_OK) code = picture_stream_add_take(stream, print_info(made), &err);
    if (code == DR_OK) code = picture_stream_add(stream, "}", &err);
    if (code == DR_OK) {
        picture_stream_reply_take(stream, reply);
        return;
    }
    picture_stream_destroy(stream);
    refuse(reply, NULL, &err);
}

/* ---- a job ------------------------------------------------------------------------------- */

/* wanted->picture is taken where the job is accepted. */
static enum dr_code submit(struct service *service, const struct http_request *request,
                           struct a1111_request *wanted, char job[STORE_ID_BYTES],
                           const char **field, struct dr_error *err)
{
    const char *const key = http_request_header(request, "Idempotency-Key");
    struct worker_submission submission = {.request = wanted->picture,
                                           .init = wanted->init,
                                           .init_byte_count = wanted->init_byte_count,
                                           .user = request->user,
                                           .survives =
                                               wanted->keeps_on_disconnect || key,
                                           .key = key,
                                           .body_digest = request->body_digest,
                                           .joins = key != NULL};
    enum dr_code code = DR_OK;
    /* Settings that stay are set as the job is accepted; it has them by itself too. */
    if (wanted->change_count > 0)
        code = worker_apply(service->worker, wanted->changes, wanted->change_count,
                            NULL, false, NULL, err);
    if (code == DR_OK)
        code = worker_submit(service->worker, &submission, job, field, err);
    wanted->picture = submission.request;
    return code;
}

static void answer_record(struct service *service, const struct job_record *record,
                          const struct a1111_request *wanted, json_t *init_take,
                          struct http_reply *reply)
{
    struct dr_error err = {0};
    struct gallery_picture *pictures = NULL;
    int32_t count = 0;
    enum dr_code code = DR_OK;
    if (record->phase == JOB_FAILED)
        code = failure(&err, record->code == DR_OK ? DR_FAILED : record->code, "%s",
                       record->error ? record->error : "the job failed");
    if (code == DR_OK)
        code = gallery_of_job(service->store, record->id, &pictures, &count, &err);
    if (code == DR_OK) {
        const struct a1111_made made = {.record = record,
                                        .pictures = pictures,
                                        .count = count,
                                        .models = service->models,
                                        .sends_images = wanted->sends_images};
        reply_made(reply, service->store, &made, init_take);
    } else {
        json_decref(init_take);
        refuse(reply, NULL, &err);
    }
    for (int32_t i = 0; i < count; ++i)
        gallery_picture_finish(&pictures[i]);
    free(pictures);
}

static void make(struct service *service, const struct http_request *request,
                 enum picture_kind kind, struct http_reply *reply)
{
    struct a1111_request wanted;
    struct a1111_refusal refusal;
    struct dr_error err = {0};
    struct job_record record = {0};
    char job[STORE_ID_BYTES];
    const char *field = NULL;
    const struct a1111_reading reading = {.service = service,
                                          .body = &request->json,
                                          .kind = kind};
    if (a1111_request_read(&wanted, &reading, &refusal) != DR_OK) {
        http_reply_error(reply, API_A1111, refusal.status, refusal.field, "%s",
                         refusal.err.message);
        return;
    }
    enum dr_code code = submit(service, request, &wanted, job, &field, &err);
    if (code == DR_OK)
        code = worker_wait(service->worker, job, request->is_gone, request->cookie,
                           &record, &err);
    if (code == DR_OK)
        answer_record(service, &record, &wanted,
                      wanted.includes_init && wanted.init
                          ? base64_json(wanted.init, wanted.init_byte_count)
                          : NULL,
                      reply);
    else
        refuse(reply, field, &err);
    job_record_finish(&record);
    a1111_request_finish(&wanted);
}

static void txt2img(struct service *service, const struct http_request *request,
                    struct http_reply *reply)
{
    make(service, request, PICTURE_TXT2IMG, reply);
}

static void img2img(struct service *service, const struct http_request *request,
                    struct http_reply *reply)
{
    make(service, request, PICTURE_IMG2IMG, reply);
}

/* ---- pictures that come ------------------------------------------------------------------ */

static void png_info(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    struct dr_error err = {0};
    struct picture_header header;
    char *text = NULL;
    const struct json_body_blob *const blob =
        json_body_blob(&request->json, json_object_get(request->json.value, "image"));
    enum dr_code code = DR_OK;
    if (!blob)
        code = failure(&err, DR_BAD_INPUT, "image has no picture");
    else if (blob->problem)
        code = failure(&err, DR_BAD_INPUT, "image %s", blob->problem);
    if (code == DR_OK)
        code = picture_header_read(blob->bytes, blob->byte_count, "image",
                                   service->options->most_pixels, &header, &err);
    if (code == DR_OK)
        code = dr_read_parameters_memory(blob->bytes, blob->byte_count, &text, &err);
    if (code != DR_OK) {
        refuse(reply, "image", &err);
        return;
    }
    json_t *const answer = json_object(), *const items = json_object();
    member_set_text(answer, "info", text ? text : "");
    if (text) member_set_text(items, "parameters", text);
    member_set(answer, "items", items);
    member_set(answer, "parameters", text ? infotext_json(text) : json_object());
    http_reply_json(reply, 200, answer);
    free(text);
}

static void extras(struct service *service, const struct http_request *request,
                   struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_error(reply, API_A1111, 501, NULL,
                     "upscaling is not built yet: make the picture in the size that is "
                     "wanted");
}

static void interrogate(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_error(reply, API_A1111, 501, NULL,
                     "this service has no model that describes pictures");
}

const struct route a1111_picture_routes[] = {
    {HTTP_POST,                     "/sdapi/v1/txt2img", txt2img, ROUTE_BODY_JSON, ROUTE_WAITS, API_A1111,
     "Make pictures from a prompt", "Txt2Img", "A1111Pictures"},
    {HTTP_POST,                      "/sdapi/v1/img2img", img2img, ROUTE_BODY_JSON, ROUTE_WAITS, API_A1111,
     "Make pictures from a picture", "Img2Img", "A1111Pictures"},
    {HTTP_POST,                  "/sdapi/v1/extra-single-image", extras, ROUTE_BODY_JSON, 0, API_A1111,
     "Enlarge a picture (not built yet)", NULL, NULL},
    {HTTP_POST, "/sdapi/v1/extra-batch-images", extras, ROUTE_BODY_JSON, 0, API_A1111,
     "Enlarge pictures (not built yet)", NULL, NULL},
    {HTTP_POST,              "/sdapi/v1/png-info", png_info, ROUTE_BODY_JSON, 0, API_A1111,
     "How a picture was made, by its own text", NULL, NULL},
    {HTTP_POST,                     "/sdapi/v1/interrogate", interrogate, ROUTE_BODY_JSON, 0, API_A1111,
     "Describe a picture (not built)", NULL, NULL},
    {.path = NULL                     },
};
