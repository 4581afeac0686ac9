#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t running, heeded, seen, ended, at_prompt, prompted,
    continued;
static struct dr_engine
    *_Atomic watched; /* a pointer: atomic without a lock, so signal-safe */
static int wake_pipe[2] = {-1, -1};

static void die_of(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    (void)sigaction(number, &action, NULL);
    (void)raise(number); /* blocked until the handler returns, fatal then */
}

static void on_signal(int number)
{
    const int saved_errno = errno;
    struct dr_engine *const engine = atomic_load(&watched);
    if (number == SIGTERM || (!running && !at_prompt)) ended = 1;
    if (number == SIGINT && !running) prompted = 1;
    if (running && (seen || (!engine && !heeded && !at_prompt))) {
        die_of(number);
    } else if (running) {
        seen = 1;
        dr_engine_cancel(engine);
    }
    (void)!write(wake_pipe[1], "", 1);
    errno = saved_errno;
}

static void on_continue(int number)
{
    const int saved_errno = errno;
    (void)number;
    continued = 1;
    (void)!write(wake_pipe[1], "", 1);
    errno = saved_errno;
}

static int make_quiet(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return -1;
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

enum dr_code interrupt_install(struct dr_error *err)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaddset(&action.sa_mask, SIGINT);
    (void)sigaddset(&action.sa_mask, SIGTERM);
    if (pipe(wake_pipe) == 0 && make_quiet(wake_pipe[0]) == 0 &&
        make_quiet(wake_pipe[1]) == 0 && sigaction(SIGINT, &action, NULL) == 0 &&
        sigaction(SIGTERM, &action, NULL) == 0 &&
        sigaction(SIGPIPE, &ignore, NULL) == 0 &&
        sigaction(SIGXFSZ, &ignore, NULL) == 0)
        return DR_OK;
    err->code = DR_IO;
    (void)snprintf(err->message, sizeof err->message, "cannot set up signals: %s",
                   strerror(errno));
    return DR_IO;
}

void interrupt_begin(struct dr_engine *engine)
{
    seen = 0;
    heeded = 0;
    atomic_store(&watched, engine);
    running = 1;
}

void interrupt_watch(struct dr_engine *engine)
{
    atomic_store(&watched, engine);
}

void interrupt_end(void)
{
    running = 0;
    atomic_store(&watched, NULL);
}

void interrupt_heed(void)
{
    heeded = 1;
}

bool interrupt_seen(void)
{
    return seen != 0;
}

bool interrupt_ended(void)
{
    return ended != 0;
}

void interrupt_begin_prompt(void)
{
    char drained[64];
    at_prompt = 1;
    prompted = 0;
    while (read(wake_pipe[0], drained, sizeof drained) > 0)
        continue;
}

void interrupt_watch_continue(void)
{
    struct sigaction action = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGCONT, &action, NULL);
}

bool interrupt_take_continue(void)
{
    char drained[64];
    if (!continued) return false;
    continued = 0;
    while (read(wake_pipe[0], drained, sizeof drained) > 0)
        continue;
    return true;
}

bool interrupt_at_prompt(void)
{
    return prompted != 0;
}

int interrupt_fd(void)
{
    return wake_pipe[0];
}
