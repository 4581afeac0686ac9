/* The gallery over HTTP: /api/v1/images. A picture is looked up by its id and opened by its row; no text of a request
 * becomes a path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front/member.h"
#include "service/failure.h"
#include "service/gallery.h"
#include "service/picture_request.h"
#include "service/query_number.h"
#include "service/route.h"
#include "service/service.h"
#include "service/thumbnail.h"

enum {
    PAGE_DEFAULT = 50,
    PAGE_MOST = 200,
    SEARCH_BYTES = 256
};

/* ---- lists -------------------------------------------------------------------------------------- */

static json_t *picture_json(const struct gallery_picture *picture)
{
    char url[96];
    json_t *const value = json_object();
    member_set_text(value, "id", picture->id);
    member_set_integer(value, "number", picture->number);
    member_set_text(value, "job", picture->job);
    member_set_integer(value, "index", picture->index);
    member_set_real(value, "created", picture->created_s);
    member_set_integer(value, "width", picture->width);
    member_set_integer(value, "height", picture->height);
    member_set(value, "seed", picture_seed_json(picture->seed));
    member_set_text(value, "format", picture->is_jpeg ? "jpeg" : "png");
    member_set_bytes(value, "bytes", picture->bytes);
    member_set_text(value, "prompt", picture->prompt);
    member_set_text(value, "model", picture->model);
    member_set_text(value, "vae", picture->vae);
    (void)snprintf(url, sizeof url, "/api/v1/images/%s", picture->id);
    member_set_text(value, "url", url);
    (void)snprintf(url, sizeof url, "/api/v1/images/%s/thumbnail", picture->id);
    member_set_text(value, "thumbnail", url);
    return value;
}

/* `next` is the number to ask for the page after this one with, null where there is none. */
static void reply_list(struct http_reply *reply, struct gallery_picture *pictures,
                       int32_t count, int64_t limit)
{
    json_t *const value = json_object(), *const list = json_array();
    for (int32_t i = 0; i < count && i < limit; ++i)
        (void)json_array_append_new(list, picture_json(&pictures[i]));
    member_set(value, "images", list);
    member_set(value, "next",
               count > limit ? json_integer(pictures[limit - 1].number) : json_null());
    for (int32_t i = 0; i < count; ++i)
        gallery_picture_finish(&pictures[i]);
    free(pictures);
    http_reply_json(reply, 200, value);
}

static void list_images(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    int64_t before, limit;
    const char *const search = http_request_query(request, "q");
    static const struct query_range places = {0, 0, 999999999999999999};
    static const struct query_range limits = {PAGE_DEFAULT, 1, PAGE_MOST};
    if (!query_number(request, "before", &places, &before, reply) ||
        !query_number(request, "limit", &limits, &limit, reply))
        return;
    if (search && strlen(search) > SEARCH_BYTES) {
        http_reply_error(reply, API_OWN, 400, "q",
                         "q may have %d bytes, and has %zu; search for fewer words",
                         SEARCH_BYTES, strlen(search));
        return;
    }
    struct gallery_picture *pictures = NULL;
    int32_t count = 0;
    struct dr_error err;
    /* One more than is shown: is there another page? */
    if (gallery_list(service->store, service_viewer(service, request), before,
                     (int32_t)limit + 1, search ? search : "", &pictures, &count, &err))
        http_reply_failure(reply, API_OWN, &err);
    else
        reply_list(reply, pictures, count, limit);
}

/* ---- one picture --------------------------------------------------------------------------------- */

/* The picture of the path that this client may see; false: the reply is the error. */
static bool find(const struct service *service, const struct http_request *request,
                 struct gallery_picture *picture, struct http_reply *reply)
{
    struct dr_error err;
    if (gallery_get(service->store, request->segments[0],
                    service_viewer(service, request), picture, &err) == DR_OK)
        return true;
    http_reply_failure(reply, API_OWN, &err);
    return false;
}

/* A picture never changes under its id. True: the client has it already. */
static bool has_already(const struct http_request *request, const char *id,
                        const char *kind, struct http_reply *reply)
{
    char tag[STORE_ID_BYTES + 16];
    (void)snprintf(tag, sizeof tag, "\"%s%s\"", id, kind);
    http_reply_header(reply, "ETag", tag);
    http_reply_header(reply, "Cache-Control", "private, max-age=31536000, immutable");
    const char *const known = http_request_header(request, "If-None-Match");
    if (!known || !strstr(known, tag)) return false;
    reply->status = 304;
    return true;
}

/* file is taken. */
static void reply_file(struct http_reply *reply, int file, bool is_jpeg)
{
    struct stat status;
    if (fstat(file, &status) != 0) {
        (void)close(file);
        http_reply_error(reply, API_OWN, 500, NULL, "the picture cannot be read");
        return;
    }
    reply->status = 200;
    reply->content_type = is_jpeg ? "image/jpeg" : "image/png";
    reply->kind = HTTP_BODY_FILE;
    reply->file = file;
    reply->byte_count = (size_t)status.st_size;
}

static void give_image(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    struct gallery_picture picture;
    struct dr_error err;
    int file = -1;
    if (!find(service, request, &picture, reply)) return;
    if (gallery_open(service->store, &picture, &file, &err) != DR_OK)
        http_reply_failure(reply, API_OWN, &err);
    else if (has_already(request, picture.id, "", reply))
        (void)close(file);
    else
        reply_file(reply, file, picture.is_jpeg);
    gallery_picture_finish(&picture);
}

/* Makes the thumbnail and keeps it; where it cannot be kept, it is made again the next time. */
static enum dr_code make_thumbnail(struct service *service,
                                   const struct gallery_picture *picture,
                                   struct http_reply *reply, struct dr_error *err)
{
    unsigned char *bytes = NULL;
    size_t byte_count = 0;
    int file = -1;
    enum dr_code code = gallery_open(service->store, picture, &file, err);
    if (code) return code;
    code = thumbnail_make(file, &bytes, &byte_count, err);
    (void)close(file);
    if (code) return code;
    (void)!gallery_write_thumbnail(service->store, picture->id, bytes, byte_count,
                                   NULL);
    reply->status = 200;
    reply->content_type = "image/jpeg";
    reply->bytes = bytes;
    reply->byte_count = byte_count;
    return DR_OK;
}

static void give_thumbnail(struct service *service, const struct http_request *request,
                           struct http_reply *reply)
{
    struct gallery_picture picture;
    struct dr_error err;
    int file = -1;
    if (!find(service, request, &picture, reply)) return;
    enum dr_code code = gallery_open_thumbnail(service->store, &picture, &file, &err);
    if (code == DR_OK && !has_already(request, picture.id, "-small", reply))
        reply_file(reply, file, true);
    else if (code == DR_OK)
        (void)close(file);
    else if (make_thumbnail(service, &picture, reply, &err) == DR_OK)
        (void)has_already(request, picture.id, "-small", reply);
    else
        http_reply_failure(reply, API_OWN, &err);
    gallery_picture_finish(&picture);
}

static void give_parameters(struct service *service, const struct http_request *request,
                            struct http_reply *reply)
{
    struct gallery_picture picture;
    if (!find(service, request, &picture, reply)) return;
    json_t *const value = picture_json(&picture);
    member_set_text(value, "parameters", picture.parameters);
    gallery_picture_finish(&picture);
    http_reply_json(reply, 200, value);
}

static void remove_image(struct service *service, const struct http_request *request,
                         struct http_reply *reply)
{
    struct dr_error err;
    if (gallery_remove(service->store, request->segments[0],
                       service_viewer(service, request), &err))
        http_reply_failure(reply, API_OWN, &err);
    else
        http_reply_json(reply, 200, json_pack("{s:s}", "id", request->segments[0]));
}

const struct route gallery_routes[] = {
    {HTTP_GET,                                                                       "/api/v1/images", list_images, ROUTE_BODY_NONE, 0, API_OWN,
     "The gallery, newest first: before (a number), limit, q (words of the prompt)", NULL, "ImageList"},
    {HTTP_GET,                                                                   "/api/v1/images/{id}", give_image, ROUTE_BODY_NONE, 0, API_OWN,
     "A picture's file", NULL, "Picture"},
    {HTTP_GET,                                                                             "/api/v1/images/{id}/thumbnail", give_thumbnail, ROUTE_BODY_NONE, 0,
     API_OWN, "A JPEG of at most 256 pixels a side", NULL, "Picture"},
    {HTTP_GET, "/api/v1/images/{id}/parameters", give_parameters, ROUTE_BODY_NONE, 0,
     API_OWN, "What the picture was made with", NULL, "Image"},
    {HTTP_DELETE,                                                                   "/api/v1/images/{id}", remove_image, ROUTE_BODY_NONE, 0, API_OWN,
     "Remove a picture", NULL, "Identified"},
    {.path = NULL                                                                      },
};
