/* The OpenAI images API: /v1/images/generations, /v1/images/edits, /v1/models, also without /v1 (openai_request.h has what
 * a request says, openai_answer.h what is answered).
 *
 * The API's client library sends a request again after 600 s, and after every answer that says nothing else, so a request
 * that takes long would be made three times: one that says it is a retry joins the job of the same body.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "front/member.h"
#include "service/failure.h"
#include "service/model_folders.h"
#include "service/openai_answer.h"
#include "service/openai_request.h"
#include "service/openai_stream.h"
#include "service/route.h"
#include "service/service.h"

/* ---- errors ------------------------------------------------------------------------------ */

/* field: by its name in the worker; NULL: none. */
static void refuse(struct http_reply *reply, const char *field,
                   const struct dr_error *err)
{
    if (!field) {
        http_reply_failure(reply, API_OPENAI, err);
        return;
    }
    const bool is_size = strcmp(field, "width") == 0 || strcmp(field, "height") == 0;
    const bool is_model = strcmp(field, "sd_model_checkpoint") == 0;
    http_reply_error(reply, API_OPENAI, dr_code_http(err->code),
                     is_size    ? "size"
                     : is_model ? "model"
                                : field,
                     "%s", err->message);
}

/* ---- generations ------------------------------------------------------------------------- */

static struct openai_reading reading_of(const struct service *service)
{
    return (struct openai_reading){.networks = service->networks,
                                   .gives_url = service->options->openai_gives_url};
}

static enum dr_code find_model(struct service *service, struct openai_request *wanted,
                               const char **field, struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    if (!*wanted->model) return DR_OK;
    *field = "model";
    const enum dr_code code =
        model_folders_find(service->models, wanted->model, path, err);
    if (code != DR_OK) return code;
    *field = NULL;
    free(wanted->picture.model);
    wanted->picture.model = strdup(path);
    return wanted->picture.model ? DR_OK : failure_memory(err, "the request");
}

static bool is_retry(const struct http_request *request)
{
    const char *const count = http_request_header(request, "x-stainless-retry-count");
    return count && strtol(count, NULL, 10) >= 1;
}

/* wanted->picture is taken. */
static enum dr_code submit(struct service *service, const struct http_request *request,
                           struct openai_request *wanted, char job[STORE_ID_BYTES],
                           const char **field, struct dr_error *err)
{
    const char *const key = http_request_header(request, "Idempotency-Key");
    char kept[8];
    option_list_get(service->option_list, "samples_save", kept, sizeof kept);
    wanted->picture.keeps = strcmp(kept, "false") != 0;
    struct worker_submission submission = {
        .request = wanted->picture,
        .user = request->user,
        .survives = wanted->keeps_on_disconnect || key,
        .key = key,
        .body_digest = request->body_digest,
        .joins = key || is_retry(request),
    };
    wanted->picture = (struct picture_request){0};
    const enum dr_code code =
        worker_submit(service->worker, &submission, job, field, err);
    picture_request_finish(&submission.request);
    return code;
}

static enum dr_code make_answer(struct service *service, const char *job,
                                const char *base, json_t **answer, struct dr_error *err)
{
    struct openai_pictures pictures;
    enum dr_code code = openai_pictures_read(&pictures, service->store, job, err);
    json_t *const made = json_object(), *const data = json_array();
    for (int32_t i = 0; code == DR_OK && i < pictures.count; ++i) {
        json_t *const item = json_object();
        code = openai_answer_add_picture(item, service->store, &pictures.list[i], base,
                                         err);
        if (json_array_append_new(data, item) != 0 && code == DR_OK)
            code = failure_memory(err, "the answer");
    }
    member_set(made, "data", data);
    if (code == DR_OK && pictures.count > 0)
        openai_answer_describe(made, "created", &pictures.list[0]);
    if (code == DR_OK && pictures.count == 0)
        code = failure(err, DR_NOT_FOUND, "the job's pictures were removed");
    openai_pictures_finish(&pictures);
    if (code == DR_OK)
        *answer = made;
    else
        json_decref(made);
    return code;
}

static void answer_with_pictures(struct service *service,
                                 const struct http_request *request, bool gives_url,
                                 const char *job, struct http_reply *reply)
{
    struct job_record record = {0};
    struct dr_error err = {0};
    json_t *answer = NULL;
    char base[OPENAI_BASE_BYTES];
    openai_base(request, base);
    enum dr_code code = worker_wait(service->worker, job, request->is_gone,
                                    request->cookie, &record, &err);
    if (code == DR_OK) {
        code = openai_answer_error(&record, &err);
        job_record_finish(&record);
    }
    if (code == DR_OK)
        code = make_answer(service, job, gives_url ? base : NULL, &answer, &err);
    if (code == DR_OK)
        http_reply_json(reply, 200, answer);
    else
        refuse(reply, NULL, &err);
}

static void generate(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    struct openai_request wanted;
    struct dr_error err = {0};
    const char *field = NULL;
    char job[STORE_ID_BYTES];
    const struct openai_reading how = reading_of(service);
    enum dr_code code =
        openai_request_read(&wanted, request->json.value, &how, &field, &err);
    if (code == DR_OK) code = find_model(service, &wanted, &field, &err);
    if (code == DR_OK) code = submit(service, request, &wanted, job, &field, &err);
    if (code != DR_OK) {
        refuse(reply, field, &err);
    } else {
        http_reply_header(reply, "x-request-id", job);
        if (wanted.streams)
            openai_stream_start(service, request, &wanted, job, reply);
        else
            answer_with_pictures(service, request, wanted.gives_url, job, reply);
    }
    openai_request_finish(&wanted);
}

/* ---- edits ------------------------------------------------------------------------------- */

/* What a mask repaints needs inpainting, which the engine has not: the form is read and checked, and no more. */
static void edit(struct service *service, const struct http_request *request,
                 struct http_reply *reply)
{
    struct openai_request wanted = {0};
    struct dr_error err = {0};
    const char *field = NULL;
    json_t *fields = NULL;
    const struct openai_reading how = reading_of(service);
    const struct multipart *const form = &request->form;
    enum dr_code code = openai_request_fields(form, &fields, &err);
    if (code == DR_OK) code = openai_request_read(&wanted, fields, &how, &field, &err);
    if (code == DR_OK && !multipart_find(form, "image", 0) &&
        !multipart_find(form, "image[]", 0)) {
        field = "image";
        code = failure(&err, DR_BAD_INPUT, "image is missing");
    }
    openai_request_finish(&wanted);
    json_decref(fields);
    if (code != DR_OK)
        refuse(reply, field, &err);
    else
        http_reply_error(
            reply, API_OPENAI, 501, NULL,
            "edits are not built yet: pictures can be made from others with "
            "/sdapi/v1/img2img");
}

/* ---- files ------------------------------------------------------------------------------- */

static void send_file(struct service *service, const struct http_request *request,
                      struct http_reply *reply)
{
    struct gallery_picture picture = {0};
    struct dr_error err = {0};
    int file = -1;
    enum dr_code code = gallery_get(service->store, request->segments[0],
                                    service_viewer(service, request), &picture, &err);
    if (code == DR_OK && (double)time(NULL) - picture.created_s > OPENAI_URL_S)
        code = failure(&err, DR_NOT_FOUND, "the address has expired after %d minutes",
                       OPENAI_URL_S / 60);
    if (code == DR_OK) code = gallery_open(service->store, &picture, &file, &err);
    if (code == DR_OK) {
        reply->status = 200;
        reply->content_type = picture.is_jpeg ? "image/jpeg" : "image/png";
        reply->kind = HTTP_BODY_FILE;
        reply->file = file;
        reply->byte_count = picture.bytes;
    } else {
        refuse(reply, NULL, &err);
    }
    gallery_picture_finish(&picture);
}

/* ---- models ------------------------------------------------------------------------------ */

static json_t *model_json(const struct listed_checkpoint *model)
{
    struct stat status;
    json_t *const value = json_object();
    const bool is_there = stat(model->path, &status) == 0;
    member_set_text(value, "id", model->name);
    member_set_text(value, "object", "model");
    member_set_integer(value, "created", is_there ? (int64_t)status.st_mtime : 0);
    member_set_text(value, "owned_by", "darkroom");
    return value;
}

static void list_models(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    (void)request;
    json_t *const answer = json_object(), *const data = json_array();
    const struct model_snapshot *const snapshot = model_folders_hold(service->models);
    for (size_t i = 0; snapshot && i < snapshot->model_count; ++i)
        if (!*snapshot->models[i].problem)
            json_array_append_new(data, model_json(&snapshot->models[i]));
    if (snapshot) model_folders_drop(service->models, snapshot);
    member_set_text(answer, "object", "list");
    member_set(answer, "data", data);
    http_reply_json(reply, 200, answer);
}

static void show_model(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    char path[DR_PATH_BYTES];
    struct dr_error err = {0};
    const enum dr_code code =
        model_folders_find(service->models, request->segments[0], path, &err);
    if (code != DR_OK) {
        refuse(reply, "model", &err);
        return;
    }
    json_t *answer = NULL;
    const struct model_snapshot *const snapshot = model_folders_hold(service->models);
    for (size_t i = 0; snapshot && !answer && i < snapshot->model_count; ++i)
        if (strcmp(snapshot->models[i].path, path) == 0)
            answer = model_json(&snapshot->models[i]);
    if (snapshot) model_folders_drop(service->models, snapshot);
    http_reply_json(reply, 200, answer);
}

/* ------------------------------------------------------------------------------------------ */

const struct route openai_routes[] = {
    {HTTP_POST,                         "/v1/images/generations", generate, ROUTE_BODY_JSON, ROUTE_WAITS,
     API_OPENAI, "Make pictures from a prompt", "OpenAIRequest", "OpenAIImages"},
    {HTTP_POST,                         "/v1/images/edits", edit, ROUTE_BODY_FORM, ROUTE_WAITS, API_OPENAI,
     "Change pictures (not built yet)", NULL, "OpenAIImages"},
    {HTTP_GET,                      "/v1/images/files/{id}", send_file, ROUTE_BODY_NONE, 0, API_OPENAI,
     "A picture by the address of response_format url", NULL, "Picture"},
    {HTTP_GET,    "/v1/models", list_models, ROUTE_BODY_NONE, 0, API_OPENAI, "The models",
     NULL, "OpenAIModelList"},
    {HTTP_GET,                   "/v1/models/{id}", show_model, ROUTE_BODY_NONE, 0, API_OPENAI, "A model",
     NULL, "OpenAIModel"},
    {HTTP_POST,                         "/images/generations", generate, ROUTE_BODY_JSON,
     ROUTE_WAITS | ROUTE_HIDDEN, API_OPENAI, "As /v1/images/generations", NULL, NULL},
    {HTTP_POST,                             "/images/edits", edit, ROUTE_BODY_FORM, ROUTE_WAITS | ROUTE_HIDDEN,
     API_OPENAI, "As /v1/images/edits", NULL, NULL},
    {HTTP_GET,                      "/models", list_models, ROUTE_BODY_NONE, ROUTE_HIDDEN, API_OPENAI,
     "As /v1/models", NULL, NULL},
    {.path = NULL},
};
