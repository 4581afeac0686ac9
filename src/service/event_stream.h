/* event_stream — the log of events as the body of a reply (Server-Sent Events).
 *
 * It goes on after Last-Event-ID, else with what comes from now on; a comment comes every EVENT_STREAM_PING_S, so that who
 * is between keeps the connection; a client that has left is noticed within a second. The stream of one job begins with its state and ends when the job has ended.
 *
 *     state     {"id", "state"}
 *     progress  {"id", "stage", "progress", "image", "images", "step", "steps", "eta_seconds"}
 *     preview   {"id", "image", "step", "steps", "url"}
 *     image     {"id", "job", "index", "seed", "width", "height"}      id: of the picture
 *     memory    a region that was opened or closed (front/event_json.h)
 */
#ifndef SERVICE_EVENT_STREAM_H
#define SERVICE_EVENT_STREAM_H

#include "service/http_reply.h"
#include "service/http_request.h"
#include "service/service.h"

enum {
    EVENT_STREAM_PING_S = 15
};

/* job: whose events, of which the caller knows that the request's user may see it; "": all that the user may see. */
void event_stream_reply(struct service *service, const struct http_request *request,
                        const char *job, struct http_reply *reply);

#endif
