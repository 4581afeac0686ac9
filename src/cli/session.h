/* session — an engine and what was said at its start. A one-shot command is a session that runs
 * one command and loads lazily; the shell is one that runs many and loads eagerly.
 *
 *     words -> options -> the command's function -> fields -> one answer on standard output
 *
 * session_run is the only place where an answer is printed: with --json one line, always, whether
 * the command succeeded or not; without, text for people, and failures on standard error.
 * One thread. A write error on standard output is remembered: see session_exit.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>

#include <darkroom/darkroom.h>

#include "budget_text.h"
#include "memory_log.h"
#include "options.h"
#include "talk.h"

enum session_kind {
    SESSION_ONE_SHOT,
    SESSION_SHELL
};

struct session {
    enum session_kind kind;
    struct options start; /* what was said at the start: the defaults of each command */
    struct dr_engine *engine; /* opened by the first command that needs it */
    FILE *
        answers; /* standard output; standard error where a picture goes to the former */
    struct talk talk;
    struct memory_log memory_log;   /* begun with the engine */
    char budget[BUDGET_TEXT_BYTES]; /* as typed; "": not given */
    bool ended;                     /* quit was said */
    bool output_failed;             /* standard output takes no more */
    int failed_count;
};

/* start is copied; its strings are borrowed until session_finish. */
void session_init(struct session *session, enum session_kind kind,
                  const struct options *start);
void session_finish(struct session *session);

/* The budget as it was typed; "": the default. */
void session_note_budget(struct session *session, const char *typed);

/* The engine, opened by the options of the start. */
enum dr_code session_open(struct session *session, struct dr_error *err) DR_MUST_CHECK;

/* Run one command: its name and the words after it. It has been answered when this returns. */
enum dr_code session_run(struct session *session, const char *name, int count,
                         const char *const *words);

/* Answer a line that is no command: name may be "". */
void session_refuse(struct session *session, const char *name,
                    const struct dr_error *err);

#endif
