/* interrupt — what Ctrl-C (SIGINT) and SIGTERM do.
 *
 *     nothing runs                 the program ends: interrupt_ended() is true
 *     a person is at a prompt      SIGINT is theirs: interrupt_at_prompt() is true, and the shell decides
 *     a command runs               the engine is told to cancel; the command answers `cancelled`
 *     it runs and cancels already  the signal's own death, for a user who will not wait
 *     it runs without an engine    the same: there is nothing to cancel and nothing to clean up,
 *                                  unless the command said that it looks (interrupt_heed), or commands are typed
 *                                  at a prompt: the shell goes on
 *
 * SIGTERM does all that and ends the program after the command. SIGPIPE is ignored: a reader who
 * went away shows as a write error. System calls are not restarted (no SA_RESTART), and a pipe
 * carries the signal to whoever polls, so that none is lost between a look and a wait.
 *
 * State is global since a signal handler has no other; main sets it up once. interrupt_begin and
 * interrupt_end are called by one thread; the handler may run in any.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

#include <darkroom/darkroom.h>

/* Errors: DR_IO where the system gives no pipe. */
enum dr_code interrupt_install(struct dr_error *err) DR_MUST_CHECK;

/* A command begins; `engine` (may be NULL) is what a signal cancels, and must outlive the
 * command. It may be given later, while the command runs. */
void interrupt_begin(struct dr_engine *engine);
void interrupt_watch(struct dr_engine *engine);
void interrupt_end(void);

/* The command that runs looks at interrupt_seen now and then, and ends by itself. */
void interrupt_heed(void);

/* A signal came since interrupt_begin. */
bool interrupt_seen(void);

/* A line is about to be asked of a person. What came before is over. From now on SIGINT ends nothing while no command
 * runs. */
void interrupt_begin_prompt(void);

/* SIGINT came since interrupt_begin_prompt, while no command ran. */
bool interrupt_at_prompt(void);

/* Who sets up the terminal has to do it again after the program was stopped (Ctrl-Z) and continued: from now on a
 * SIGCONT wakes who waits, and interrupt_take_continue is true once. */
void interrupt_watch_continue(void);
bool interrupt_take_continue(void);

/* The program should end: SIGTERM at any time, SIGINT while nothing ran and nobody was asked. */
bool interrupt_ended(void);

/* Readable from the first signal on: for poll. */
int interrupt_fd(void);

#endif
