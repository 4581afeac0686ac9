/* route — what the service answers: method, path, handler, and what the gate has to know of it.
 *
 * Each file with handlers has one table of them; route_table.c puts them together, in order. /openapi.json is made from
 * the same tables, so a route that is answered is a route that is described.
 */
#ifndef SERVICE_ROUTE_H
#define SERVICE_ROUTE_H

#include <stddef.h>

#include "service/http_reply.h"
#include "service/http_request.h"

struct service;

typedef void route_handler(struct service *service, const struct http_request *request,
                           struct http_reply *reply);

enum route_body {
    ROUTE_BODY_NONE, /* what comes is read and thrown away: some clients send "" or {} */
    ROUTE_BODY_JSON,
    ROUTE_BODY_FORM, /* multipart/form-data */
};

enum route_flag {
    ROUTE_PUBLIC = 1, /* no credentials: health, the page's own files */
    ROUTE_WAITS =
        2, /* it waits for a job, or streams: counted against the connections that may */
    ROUTE_HIDDEN = 4, /* not in openapi.json: the page, aliases */
};

struct route {
    enum http_method method; /* HTTP_GET answers HEAD too */
    const char
        *path; /* "/api/v1/jobs/{id}": a segment {x} stands for any text without "/" */
    route_handler *handle;
    enum route_body body;
    unsigned flags; /* enum route_flag */
    enum api_shape shape;
    const char *summary; /* one line, for openapi.json */
    /* For openapi.json: names of schemas of openapi.c; NULL: none, any object. */
    const char *takes, *gives;
};

/* The route for a method and a path; NULL where there is none. allowed [allowed_bytes] gets the methods that the path
 * has, "GET, HEAD, POST", or "". segments: what stands for the placeholders, into `room`. */
const struct route *route_find(const struct http_request *request, char *allowed,
                               size_t allowed_bytes, char *room, size_t room_bytes,
                               const char *segments[HTTP_REQUEST_SEGMENTS]);
/* In order, until NULL. */
const struct route *route_at(size_t idx);

/* The tables; each ends with an entry whose path is NULL. */
extern const struct route page_routes[]; /* page_files.c */
extern const struct route
    status_routes[]; /* status_routes.c: health, metrics, openapi.json, docs */
extern const struct route a1111_picture_routes
    []; /* a1111_pictures.c: txt2img, img2img, extras, png-info, interrogate */
extern const struct route a1111_control_routes
    []; /* a1111_control.c: progress, interrupt, options, unload, memory */
extern const struct route
    a1111_list_routes[]; /* a1111_lists.c: samplers, sd-models, sd-vae, ... */
extern const struct route openai_routes[];  /* openai_images.c */
extern const struct route job_routes[];     /* job_routes.c: /api/v1/jobs, events */
extern const struct route gallery_routes[]; /* gallery_routes.c: /api/v1/images */
extern const struct route engine_routes
    []; /* engine_routes.c: /api/v1/memory, forecast, models, vaes, settings, unload */

extern const struct route
    model_routes[]; /* model_routes.c: /api/v1/models, vaes, ... */
extern const struct route
    prompt_routes[]; /* prompt_routes.c: /api/v1/loras, prompt, ... */

#endif
