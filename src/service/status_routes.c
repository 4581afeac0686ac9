#include "service/route.h"

/* Without the engine, its lock or the disk: it says that connections are answered. */
static void health(struct service *service, const struct http_request *request,
                   struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200, json_pack("{s:s}", "status", "ok"));
}

const struct route status_routes[] = {
    {HTTP_GET, "/health", health, ROUTE_BODY_NONE, ROUTE_PUBLIC, API_OWN,
     "Is the service there?", NULL, "Health"},
    {.path = NULL },
};
