/* service_events — what the main thread waits for while the service runs: signals, the worker that has been idle, and the
 * time to feed systemd's watchdog.
 *
 * SIGTERM, SIGINT and SIGHUP are blocked from service_events_begin on, so it has to be called before there is another thread:
 * none of them takes a signal then.
 */
#ifndef SERVICE_SERVICE_EVENTS_H
#define SERVICE_SERVICE_EVENTS_H

#include <signal.h>

#include <darkroom/error.h>

enum service_event {
    SERVICE_EVENT_STOP,   /* SIGTERM, SIGINT */
    SERVICE_EVENT_REOPEN, /* SIGHUP: logs were moved */
    SERVICE_EVENT_IDLE,   /* service_events_idle */
    SERVICE_EVENT_END,    /* service_events_end */
    SERVICE_EVENT_TIME    /* nothing for wait_ms */
};

struct service_events {
    sigset_t before;
    int signals, idle, ended; /* a signalfd, two eventfds */
    double watchdog_ms, fed_ms;
};

enum dr_code service_events_begin(struct service_events *events,
                                  struct dr_error *err) DR_MUST_CHECK;
/* Signals do what they did before. Of zeroed events nothing. */
void service_events_finish(struct service_events *events);

/* wait_ms negative: without end. The watchdog is fed meanwhile. One thread at a time. */
enum service_event service_events_next(struct service_events *events, double wait_ms);

/* From any thread. */
void service_events_idle(struct service_events *events);
void service_events_end(struct service_events *events);
/* This thread takes signals again, as before: the next one kills. */
void service_events_unblock(const struct service_events *events);

#endif
