#include "service/openapi.h"

#include "check.h"

static json_t *schemas_of(json_t *description)
{
    return json_object_get(json_object_get(description, "components"), "schemas");
}

static json_t *operation(json_t *description, const char *path, const char *method)
{
    return json_object_get(json_object_get(json_object_get(description, "paths"), path),
                           method);
}

static void every_schema_that_a_route_names_is_there(void)
{
    json_t *const description = openapi_json(), *const schemas =
                                                    schemas_of(description);
    const struct route *route;
    check(json_object_size(schemas) > 0);
    for (size_t i = 0; (route = route_at(i)); ++i) {
        if (route->takes && !json_object_get(schemas, route->takes))
            check_fail_at("%s takes %s, which has no schema", route->path,
                          route->takes);
        if (route->gives && !json_object_get(schemas, route->gives))
            check_fail_at("%s gives %s, which has no schema", route->path,
                          route->gives);
    }
    json_decref(description);
}

/* References inside schemas too. used: gets the names. */
static void follow(json_t *schemas, json_t *value, json_t *used)
{
    static const char prefix[] = "#/components/schemas/";
    const char *key;
    json_t *member;
    size_t idx;
    json_object_foreach(value, key, member)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *const name = json_string_value(member) + sizeof prefix - 1;
            check(strncmp(json_string_value(member), prefix, sizeof prefix - 1) == 0);
            if (!json_object_get(schemas, name)) check_fail_at("there is no %s", name);
            (void)json_object_set_new(used, name, json_true());
        }
        follow(schemas, member, used);
    }
    json_array_foreach(value, idx, member) follow(schemas, member, used);
}

static void no_schema_is_left_over(void)
{
    json_t *const description = openapi_json(), *const schemas =
                                                    schemas_of(description);
    json_t *const used = json_object();
    const char *name;
    json_t *schema;
    follow(schemas, description, used);
    json_object_foreach(schemas, name, schema)
    {
        if (!json_object_get(used, name)) check_fail_at("%s is of no use", name);
    }
    json_decref(used);
    json_decref(description);
}

static void every_route_is_described_but_hidden_ones(void)
{
    json_t *const description = openapi_json();
    const struct route *route;
    size_t described = 0;
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
    json_t *const parts =
        json_loadb((const char *)openapi_parts, openapi_parts_count, 0, NULL);
    json_t *const description = openapi_json();
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(parts, "queries"), key, value)
    {
        json_t *const found = operation(description, key, "get");
        check_int(json_array_size(json_object_get(found, "parameters")), >=,
                  json_array_size(value));
    }
    json_object_foreach(json_object_get(parts, "statuses"), key, value)
    {
        char method[16];
        const size_t length = strcspn(key, " ");
        (void)snprintf(method, sizeof method, "%.*s", (int)length, key);
        json_t *const found = operation(description, key + length + 1, method);
        check(json_object_get(json_object_get(found, "responses"),
                              json_string_value(value)) != NULL);
    }
    json_decref(description);
    json_decref(parts);
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
    check_run(every_schema_that_a_route_names_is_there);
    check_run(no_schema_is_left_over);
    check_run(every_route_is_described_but_hidden_ones);
    check_run(queries_and_statuses_belong_to_routes);
    check_run(the_page_names_no_other_address);
    return check_done();
}
