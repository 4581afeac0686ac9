/* Each case is a child process: signals change a process for good. */
#include "interrupt.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static struct dr_engine *open_engine(void)
{
    struct dr_engine_options options = dr_engine_options_default();
    struct dr_engine *engine = NULL;
    struct dr_error err;
    options.thread_count = 1;
    options.settings_path = "";
    if (dr_engine_open(&engine, &options, &err) == DR_OK) return engine;
    fprintf(stderr, "%s\n", err.message);
    _exit(99);
}

static bool is_awake(void)
{
    struct pollfd wait = {.fd = interrupt_fd(), .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

/* How a child that runs `body` after interrupt_install ends: its exit code, or minus its
 * signal. 0 is what a body that is content returns. */
static int outcome(int (*body)(void))
{
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        struct dr_error err;
        _exit(interrupt_install(&err) == DR_OK ? body() : 98);
    }
    int status = 0;
    check_int(waitpid(child, &status, 0), ==, child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int idle_ends(void)
{
    if (interrupt_ended() || is_awake()) return 1;
    (void)raise(SIGINT);
    return interrupt_ended() && is_awake() && !interrupt_seen() ? 0 : 2;
}

static int a_prompt_goes_on(void)
{
    interrupt_begin(open_engine());
    (void)raise(SIGINT);
    interrupt_end();
    interrupt_begin_prompt(); /* what cancelled the command is over */
    if (interrupt_at_prompt() || interrupt_ended() || is_awake()) return 1;
    (void)raise(SIGINT);
    if (!interrupt_at_prompt() || interrupt_ended() || !is_awake()) return 2;
    interrupt_begin_prompt();
    if (interrupt_at_prompt() || is_awake()) return 3;
    (void)raise(SIGTERM);
    return !interrupt_at_prompt() && interrupt_ended() && is_awake() ? 0 : 4;
}

static int running_is_cancelled(void)
{
    interrupt_begin(open_engine());
    if (interrupt_seen()) return 1;
    (void)raise(SIGINT);
    if (!interrupt_seen() || interrupt_ended()) return 2;
    interrupt_end();
    interrupt_begin(NULL); /* the next command begins anew */
    return interrupt_seen() ? 3 : 0;
}

static int termination_also_ends(void)
{
    interrupt_begin(open_engine());
    (void)raise(SIGTERM);
    return interrupt_seen() && interrupt_ended() ? 0 : 1;
}

static int twice_kills(void)
{
    interrupt_begin(open_engine());
    (void)raise(SIGINT);
    if (!interrupt_seen()) return 1;
    (void)raise(SIGINT);
    return 2;
}

static int nothing_to_cancel_kills(void)
{
    interrupt_begin(NULL);
    (void)raise(SIGINT);
    return 1;
}

static int an_engine_that_comes_later_is_cancelled(void)
{
    interrupt_begin(NULL);
    interrupt_watch(open_engine());
    (void)raise(SIGINT);
    return interrupt_seen() ? 0 : 1;
}

/* It looks by itself; the second signal is for a user who will not wait, and the next command has
 * to say so again. */
static int a_command_that_looks_is_not_killed(void)
{
    interrupt_begin(NULL);
    interrupt_heed();
    (void)raise(SIGINT);
    if (!interrupt_seen() || interrupt_ended()) return 1;
    interrupt_end();
    interrupt_begin(NULL);
    (void)raise(SIGINT);
    return 2;
}

static int a_reader_that_left_is_an_error(void)
{
    int fds[2];
    if (pipe(fds) != 0) return 1;
    (void)close(fds[0]);
    return write(fds[1], "", 1) == -1 ? 0 : 2;
}

static void signals_do_what_they_should(void)
{
    check_int(outcome(idle_ends), ==, 0);
    check_int(outcome(a_prompt_goes_on), ==, 0);
    check_int(outcome(running_is_cancelled), ==, 0);
    check_int(outcome(termination_also_ends), ==, 0);
    check_int(outcome(twice_kills), ==, -SIGINT);
    check_int(outcome(nothing_to_cancel_kills), ==, -SIGINT);
    check_int(outcome(an_engine_that_comes_later_is_cancelled), ==, 0);
    check_int(outcome(a_command_that_looks_is_not_killed), ==, -SIGINT);
    check_int(outcome(a_reader_that_left_is_an_error), ==, 0);
}

int main(void)
{
    check_run(signals_do_what_they_should);
    return check_done();
}
