#include "service/openapi.h"

#include <stdbool.h>

#include "check.h"

static bool has_schema(const char *name)
{
    for (const struct openapi_schema *schema = openapi_schemas; schema->name; ++schema)
        if (strcmp(schema->name, name) == 0) return true;
    return false;
}

static json_t *operation(json_t *description, const char *path, const char *method)
{
    return json_object_get(json_object_get(json_object_get(description, "paths"), path),
                           method);
}

static void every_schema_is_json(void)
{
    json_t *const description = openapi_json();
    json_t *const schemas =
        json_object_get(json_object_get(description, "components"), "schemas");
    size_t count = 0;
    for (const struct openapi_schema *schema = openapi_schemas; schema->name;
         ++schema) {
        if (!json_is_object(json_object_get(schemas, schema->name)))
            check_fail_at("the schema %s cannot be read", schema->name);
        ++count;
    }
    check_int(json_object_size(schemas), ==, count);
    json_decref(description);
}

static void every_schema_that_a_route_names_is_there(void)
{
    const struct route *route;
    for (size_t i = 0; (route = route_at(i)); ++i) {
        if (route->takes && !has_schema(route->takes))
            check_fail_at("%s takes %s, which has no schema", route->path,
                          route->takes);
        if (route->gives && !has_schema(route->gives))
            check_fail_at("%s gives %s, which has no schema", route->path,
                          route->gives);
    }
}

/* References inside schemas too. */
static void check_references(json_t *value)
{
    const char *key;
    json_t *member;
    size_t idx;
    json_object_foreach(value, key, member)
    {
        static const char prefix[] = "#/components/schemas/";
        if (strcmp(key, "$ref") == 0)
            check(strncmp(json_string_value(member), prefix, sizeof prefix - 1) == 0 &&
                  has_schema(json_string_value(member) + sizeof prefix - 1));
        check_references(member);
    }
    json_array_foreach(value, idx, member) check_references(member);
}

static void every_route_is_described_but_hidden_ones(void)
{
    json_t *const description = openapi_json();
    const struct route *route;
    size_t described = 0;
    check_references(description);
    for (size_t i = 0; (route = route_at(i)); ++i) {
        static const char *const methods[] = {[HTTP_GET] = "get",
                                              [HTTP_POST] = "post",
                                              [HTTP_PUT] = "put",
                                              [HTTP_DELETE] = "delete"};
        json_t *const found =
            operation(description, route->path, methods[route->method]);
        check((found == NULL) == ((route->flags & ROUTE_HIDDEN) != 0));
        if (!found) continue;
        ++described;
        check_str(json_string_value(json_object_get(found, "summary")), route->summary);
        check((json_object_get(found, "requestBody") != NULL) ==
              (route->body != ROUTE_BODY_NONE));
        check(json_object_get(json_object_get(found, "responses"), "default") != NULL);
    }
    check(described > 0);
    json_decref(description);
}

static void queries_and_statuses_belong_to_routes(void)
{
    json_t *const description = openapi_json();
    for (const struct openapi_query *query = openapi_queries; query->path; ++query)
        if (!operation(description, query->path, "get"))
            check_fail_at("there is no GET %s", query->path);
    for (const struct openapi_success *entry = openapi_successes; entry->path; ++entry)
        if (!json_object_get(json_object_get(description, "paths"), entry->path))
            check_fail_at("there is no %s", entry->path);
    json_decref(description);
}

static void the_page_names_no_other_address(void)
{
    struct http_reply reply;
    http_reply_init(&reply);
    openapi_send_page(NULL, NULL, &reply);
    check_int(reply.status, ==, 200);
    char *const text = malloc(reply.byte_count + 1);
    memcpy(text, reply.bytes, reply.byte_count);
    text[reply.byte_count] = '\0';
    check_has(text, "<code>/health</code>");
    check(!strstr(text, "://") && !strstr(text, "<script") && !strstr(text, "<style"));
    free(text);
    http_reply_finish(&reply);
}

int main(void)
{
    check_run(every_schema_is_json);
    check_run(every_schema_that_a_route_names_is_there);
    check_run(every_route_is_described_but_hidden_ones);
    check_run(queries_and_statuses_belong_to_routes);
    check_run(the_page_names_no_other_address);
    return check_done();
}
