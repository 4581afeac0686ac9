/* openapi — the description of the service's routes: /openapi.json (OpenAPI 3.0.3) and /docs, made from the tables of
 * route.h, so that no route is forgotten and none is invented.
 *
 * A route names the schemas of what it takes and gives; they are in openapi_schemas.c. What is no JSON has a name of its
 * own there: Picture, Events, Text, Page.
 */
#ifndef SERVICE_OPENAPI_H
#define SERVICE_OPENAPI_H

#include <jansson.h>

#include "service/route.h"

/* The description: a new value; NULL where memory runs out. */
json_t *openapi_json(void);

/* GET /openapi.json, GET /docs */
void openapi_send(struct service *service, const struct http_request *request,
                  struct http_reply *reply);
void openapi_send_page(struct service *service, const struct http_request *request,
                       struct http_reply *reply);

/* ---- openapi_schemas.c ---- */

/* A schema by its name: JSON with ' in the place of ". */
struct openapi_schema {
    const char *name, *text;
};
/* Ends with a name that is NULL. */
extern const struct openapi_schema openapi_schemas[];

/* A parameter of a query, by the route's path; its schema as above. Ends with a path that is NULL. */
struct openapi_query {
    const char *path, *name, *schema, *description;
};
extern const struct openapi_query openapi_queries[];

/* A route that answers with another status than 200 when it succeeds. Ends with a path that is NULL. */
struct openapi_success {
    enum http_method method;
    const char *path, *status;
};
extern const struct openapi_success openapi_successes[];

#endif
