#include <stdlib.h>
#include <string.h>

#include "service/metrics.h"
#include "service/openapi.h"
#include "service/service.h"

/* Without the engine, its lock or the disk: it says that connections are answered. */
static void health(struct service *service, const struct http_request *request,
                   struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200, json_pack("{s:s}", "status", "ok"));
}

static char *print_metrics(struct service *service)
{
    struct worker_progress progress;
    struct dr_memory memory;
    worker_progress(service->worker, &progress);
    const bool has_memory = worker_memory(service->worker, &memory, NULL) == DR_OK;
    const struct metrics_gauges gauges = {.queued = progress.queued,
                                          .running = progress.is_running,
                                          .memory = has_memory ? &memory : NULL};
    char *const text = metrics_text(service->metrics, &gauges);
    if (has_memory) dr_memory_free(&memory);
    return text;
}

static void metrics(struct service *service, const struct http_request *request,
                    struct http_reply *reply)
{
    (void)request;
    if (!service->metrics) {
        http_reply_error(reply, API_OWN, 404, NULL,
                         "there are no metrics: start the service with --metrics");
        return;
    }
    char *const text = print_metrics(service);
    if (!text) {
        http_reply_error(reply, API_OWN, 503, NULL, "there is no memory for metrics");
        return;
    }
    reply->status = 200;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    reply->bytes = text;
    reply->byte_count = strlen(text);
}

const struct route status_routes[] = {
    {HTTP_GET,                "/health", health, ROUTE_BODY_NONE, ROUTE_PUBLIC, API_OWN,
     "Is the service there?", NULL, "Health"},
    {HTTP_GET,                 "/metrics", metrics, ROUTE_BODY_NONE, 0, API_OWN,
     "Figures for Prometheus, with --metrics", NULL, "Text"},
    {HTTP_GET,           "/openapi.json", openapi_send, ROUTE_BODY_NONE, 0, API_OWN,
     "This description", NULL, "Description"},
    {HTTP_GET, "/docs", openapi_send_page, ROUTE_BODY_NONE, 0, API_OWN,
     "The routes as a page", NULL, "Page"},
    {.path = NULL              },
};
