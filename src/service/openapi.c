#include "service/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"

/* ---- the tables' words --------------------------------------------------------------------- */

static const char *method_name(enum http_method method)
{
    switch (method) {
    case HTTP_GET: return "get";
    case HTTP_POST: return "post";
    case HTTP_PUT: return "put";
    case HTTP_DELETE: return "delete";
    case HTTP_HEAD:
    case HTTP_OPTIONS:
    case HTTP_OTHER: break;
    }
    return "trace"; /* no table has others */
}

static const char *group_of(const char *path)
{
    if (strncmp(path, "/api/v1/", 8) == 0) return "darkroom";
    if (strncmp(path, "/v1/", 4) == 0) return "OpenAI";
    if (strncmp(path, "/sdapi/", 7) == 0) return "AUTOMATIC1111";
    return "service";
}

static const char *error_schema(enum api_shape shape)
{
    switch (shape) {
    case API_A1111: return "A1111Error";
    case API_OPENAI: return "OpenAIError";
    case API_OWN: break;
    }
    return "Error";
}

/* A borrowed part: parts[name][key]. */
static json_t *part_of(const json_t *parts, const char *name, const char *key)
{
    return json_object_get(json_object_get(parts, name), key);
}

static const char *success_status(const json_t *parts, const struct route *route)
{
    char name[160];
    (void)snprintf(name, sizeof name, "%s %s", method_name(route->method), route->path);
    const char *const status = json_string_value(part_of(parts, "statuses", name));
    return status ? status : "200";
}

static json_t *reference(const char *schema)
{
    char text[96];
    if (!schema) return json_object();
    (void)snprintf(text, sizeof text, "#/components/schemas/%s", schema);
    json_t *const value = json_object();
    member_set_text(value, "$ref", text);
    return value;
}

/* ---- an operation ------------------------------------------------------------------------ */

static void add_content(json_t *content, const char *type, const char *schema)
{
    json_t *const media = json_object();
    member_set(media, "schema", reference(schema));
    member_set(content, type, media);
}

/* What a route gives, by the types that are sent. */
static json_t *content_of(const char *schema)
{
    static const struct {
        const char *schema, *types[3];
    } others[] = {
        {"Picture", {"image/png", "image/jpeg"}},
        {"Events",  {"text/event-stream"}      },
        {"Text",    {"text/plain"}             },
        {"Page",    {"text/html"}              },
    };
    json_t *const content = json_object();
    for (size_t i = 0; schema && i < sizeof others / sizeof *others; ++i)
        if (strcmp(schema, others[i].schema) == 0) {
            for (const char *const *type = others[i].types; *type; ++type)
                add_content(content, *type, schema);
            return content;
        }
    add_content(content, "application/json", schema);
    return content;
}

static void add_response(json_t *responses, const char *status, const char *description,
                         const char *schema)
{
    json_t *const response = json_object();
    member_set_text(response, "description", description);
    member_set(response, "content", content_of(schema));
    member_set(responses, status, response);
}

static void add_path_parameter(json_t *parameters, const char *name, bool is_id)
{
    json_t *const parameter = json_object(), *const schema = json_object();
    member_set_text(schema, "type", "string");
    if (is_id) member_set_text(schema, "pattern", "^[0-9a-f]{32}$");
    member_set_text(parameter, "name", name);
    member_set_text(parameter, "in", "path");
    member_set_flag(parameter, "required", 1);
    member_set(parameter, "schema", schema);
    (void)json_array_append_new(parameters, parameter);
}

static json_t *parameters_of(const json_t *parts, const struct route *route)
{
    json_t *const parameters = json_array(), *query;
    size_t idx;
    for (const char *at = strchr(route->path, '{'); at; at = strchr(at, '{')) {
        char name[32];
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
        add_path_parameter(parameters, name,
                           strcmp(group_of(route->path), "darkroom") == 0);
        ++at;
    }
    if (route->method != HTTP_GET) return parameters;
    json_array_foreach(part_of(parts, "queries", route->path), idx, query)
    {
        json_t *const parameter = json_copy(query);
        member_set_text(parameter, "in", "query");
        (void)json_array_append_new(parameters, parameter);
    }
    return parameters;
}

/* No body at all is one without members. */
static json_t *body_of(const json_t *parts, const struct route *route)
{
    const bool is_form = route->body == ROUTE_BODY_FORM;
    json_t *const body = json_object(), *const content = json_object();
    add_content(content, is_form ? "multipart/form-data" : "application/json",
                route->takes);
    json_t *const schema = part_of(parts, "schemas", route->takes ? route->takes : "");
    member_set_flag(body, "required", json_object_get(schema, "required") != NULL);
    member_set(body, "content", content);
    return body;
}

/* "post_api_v1_jobs_id" */
static void name_operation(const struct route *route, char *name, size_t bytes)
{
    size_t length = (size_t)snprintf(name, bytes, "%s", method_name(route->method));
    for (const char *c = route->path; *c && length + 2 < bytes; ++c) {
        if (*c == '{' || *c == '}') continue;
        name[length++] = (char)(isalnum((unsigned char)*c) ? *c : '_');
    }
    name[length] = '\0';
}

static json_t *operation_of(const json_t *parts, const struct route *route)
{
    char name[128];
    json_t *const operation = json_object(), *const responses = json_object();
    name_operation(route, name, sizeof name);
    member_set_text(operation, "operationId", name);
    member_set_text(operation, "summary", route->summary);
    json_t *const tags = json_array();
    (void)json_array_append_new(tags, json_string(group_of(route->path)));
    member_set(operation, "tags", tags);
    json_t *const parameters = parameters_of(parts, route);
    if (json_array_size(parameters) > 0)
        member_set(operation, "parameters", parameters);
    else
        json_decref(parameters);
    if (route->body != ROUTE_BODY_NONE)
        member_set(operation, "requestBody", body_of(parts, route));
    add_response(responses, success_status(parts, route), "what was asked for",
                 route->gives);
    add_response(responses, "default", "an error", error_schema(route->shape));
    member_set(operation, "responses", responses);
    if (route->flags & ROUTE_PUBLIC) member_set(operation, "security", json_array());
    return operation;
}

/* ---- the description --------------------------------------------------------------------- */

static json_t *all_paths(const json_t *parts)
{
    json_t *const paths = json_object();
    const struct route *route;
    for (size_t i = 0; (route = route_at(i)); ++i) {
        if (route->flags & ROUTE_HIDDEN) continue;
        json_t *path = json_object_get(paths, route->path);
        if (!path) {
            path = json_object();
            member_set(paths, route->path, path);
        }
        member_set(path, method_name(route->method), operation_of(parts, route));
    }
    return paths;
}

static json_t *all_components(const json_t *parts)
{
    json_t *const components = json_object();
    member_set(components, "schemas", json_incref(json_object_get(parts, "schemas")));
    member_set(components, "securitySchemes",
               json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "basic", "type", "http", "scheme",
                         "basic", "bearer", "type", "http", "scheme", "bearer"));
    return components;
}

json_t *openapi_json(void)
{
    json_t *const parts =
        json_loadb((const char *)openapi_parts, openapi_parts_count, 0, NULL);
    if (!parts) return NULL;
    json_t *const value = json_object(), *const info = json_object();
    member_set_text(value, "openapi", "3.0.3");
    member_set_text(info, "title", "darkroom");
    member_set_text(info, "version", DARKROOM_VERSION);
    member_set_text(
        info, "description",
        "Pictures from Stable Diffusion checkpoints. Numbers may be sent as "
        "text; fields that are not known are ignored.");
    member_set(value, "info", info);
    /* The first: none, where none is asked for. */
    member_set(value, "security", json_pack("[{},{s:[]},{s:[]}]", "basic", "bearer"));
    member_set(value, "paths", all_paths(parts));
    member_set(value, "components", all_components(parts));
    json_decref(parts);
    return value;
}

void openapi_send(struct service *service, const struct http_request *request,
                  struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200, openapi_json());
}

/* ---- the page ---------------------------------------------------------------------------- */

/* Nothing in the tables needs escaping but these. */
static void print_text(FILE *out, const char *text)
{
    for (; *text; ++text)
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '&': fputs("&amp;", out); break;
        default: fputc(*text, out);
        }
}

static void print_rows(FILE *out, const char *group)
{
    const struct route *route;
    fprintf(out, "<h2>%s</h2>\n<table>\n<tr><th>Method<th>Path<th><th>Body<th>Answer\n",
            group);
    for (size_t i = 0; (route = route_at(i)); ++i) {
        if ((route->flags & ROUTE_HIDDEN) || strcmp(group_of(route->path), group) != 0)
            continue;
        const char *const method = method_name(route->method);
        fputs("<tr><td>", out);
        for (const char *c = method; *c; ++c)
            fputc(toupper((unsigned char)*c), out);
        fputs("<td><code>", out);
        print_text(out, route->path);
        fputs("</code><td>", out);
        print_text(out, route->summary);
        fprintf(out, "<td>%s<td>%s\n", route->takes ? route->takes : "",
                route->gives ? route->gives : "");
    }
    fputs("</table>\n", out);
}

void openapi_send_page(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    static const char *const groups[] = {"darkroom", "AUTOMATIC1111", "OpenAI",
                                         "service"};
    char *text = NULL;
    size_t byte_count = 0;
    FILE *const out = open_memstream(&text, &byte_count);
    (void)service;
    (void)request;
    if (out) {
        fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
              "<title>darkroom: routes</title>\n<h1>Routes</h1>\n"
              "<p>The same with all schemas, for programs: "
              "<a href=\"/openapi.json\">/openapi.json</a></p>\n",
              out);
        for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i)
            print_rows(out, groups[i]);
    }
    if (!out || fclose(out) != 0) {
        free(text);
        http_reply_error(reply, API_OWN, 503, NULL, "there is no memory for the page");
        return;
    }
    reply->status = 200;
    reply->content_type = "text/html; charset=utf-8";
    reply->bytes = text;
    reply->byte_count = byte_count;
}
