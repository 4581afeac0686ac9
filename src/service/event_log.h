/* event_log — what happens to jobs and memory, numbered, for those who watch (SSE).
 *
 * The last EVENT_LOG_COUNT events are kept, so that a client that lost its connection goes on where it was (Last-Event-ID).
 * Each has a type (`state`, `progress`, `preview`, `image`, `memory`), its job, and JSON. Progress and previews of a job
 * replace the one that is waiting. Texts lie in one ring of EVENT_LOG_BYTES that is there from the start; the oldest go.
 * Threads: any.
 */
#ifndef SERVICE_EVENT_LOG_H
#define SERVICE_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
    EVENT_LOG_COUNT = 1024,
    EVENT_LOG_BYTES = 512 * 1024
};

struct event_log; /* opaque */

struct event_log *event_log_create(void); /* NULL: no memory */
void event_log_destroy(struct event_log *log);

/* type: static. job: "" for none. user: who may see it; "" for all. data is taken. */
void event_log_add(struct event_log *log, const char *type, const char *job,
                   const char *user, json_t *data_take);

/* The next event after number `after` that job ("" for any) and user (NULL: sees all) may see, as SSE text ("id: ..\nevent:
 * ..\ndata: ..\n\n") into bytes. Waits at most wait_ms. Returns its length, 0 where none came; *number is set. An event
 * that is longer than capacity is left out. */
size_t event_log_next(struct event_log *log, uint64_t after, const char *job,
                      const char *user, double wait_ms, char *bytes, size_t capacity,
                      uint64_t *number);
/* The newest event's number; 0: none yet. */
uint64_t event_log_last(struct event_log *log);
/* Wakes all that wait, for ever: the service stops. */
void event_log_close(struct event_log *log);
bool event_log_is_closed(struct event_log *log);

#endif
