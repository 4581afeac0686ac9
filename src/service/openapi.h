/* openapi — the description of the service's routes: /openapi.json (OpenAPI 3.0.3) and /docs, made from the tables of
 * route.h, so that no route is forgotten and none is invented.
 *
 * A route names the schemas of what it takes and gives; they are in openapi_parts.json. What is no JSON has a name of its
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

/* Made by the build: openapi_parts.json.
 *     schemas    by name
 *     queries    of GET, by path: [{"name", "schema", "description"}, ...]
 *     statuses   by method and path, where success is not 200 */
extern const unsigned char openapi_parts[];
extern const size_t openapi_parts_count;

#endif
