/* job_view — a job as the own API shows it.
 *
 *     {"id", "kind", "state", "position", "progress", "step", "steps", "image", "stage", "eta_seconds", "created",
 *      "started", "ended", "images":[id, ...], "error":{"code","message"}, "receipt":{...}, "request":{...}}
 *
 * position: of a queued job; progress to eta_seconds: of the running one; times are Unix times. What there is not is left
 * out. Threads: any.
 */
#ifndef SERVICE_JOB_VIEW_H
#define SERVICE_JOB_VIEW_H

#include <jansson.h>

#include "service/job_store.h"
#include "service/service.h"

/* queue: zeroed, or of another job of the same answer; the caller's to finish. */
json_t *job_view_json(struct service *service, const struct job_record *record,
                      struct worker_queue *queue);

#endif
