/* openai_stream — the answer of a request with "stream": true: events while its job runs.
 *
 *     event: image_generation.partial_image     data: {type, b64_json, partial_image_index, ...}   previews, at most 3
 *     event: image_generation.completed         data: {type, b64_json or url, ...}                 each picture
 *     event: error                              data: {type, error}
 *
 * How many previews there are depends on how long the job takes. A client that goes away cancels its job, as it does
 * where it waits for an answer.
 */
#ifndef SERVICE_OPENAI_STREAM_H
#define SERVICE_OPENAI_STREAM_H

#include "service/openai_request.h"
#include "service/service.h"

/* Answers with the events of a job that was submitted; with an error where memory runs out. */
void openai_stream_start(struct service *service, const struct http_request *request,
                         const struct openai_request *wanted, const char *job,
                         struct http_reply *reply);

#endif
