/* A1111's routes that watch and steer: progress, interrupt, options, unload, memory. They answer a JSON object each, also
 * where A1111 itself answers null: clients read it without looking. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "front/member.h"
#include "front/memory_json.h"
#include "front/receipt_json.h"
#include "service/base64.h"
#include "service/failure.h"
#include "service/model_choice.h"
#include "service/route.h"
#include "service/service.h"

enum {
    LEAST_PROGRESS_PERCENT = 1 /* of a job that runs: 0 means that none does */
};

static void reply_nothing(struct http_reply *reply)
{
    http_reply_json(reply, 200, json_object());
}

static void refuse(struct http_reply *reply, const struct dr_error *err)
{
    if (err->code == DR_BAD_INPUT)
        http_reply_error(reply, API_A1111, 422, NULL, "%s", err->message);
    else
        http_reply_failure(reply, API_A1111, err);
}

/* ---- progress ---------------------------------------------------------------------------- */

static bool is_true(const char *text)
{
    return text && (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 ||
                    strcmp(text, "1") == 0);
}

/* Whose job runs: another user's picture and prompt are not shown. */
static bool is_visible(const struct service *service,
                       const struct http_request *request,
                       const struct worker_progress *progress)
{
    const char *const viewer = service_viewer(service, request);
    return !viewer || strcmp(viewer, progress->user) == 0;
}

static json_t *preview_json(struct service *service, const struct http_request *request,
                            const struct worker_progress *progress)
{
    char enabled[8];
    size_t bytes = 0;
    option_list_get(service->option_list, "live_previews_enable", enabled,
                    sizeof enabled);
    if (!progress->is_running || strcmp(enabled, "true") != 0 ||
        !is_visible(service, request, progress) ||
        is_true(http_request_query(request, "skip_current_image")))
        return json_null();
    unsigned char *const png = worker_preview(service->worker, &bytes);
    json_t *const text = png ? base64_json(png, bytes) : NULL;
    free(png);
    return text ? text : json_null();
}

static void set_time(json_t *state, double created_s)
{
    char text[32] = "0";
    struct tm parts;
    const time_t seconds = (time_t)created_s;
    if (created_s > 0 && localtime_r(&seconds, &parts))
        (void)strftime(text, sizeof text, "%Y%m%d%H%M%S", &parts);
    member_set_text(state, "job_timestamp", text);
}

/* Idle: no job, all zero. What was interrupted is no matter of the next job. */
static json_t *state_json(const struct worker_progress *progress)
{
    json_t *const state = json_object();
    const bool runs = progress->is_running;
    char job[32] = "";
    if (runs)
        (void)snprintf(job, sizeof job, "scripts_%s",
                       picture_kind_name(progress->kind));
    member_set_flag(state, "skipped", 0);
    member_set_flag(state, "interrupted", runs && progress->is_interrupted);
    member_set_flag(state, "stopping_generation", runs && progress->is_interrupted);
    member_set_text(state, "job", job);
    member_set_integer(state, "job_count", runs ? progress->image_count : 0);
    member_set_integer(state, "job_no", runs ? progress->image : 0);
    member_set_integer(state, "sampling_step", runs ? progress->step : 0);
    member_set_integer(state, "sampling_steps", runs ? progress->step_count : 0);
    set_time(state, runs ? progress->created_s : 0);
    return state;
}

static double share_of(const struct worker_progress *progress)
{
    const double share = progress->job_progress.share;
    if (!progress->is_running) return 0;
    if (!(share > LEAST_PROGRESS_PERCENT / 100.0))
        return LEAST_PROGRESS_PERCENT / 100.0;
    return share < 1 ? share : 1;
}

static void show_progress(struct service *service, const struct http_request *request,
                          struct http_reply *reply)
{
    struct worker_progress progress;
    json_t *const answer = json_object();
    worker_progress(service->worker, &progress);
    const double share = share_of(&progress);
    if (share > 0)
        member_set_real(answer, "progress", share);
    else
        member_set_integer(answer, "progress", 0);
    member_set_real(answer, "eta_relative",
                    progress.is_running && progress.eta_s > 0 ? progress.eta_s : 0);
    member_set(answer, "state", state_json(&progress));
    member_set(answer, "current_image", preview_json(service, request, &progress));
    member_set(answer, "textinfo", json_null());
    if (progress.is_running && is_visible(service, request, &progress))
        member_set_text(answer, "current_task", progress.job);
    else
        member_set(answer, "current_task", json_null());
    member_set_integer(answer, "queue_size", progress.queued);
    http_reply_json(reply, 200, answer);
}

static void show_queue(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    struct worker_progress progress;
    json_t *const answer = json_object();
    (void)request;
    worker_progress(service->worker, &progress);
    member_set_text(answer, "msg", "estimation");
    member_set_integer(answer, "queue_size", progress.queued + progress.is_running);
    member_set(answer, "rank", json_null());
    member_set_real(answer, "queue_eta", progress.eta_s > 0 ? progress.eta_s : 0);
    http_reply_json(reply, 200, answer);
}

/* ---- interrupt --------------------------------------------------------------------------- */

static void interrupt(struct service *service, const struct http_request *request,
                      struct http_reply *reply)
{
    (void)worker_interrupt(service->worker, service_viewer(service, request));
    reply_nothing(reply);
}

/* ---- options ----------------------------------------------------------------------------- */

/* Where no model was chosen, that of jobs is shown. */
static void show_options(struct service *service, const struct http_request *request,
                         struct http_reply *reply)
{
    char path[DR_PATH_BYTES], title[MODEL_TITLE_BYTES];
    json_t *const options = option_list_json(service->option_list);
    (void)request;
    if (model_choice_path(service->option_list, service->models, path, NULL) == DR_OK) {
        model_folders_title(service->models, path, title);
        member_set_text(options, "sd_model_checkpoint", title);
    }
    http_reply_json(reply, 200, options);
}

static json_t *names_of(const struct option_change *changes, size_t count)
{
    json_t *const names = json_array();
    for (size_t i = 0; i < count; ++i)
        (void)json_array_append_new(names, json_string(changes[i].name));
    return names;
}

/* Applied before it is answered; where one value is wrong, nothing is. */
static void set_options(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    struct option_change *changes = NULL;
    size_t count = 0;
    struct dr_error err = {0};
    struct dr_receipt receipt = {0};
    json_t *const ignored = json_array();
    enum dr_code code = option_list_read(service->option_list, request->json.value,
                                         &changes, &count, ignored, &err);
    if (code == DR_OK && count > 0)
        code =
            worker_apply(service->worker, changes, count, NULL, true, &receipt, &err);
    if (code == DR_OK) {
        json_t *const answer = json_object();
        member_set(answer, "updated", names_of(changes, count));
        member_set(answer, "ignored", json_incref(ignored));
        if (receipt.reason[0]) member_set(answer, "receipt", receipt_json(&receipt));
        http_reply_json(reply, 200, answer);
    } else {
        refuse(reply, &err);
    }
    option_changes_free(changes, count);
    json_decref(ignored);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void reply_receipt(struct http_reply *reply, enum dr_code code,
                          const struct dr_receipt *receipt, const struct dr_error *err)
{
    json_t *const answer = json_object();
    if (code != DR_OK) {
        json_decref(answer);
        refuse(reply, err);
        return;
    }
    member_set(answer, "receipt", receipt_json(receipt));
    http_reply_json(reply, 200, answer);
}

static void unload(struct service *service, const struct http_request *request,
                   struct http_reply *reply)
{
    struct dr_receipt receipt = {0};
    struct dr_error err = {0};
    (void)request;
    const enum dr_code code =
        worker_unload(service->worker, DR_UNLOAD_MODEL, &receipt, &err);
    reply_receipt(reply, code, &receipt, &err);
}

static void reload(struct service *service, const struct http_request *request,
                   struct http_reply *reply)
{
    struct dr_receipt receipt = {0};
    struct dr_error err = {0};
    (void)request;
    const enum dr_code code = worker_load(service->worker, &receipt, &err);
    reply_receipt(reply, code, &receipt, &err);
}

/* A line of /proc/meminfo in bytes; 0 where the kernel does not tell. */
static uint64_t meminfo_bytes(const char *name)
{
    char line[128];
    unsigned long long kibibytes = 0;
    FILE *const file = fopen("/proc/meminfo", "r");
    while (file && kibibytes == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kibibytes = strtoull(line + strlen(name), NULL, 10);
    if (file) (void)fclose(file);
    return (uint64_t)kibibytes * 1024;
}

static json_t *ram_json(const struct dr_memory *memory)
{
    json_t *const ram = json_object();
    const uint64_t rss = memory->kernel.rss_bytes == DR_UNKNOWN_BYTES
                             ? memory->ledger.private_bytes
                             : memory->kernel.rss_bytes;
    uint64_t total = meminfo_bytes("MemTotal:");
    if (total == 0) {
        const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        total = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    }
    uint64_t available = meminfo_bytes("MemAvailable:");
    if (available == 0) available = total > rss ? total - rss : 0;
    member_set_bytes(ram, "free", available);
    member_set_bytes(ram, "used", rss);
    member_set_bytes(ram, "total", total);
    return ram;
}

static void show_memory(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    struct dr_memory memory;
    struct dr_error err = {0};
    (void)request;
    if (worker_memory(service->worker, &memory, &err) != DR_OK) {
        refuse(reply, &err);
        return;
    }
    json_t *const answer = json_object(), *const cuda = json_object(),
                  *const own = json_object();
    member_set(answer, "ram", ram_json(&memory));
    member_set_text(cuda, "error", "unavailable");
    member_set(answer, "cuda", cuda);
    memory_json_add(own, &memory);
    member_set(answer, "darkroom", own);
    dr_memory_free(&memory);
    http_reply_json(reply, 200, answer);
}

/* ---- what it is -------------------------------------------------------------------------- */

/* Nothing of how it was started is told but what clients ask for. */
static void show_flags(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    json_t *const answer = json_object();
    (void)service;
    (void)request;
    member_set_flag(answer, "api", 1);
    member_set_flag(answer, "nowebui", 0);
    member_set_flag(answer, "medvram", 0);
    member_set_flag(answer, "lowvram", 0);
    http_reply_json(reply, 200, answer);
}

static void show_version(struct service *service, const struct http_request *request,
                         struct http_reply *reply)
{
    json_t *const answer = json_object();
    (void)service;
    (void)request;
    member_set_text(answer, "app", "darkroom");
    member_set_text(answer, "version", dr_version());
    http_reply_json(reply, 200, answer);
}

static void ping(struct service *service, const struct http_request *request,
                 struct http_reply *reply)
{
    (void)service;
    (void)request;
    reply_nothing(reply);
}

const struct route a1111_control_routes[] = {
    {HTTP_GET,                                            "/sdapi/v1/progress", show_progress, ROUTE_BODY_NONE, 0, API_A1111,
     "How far the running job is", NULL, "A1111Progress"},
    {HTTP_POST,                                      "/sdapi/v1/interrupt", interrupt, ROUTE_BODY_NONE, 0, API_A1111,
     "End the running job with the pictures that it has", NULL, NULL},
    {HTTP_POST,                                                  "/sdapi/v1/skip", interrupt, ROUTE_BODY_NONE, 0, API_A1111,
     "As interrupt: what is left of the job is skipped", NULL, NULL},
    {HTTP_GET,                        "/sdapi/v1/options", show_options, ROUTE_BODY_NONE, 0, API_A1111,
     "The settings", NULL, NULL},
    {HTTP_POST,                                    "/sdapi/v1/options", set_options, ROUTE_BODY_JSON, ROUTE_WAITS,
     API_A1111, "Change settings; model and VAE are loaded before the answer", NULL,
     NULL},
    {HTTP_POST,                                           "/sdapi/v1/unload-checkpoint", unload, ROUTE_BODY_NONE, ROUTE_WAITS,
     API_A1111, "Give the model's memory back", NULL, NULL},
    {HTTP_POST,                                          "/sdapi/v1/reload-checkpoint", reload, ROUTE_BODY_NONE, ROUTE_WAITS,
     API_A1111, "Load the model", NULL, NULL},
    {HTTP_GET,                                                  "/sdapi/v1/memory", show_memory, ROUTE_BODY_NONE, 0, API_A1111,
     "What the process holds, by the kernel and by the engine's ledger", NULL, NULL},
    {HTTP_GET, "/sdapi/v1/cmd-flags", show_flags, ROUTE_BODY_NONE, 0, API_A1111,
     "How the service was started, as far as clients ask", NULL, NULL},
    {HTTP_GET,                                               "/sdapi/v1/version", show_version, ROUTE_BODY_NONE, 0, API_A1111,
     "The program and its version", NULL, NULL},
    {HTTP_GET,                                           "/queue/status", show_queue, ROUTE_BODY_NONE, 0, API_A1111,
     "How many jobs wait", NULL, NULL},
    {HTTP_GET,                                          "/internal/ping", ping, ROUTE_BODY_NONE, ROUTE_HIDDEN, API_A1111,
     "Is it there?", NULL, NULL},
    {.path = NULL                                                 },
};
