/* The routes of the gallery, through requests without a socket. */
#include <unistd.h>

#include <jansson.h>

#include "service/picture_file_fixture.h"
#include "service/picture_rows.h"
#include "service/route.h"
#include "service/service.h"
#include "service/store_fixture.h"

static struct service service;

struct asked {
    const char *user, *query[4], *none_match;
};

/* Answers through the table of routes, as a server does. */
static void ask(enum http_method method, const char *path, struct asked asked,
                struct http_reply *reply)
{
    static char room[512], allowed[128];
    struct http_field query[2], header = {"If-None-Match", asked.none_match};
    struct http_request request = {.method = method,
                                   .path = path,
                                   .target = path,
                                   .user = asked.user ? asked.user : "",
                                   .query = query,
                                   .headers = &header,
                                   .header_count = asked.none_match ? 1 : 0};
    for (size_t i = 0; i < 2 && asked.query[2 * i]; ++i)
        query[request.query_count++] =
            (struct http_field){asked.query[2 * i], asked.query[2 * i + 1]};
    const struct route *const route = route_find(&request, allowed, sizeof allowed,
                                                 room, sizeof room, request.segments);
    http_reply_init(reply);
    if (!route) {
        check_fail_at("no route for %s", path);
        return;
    }
    route->handle(&service, &request, reply);
}

static json_t *ask_json(enum http_method method, const char *path, struct asked asked,
                        int status)
{
    struct http_reply reply;
    ask(method, path, asked, &reply);
    check_int(reply.status, ==, status);
    check_str(reply.content_type, "application/json");
    json_t *const value = json_loadb(reply.bytes, reply.byte_count, 0, NULL);
    check(value != NULL);
    http_reply_finish(&reply);
    return value;
}

static const char *text_of(const json_t *value, const char *name)
{
    return json_string_value(json_object_get(value, name));
}

static const char *header_of(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; ++i)
        if (strcmp(reply->headers[i].name, name) == 0) return reply->headers[i].value;
    return "";
}

static const char *path_of(const char *id, const char *rest)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "/api/v1/images/%s%s", id, rest);
    return path;
}

/* A picture of 300 x 200 pixels in the gallery. */
static struct gallery_picture put(const char *job, const char *user, bool is_jpeg,
                                  char *prompt)
{
    const struct picture_file file = {
        .width = 300, .height = 200, .colour = PNG_COLOR_TYPE_RGB, .bits = 8};
    struct gallery_picture picture = fixture_picture(job, 0, user, prompt);
    picture.is_jpeg = is_jpeg;
    const char *const path = fixture_path(service.store, job, 0, is_jpeg);
    if (is_jpeg)
        picture_file_write_jpeg(path, &file, false);
    else
        picture_file_write_png(path, &file);
    check_int(gallery_add(service.store, &picture, NULL), ==, DR_OK);
    return picture;
}

static void open_store(const char *name)
{
    service = (struct service){.store = fixture_open(name)};
}

static void lists_pages_until_there_is_no_next(void)
{
    char prompts[5][16], before[24] = "";
    open_store("pages");
    for (int i = 0; i < 5; ++i) {
        (void)snprintf(prompts[i], sizeof prompts[i], "number%d", i);
        (void)put(prompts[i], "", i % 2, prompts[i]);
    }
    int at = 4;
    for (int page = 0; page < 3; ++page) {
        json_t *const value = ask_json(HTTP_GET, "/api/v1/images",
                                       (struct asked){
                                           .query = {"limit", "2", "before", before}
        },
                                       200);
        json_t *const images = json_object_get(value, "images");
        check_int(json_array_size(images), ==, page < 2 ? 2 : 1);
        for (size_t i = 0; i < json_array_size(images); ++i, --at) {
            const json_t *const image = json_array_get(images, i);
            check_str(text_of(image, "prompt"), prompts[at]);
            check_str(text_of(image, "format"), at % 2 ? "jpeg" : "png");
            check_str(text_of(image, "seed"), "18446744073709551614");
            check_str(text_of(image, "url"), path_of(text_of(image, "id"), ""));
        }
        const json_t *const next = json_object_get(value, "next");
        check_int(json_is_integer(next), ==, page < 2);
        (void)snprintf(before, sizeof before, "%lld",
                       (long long)json_integer_value(next));
        json_decref(value);
    }
    json_t *const found = ask_json(HTTP_GET, "/api/v1/images",
                                   (struct asked){
                                       .query = {"q", "NUMBER3"}
    },
                                   200);
    check_int(json_array_size(json_object_get(found, "images")), ==, 1);
    json_decref(found);
    store_close(service.store);
}

static void wrong_parameters_are_named(void)
{
    static const char *const wrong[][2] = {
        {"limit",  "0"                      },
        {"limit",  "201"                    },
        {"limit",  "-1"                     },
        {"limit",  "1e3"                    },
        {"limit",  "1 "                     },
        {"before", "x"                      },
        {"before", "-1"                     },
        {"before", "99999999999999999999999"},
        {"limit",  "' OR 1"                 }
    };
    open_store("wrong");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        json_t *const value = ask_json(HTTP_GET, "/api/v1/images",
                                       (struct asked){
                                           .query = {wrong[i][0], wrong[i][1]}
        },
                                       400);
        check_has(text_of(json_object_get(value, "error"), "message"), wrong[i][0]);
        json_decref(value);
    }
    char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    json_decref(ask_json(HTTP_GET, "/api/v1/images",
                         (struct asked){
                             .query = {"q", longest}
    },
                         400));
    store_close(service.store);
}

static void gives_the_file_and_not_twice(void)
{
    char prompt[] = "p";
    struct http_reply reply;
    open_store("file");
    for (int is_jpeg = 0; is_jpeg < 2; ++is_jpeg) {
        const struct gallery_picture picture =
            put(is_jpeg ? "j" : "p", "", is_jpeg != 0, prompt);
        unsigned char magic[2] = {0};
        char tag[64];
        ask(HTTP_GET, path_of(picture.id, ""), (struct asked){0}, &reply);
        check_int(reply.status, ==, 200);
        check_str(reply.content_type, is_jpeg ? "image/jpeg" : "image/png");
        check_int(reply.kind, ==, HTTP_BODY_FILE);
        check_int(reply.byte_count, ==, picture.bytes);
        check_int(pread(reply.file, magic, 2, 0), ==, 2);
        check_int(magic[0], ==, is_jpeg ? 0xff : 0x89);
        check_has(header_of(&reply, "Cache-Control"), "private");
        (void)snprintf(tag, sizeof tag, "%s", header_of(&reply, "ETag"));
        check_has(tag, picture.id);
        http_reply_finish(&reply);
        ask(HTTP_GET, path_of(picture.id, ""), (struct asked){.none_match = tag},
            &reply);
        check_int(reply.status, ==, 304);
        check_int(reply.byte_count, ==, 0);
        http_reply_finish(&reply);
    }
    store_close(service.store);
}

/* Width and height of a picture in memory. */
static void check_size(const void *bytes, size_t count, int32_t width, int32_t height)
{
    struct picture_rows *rows = NULL;
    scratch_write(scratch_path("seen.jpg"), bytes, count);
    FILE *const file = fopen(scratch_path("seen.jpg"), "rb");
    check_int(picture_rows_open(&rows, fileno(file), 1 << 20, NULL), ==, DR_OK);
    if (rows) {
        check_int(picture_rows_width(rows), ==, width);
        check_int(picture_rows_height(rows), ==, height);
    }
    picture_rows_close(rows);
    (void)fclose(file);
}

static void makes_a_thumbnail_once(void)
{
    char prompt[] = "p";
    struct http_reply reply;
    open_store("small");
    const struct gallery_picture picture = put("1", "", false, prompt);
    ask(HTTP_GET, path_of(picture.id, "/thumbnail"), (struct asked){0}, &reply);
    check_int(reply.status, ==, 200);
    check_str(reply.content_type, "image/jpeg");
    check_size(reply.bytes, reply.byte_count, 256, 171);
    const size_t bytes = reply.byte_count;
    http_reply_finish(&reply);
    /* The second comes from the file: it stays when the picture is damaged. */
    scratch_write(fixture_path(service.store, "1", 0, false), "x", 1);
    ask(HTTP_GET, path_of(picture.id, "/thumbnail"), (struct asked){0}, &reply);
    check_int(reply.status, ==, 200);
    check_int(reply.kind, ==, HTTP_BODY_FILE);
    check_int(reply.byte_count, ==, bytes);
    http_reply_finish(&reply);
    store_close(service.store);
}

static void a_file_that_is_gone_or_damaged_is_an_error(void)
{
    char prompt[] = "p";
    open_store("gone");
    const struct gallery_picture picture = put("1", "", false, prompt);
    scratch_write(fixture_path(service.store, "1", 0, false), "<html>", 6);
    json_decref(
        ask_json(HTTP_GET, path_of(picture.id, "/thumbnail"), (struct asked){0}, 422));
    check_int(unlink(fixture_path(service.store, "1", 0, false)), ==, 0);
    json_decref(ask_json(HTTP_GET, path_of(picture.id, ""), (struct asked){0}, 404));
    json_decref(
        ask_json(HTTP_GET, path_of(picture.id, "/thumbnail"), (struct asked){0}, 404));
    store_close(service.store);
}

/* R01, R02: only the id of a picture names one. */
static void R01_other_texts_name_nothing(void)
{
    static const char *const ids[] = {"..",
                                      "x",
                                      "../../etc/passwd",
                                      "....................................",
                                      "%2e%2e",
                                      "/etc/passwd",
                                      "00000000000000000000000000000000",
                                      "' OR '1' = '1"};
    static const char *const rests[] = {"", "/thumbnail", "/parameters"};
    open_store("names");
    char prompt[] = "p";
    (void)put("1", "", false, prompt);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; ++i) {
        if (strchr(ids[i], '/')) continue; /* other paths, that no route has */
        for (size_t j = 0; j < 3; ++j)
            json_decref(
                ask_json(HTTP_GET, path_of(ids[i], rests[j]), (struct asked){0}, 404));
        json_decref(ask_json(HTTP_DELETE, path_of(ids[i], ""), (struct asked){0}, 404));
    }
    check_int(fixture_number(service.store, "SELECT count(*) FROM picture"), ==, 1);
    store_close(service.store);
}

static void tells_what_a_picture_was_made_with(void)
{
    char prompt[] = "<script>alert(1)</script>", parameters[] = "a\nSteps: 3, <b>";
    struct http_reply reply;
    open_store("parameters");
    struct gallery_picture picture = put("1", "", false, prompt);
    picture.parameters = parameters;
    check_int(gallery_add(service.store, &picture, NULL), ==, DR_OK);
    ask(HTTP_GET, path_of(picture.id, "/parameters"), (struct asked){0}, &reply);
    check(!memchr(reply.bytes, '<', reply.byte_count));
    json_t *const value = json_loadb(reply.bytes, reply.byte_count, 0, NULL);
    check_str(text_of(value, "parameters"), parameters);
    check_str(text_of(value, "prompt"), prompt);
    json_decref(value);
    http_reply_finish(&reply);
    store_close(service.store);
}

static void removes_a_picture(void)
{
    char prompt[] = "p";
    open_store("removes");
    const struct gallery_picture picture = put("1", "", false, prompt);
    json_t *const value =
        ask_json(HTTP_DELETE, path_of(picture.id, ""), (struct asked){0}, 200);
    check_str(text_of(value, "id"), picture.id);
    json_decref(value);
    check_int(access(fixture_path(service.store, "1", 0, false), F_OK), !=, 0);
    json_decref(ask_json(HTTP_GET, path_of(picture.id, ""), (struct asked){0}, 404));
    json_decref(ask_json(HTTP_DELETE, path_of(picture.id, ""), (struct asked){0}, 404));
    store_close(service.store);
}

/* R34: another user's pictures are as if they were not there. */
static void R34_users_see_their_own_pictures(void)
{
    static const char *const rests[] = {"", "/thumbnail", "/parameters"};
    char prompt[] = "sea";
    open_store("users");
    const struct gallery_picture picture = put("1", "ann", false, prompt);
    for (int parts = 0; parts < 2; ++parts) {
        service.parts_users = parts != 0;
        for (int is_search = 0; is_search < 2; ++is_search) {
            json_t *const value =
                ask_json(HTTP_GET, "/api/v1/images",
                         (struct asked){
                             .user = "bob", .query = {"q", is_search ? "sea" : ""}
            },
                         200);
            check_int(json_array_size(json_object_get(value, "images")), ==,
                      parts ? 0 : 1);
            json_decref(value);
        }
    }
    for (size_t i = 0; i < 3; ++i)
        json_decref(ask_json(HTTP_GET, path_of(picture.id, rests[i]),
                             (struct asked){.user = "bob"}, 404));
    json_decref(ask_json(HTTP_DELETE, path_of(picture.id, ""),
                         (struct asked){.user = "bob"}, 404));
    json_decref(ask_json(HTTP_GET, path_of(picture.id, "/parameters"),
                         (struct asked){.user = "ann"}, 200));
    json_decref(ask_json(HTTP_DELETE, path_of(picture.id, ""),
                         (struct asked){.user = "ann"}, 200));
    store_close(service.store);
}

int main(void)
{
    check_run(lists_pages_until_there_is_no_next);
    check_run(wrong_parameters_are_named);
    check_run(gives_the_file_and_not_twice);
    check_run(makes_a_thumbnail_once);
    check_run(a_file_that_is_gone_or_damaged_is_an_error);
    check_run(R01_other_texts_name_nothing);
    check_run(tells_what_a_picture_was_made_with);
    check_run(removes_a_picture);
    check_run(R34_users_see_their_own_pictures);
    return check_done();
}
