#define _GNU_SOURCE /* signalfd, eventfd */

#include "service/service_events.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <darkroom/darkroom.h>

#include "service/failure.h"
#include "service/service_manager.h"

enum dr_code service_events_begin(struct service_events *events, struct dr_error *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    *events = (struct service_events){.watchdog_ms = service_manager_watchdog_ms()};
    if (pthread_sigmask(SIG_BLOCK, &set, &events->before) != 0 ||
        (events->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
        (events->idle = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (events->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return failure(err, DR_IO, "cannot set up signals: %s", strerror(errno));
    return DR_OK;
}

void service_events_finish(struct service_events *events)
{
    const int files[] = {events->signals, events->idle, events->ended};
    if (events->signals == 0) return;
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i)
        if (files[i] > 0) (void)close(files[i]);
    service_events_unblock(events);
    *events = (struct service_events){.signals = 0};
}

void service_events_unblock(const struct service_events *events)
{
    (void)pthread_sigmask(SIG_SETMASK, &events->before, NULL);
}

static void feed_watchdog(struct service_events *events, double now_ms)
{
    if (events->watchdog_ms <= 0.0 || now_ms < events->fed_ms + events->watchdog_ms)
        return;
    service_manager_notify("WATCHDOG=1");
    events->fed_ms = now_ms;
}

/* Until until_ms (negative: without end) or the next time to feed the watchdog. */
static int poll_ms(const struct service_events *events, double until_ms, double now_ms)
{
    double left_ms = until_ms < 0.0 ? 1e9 : until_ms - now_ms;
    if (events->watchdog_ms > 0.0 &&
        events->fed_ms + events->watchdog_ms - now_ms < left_ms)
        left_ms = events->fed_ms + events->watchdog_ms - now_ms;
    return left_ms <= 0.0 ? 0 : (int)left_ms + 1;
}

static bool take(int event)
{
    eventfd_t count;
    return eventfd_read(event, &count) == 0;
}

enum service_event service_events_next(struct service_events *events, double wait_ms)
{
    const double until_ms = wait_ms < 0.0 ? -1.0 : dr_clock_ms() + wait_ms;
    for (;;) {
        struct pollfd files[] = {
            {.fd = events->signals, .events = POLLIN},
            {.fd = events->idle,    .events = POLLIN},
            {.fd = events->ended,   .events = POLLIN},
        };
        const double now_ms = dr_clock_ms();
        feed_watchdog(events, now_ms);
        if (until_ms >= 0.0 && now_ms >= until_ms) return SERVICE_EVENT_TIME;
        if (poll(files, 3, poll_ms(events, until_ms, now_ms)) <= 0) continue;
        struct signalfd_siginfo signal;
        if (read(events->signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
            return signal.ssi_signo == SIGHUP ? SERVICE_EVENT_REOPEN
                                              : SERVICE_EVENT_STOP;
        if (take(events->ended)) return SERVICE_EVENT_END;
        if (take(events->idle)) return SERVICE_EVENT_IDLE;
    }
}

void service_events_idle(struct service_events *events)
{
    (void)eventfd_write(events->idle, 1);
}

void service_events_end(struct service_events *events)
{
    (void)eventfd_write(events->ended, 1);
}
