/* /api/v1/memory, forecast, settings, unload, ps: what the engine holds, would take, and gives back. */
#include <stdio.h>
#include <string.h>

#include "front/forecast_json.h"
#include "front/member.h"
#include "front/memory_json.h"
#include "front/receipt_json.h"
#include "front/vae_json.h"
#include "service/a1111_request.h"
#include "service/failure.h"
#include "service/keep_alive.h"
#include "service/loose_field.h"
#include "service/model_choice.h"
#include "service/route.h"
#include "service/service.h"
#include "service/service_memory.h"

/* ---- memory ------------------------------------------------------------------------------ */

static void add_expiry(json_t *answer, const struct worker_model *model)
{
    if (model->expires_s > 0)
        member_set_real(answer, "expires", model->expires_s);
    else
        member_set(answer, "expires", json_null());
}

static void get_memory(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    struct dr_memory memory;
    struct dr_error err = {0};
    struct worker_model model;
    (void)request;
    if (worker_memory(service->worker, &memory, &err) != DR_OK) {
        http_reply_failure(reply, API_OWN, &err);
        return;
    }
    json_t *const answer = json_object();
    memory_json_add(answer, &memory);
    dr_memory_free(&memory);
    worker_model(service->worker, &model);
    member_set_text(answer, "model", model.path);
    add_expiry(answer, &model);
    member_set_bytes(answer, "service_bytes", service_memory_bytes(service->options));
    member_set(answer, "receipts", worker_receipts(service->worker));
    http_reply_json(reply, 200, answer);
}

static void add_model_bytes(struct service *service, json_t *entry)
{
    uint64_t private_bytes = 0, mapped_bytes = 0;
    struct dr_memory memory;
    if (worker_memory(service->worker, &memory, NULL) == DR_OK) {
        for (int32_t i = 0; i < memory.component_count; ++i) {
            private_bytes += memory.components[i].private_bytes;
            mapped_bytes += memory.components[i].mapped_bytes;
        }
        dr_memory_free(&memory);
    }
    member_set_bytes(entry, "private_bytes", private_bytes);
    member_set_bytes(entry, "mapped_bytes", mapped_bytes);
}

/* What is loaded, until when, and its bytes. */
static void get_ps(struct service *service, const struct http_request *request,
                   struct http_reply *reply)
{
    struct worker_model model;
    char title[MODEL_TITLE_BYTES];
    json_t *const models = json_array();
    (void)request;
    worker_model(service->worker, &model);
    if (*model.path) {
        json_t *const entry = json_object();
        model_folders_title(service->models, model.path, title);
        member_set_text(entry, "model", title);
        member_set_text(entry, "path", model.path);
        add_model_bytes(service, entry);
        add_expiry(entry, &model);
        struct dr_engine *const engine = worker_engine_hold(service->worker);
        struct dr_vae_info vae;
        if (engine && dr_engine_vae(engine, &vae, NULL) == DR_OK)
            member_set(entry, "vae", vae_json(&vae));
        if (engine) worker_engine_drop(service->worker);
        (void)json_array_append_new(models, entry);
    }
    http_reply_json(reply, 200, json_pack("{s:o}", "models", models));
}

/* ---- forecast ---------------------------------------------------------------------------- */

static void answer_forecast(struct service *service,
                            const struct picture_request *picture,
                            struct http_reply *reply)
{
    struct dr_forecast forecast = {0};
    struct dr_error err = {0};
    if (worker_forecast(service->worker, picture, WORKER_WAITS, &forecast, &err) !=
        DR_OK) {
        http_reply_failure(reply, API_OWN, &err);
        return;
    }
    json_t *const answer = json_object();
    forecast_json_add(answer, &forecast);
    const double seconds = worker_seconds(service->worker, picture, &forecast);
    if (seconds >= 0) member_set_real(answer, "seconds", seconds);
    dr_forecast_free(&forecast);
    http_reply_json(reply, 200, answer);
}

static void post_forecast(struct service *service, const struct http_request *request,
                          struct http_reply *reply)
{
    const char *kind = "txt2img";
    struct a1111_refusal refusal = {.status = 422, .field = "kind"};
    struct a1111_request read = {0};
    enum dr_code code = loose_text(request->json.value, "kind", &kind, &refusal.err);
    const struct a1111_reading reading = {.service = service,
                                          .body = &request->json,
                                          .kind = strcmp(kind, "img2img") == 0
                                                      ? PICTURE_IMG2IMG
                                                      : PICTURE_TXT2IMG};
    if (code == DR_OK) code = a1111_request_read(&read, &reading, &refusal);
    if (code == DR_OK)
        answer_forecast(service, &read.picture, reply);
    else
        http_reply_error(reply, API_OWN, refusal.status, refusal.field, "%s",
                         refusal.err.message);
    a1111_request_finish(&read);
}

/* ---- settings ---------------------------------------------------------------------------- */

/* Names of the own API, and of options. */
static const struct {
    const char *name, *option;
} settings[] = {
    {"model",          "sd_model_checkpoint"     },
    {"vae",            "sd_vae"                  },
    {"samples_format", "samples_format"          },
    {"clip_skip",      "CLIP_stop_at_last_layers"}
};
enum {
    SETTING_COUNT = sizeof settings / sizeof *settings
};

static json_t *settings_json(struct service *service)
{
    json_t *const options = option_list_json(service->option_list);
    json_t *const answer = json_object();
    struct dr_status status = {0};
    for (size_t i = 0; i < SETTING_COUNT; ++i) {
        json_t *const value = json_object_get(options, settings[i].option);
        if (value) member_set(answer, settings[i].name, json_incref(value));
    }
    json_decref(options);
    struct dr_engine *const engine = worker_engine_hold(service->worker);
    if (engine) {
        dr_engine_status(engine, &status);
        worker_engine_drop(service->worker);
    }
    member_set_integer(answer, "keep_alive", worker_get_keep_alive(service->worker));
    member_set_bytes(answer, "budget_bytes", status.budget_bytes);
    return answer;
}

static void get_settings(struct service *service, const struct http_request *request,
                         struct http_reply *reply)
{
    (void)request;
    http_reply_json(reply, 200, settings_json(service));
}

/* The budget as a number of bytes or as text ("8G"); 0 gives the default back. *is_said: there is one. */
static enum dr_code read_budget(const json_t *values, uint64_t *bytes, bool *is_said,
                                struct dr_error *err)
{
    const json_t *const value = json_object_get(values, "budget");
    *is_said = value && !json_is_null(value);
    if (!*is_said) return DR_OK;
    if (json_is_string(value))
        return dr_parse_bytes(json_string_value(value), bytes, err);
    *bytes = (uint64_t)json_integer_value(value);
    if (json_is_integer(value) && json_integer_value(value) >= 0) return DR_OK;
    return failure(err, DR_BAD_INPUT,
                   "budget is a number of bytes, or text such as \"8G\"");
}

/* budget: NULL where it stays. */
static enum dr_code apply_options(struct service *service, const json_t *values,
                                  const uint64_t *budget, struct dr_error *err)
{
    struct option_change *changes = NULL;
    size_t count = 0;
    json_t *const options = json_object();
    for (size_t i = 0; i < SETTING_COUNT; ++i) {
        json_t *const value = json_object_get(values, settings[i].name);
        if (value) member_set(options, settings[i].option, json_incref(value));
    }
    enum dr_code code =
        option_list_read(service->option_list, options, &changes, &count, NULL, err);
    if (code == DR_OK)
        code = worker_apply(service->worker, changes, count, budget, false, NULL, err);
    option_changes_free(changes, count);
    json_decref(options);
    return code;
}

static void put_settings(struct service *service, const struct http_request *request,
                         struct http_reply *reply)
{
    const json_t *const values = request->json.value;
    struct dr_error err = {0};
    uint64_t budget = 0;
    bool has_budget = false;
    int32_t keep_alive_s = worker_get_keep_alive(service->worker);
    enum dr_code code = DR_OK;
    if (!json_is_object(values))
        code = failure(&err, DR_BAD_INPUT, "the body is not an object of settings");
    if (code == DR_OK)
        code = keep_alive_read(values, "keep_alive", &keep_alive_s, &err);
    if (code == DR_OK) code = read_budget(values, &budget, &has_budget, &err);
    if (code == DR_OK)
        code = apply_options(service, values, has_budget ? &budget : NULL, &err);
    if (code == DR_OVER_BUDGET) { /* a wrong value, not what a job needs */
        http_reply_error(reply, API_OWN, 422, has_budget ? "budget" : "vae", "%s",
                         err.message);
        return;
    }
    if (code != DR_OK) {
        http_reply_failure(reply, API_OWN, &err);
        return;
    }
    worker_set_keep_alive(service->worker, keep_alive_s);
    http_reply_json(reply, 200, settings_json(service));
}

/* ---- unload ------------------------------------------------------------------------------ */

static enum dr_code read_what(const json_t *values, unsigned *what,
                              struct dr_error *err)
{
    const char *text = "all";
    const enum dr_code code = loose_text(values, "what", &text, err);
    if (code != DR_OK) return code;
    *what = strcmp(text, "vae") == 0 ? DR_UNLOAD_VAE : DR_UNLOAD_MODEL;
    if (*what == DR_UNLOAD_VAE || strcmp(text, "all") == 0 ||
        strcmp(text, "model") == 0)
        return DR_OK;
    return failure(err, DR_BAD_INPUT, "what is \"%.40s\": it is all, model or vae",
                   text);
}

/* The memory is given back when this answers. */
static void post_unload(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    struct dr_receipt receipt;
    struct dr_error err = {0};
    unsigned what = DR_UNLOAD_MODEL;
    enum dr_code code = DR_OK;
    if (json_is_object(request->json.value))
        code = read_what(request->json.value, &what, &err);
    if (code == DR_OK) code = worker_unload(service->worker, what, &receipt, &err);
    if (code != DR_OK)
        http_reply_failure(reply, API_OWN, &err);
    else
        http_reply_json(reply, 200,
                        json_pack("{s:o}", "receipt", receipt_json(&receipt)));
}

const struct route engine_routes[] = {
    {HTTP_GET,                                                                        "/api/v1/memory", get_memory, ROUTE_BODY_NONE, 0, API_OWN,
     "What memory holds: components, regions, ledger, kernel, and the last receipts", NULL, "Memory"},
    {HTTP_GET,                                                                     "/api/v1/ps", get_ps, ROUTE_BODY_NONE, 0, API_OWN,
     "The loaded model, its bytes, and when it is unloaded", NULL, "LoadedList"},
    {HTTP_POST,                                                                              "/api/v1/forecast", post_forecast, ROUTE_BODY_JSON, ROUTE_WAITS,
     API_OWN, "What a job would take: a body as for a job", "JobRequest", "Forecast"},
    {HTTP_GET, "/api/v1/settings", get_settings, ROUTE_BODY_NONE, 0, API_OWN,
     "Model, VAE, keep_alive, budget, samples_format, clip_skip", NULL, "Settings"},
    {HTTP_PUT,                                                                       "/api/v1/settings", put_settings, ROUTE_BODY_JSON, ROUTE_WAITS, API_OWN,
     "Change settings; what is left out stays", "Settings", "Settings"},
    {HTTP_POST,                                                                        "/api/v1/unload", post_unload, ROUTE_BODY_JSON, ROUTE_WAITS, API_OWN,
     "Give memory back: {\"what\": \"all\"} or \"vae\"", "Unload", "Receipt"},
    {.path = NULL                                                                        },
};
