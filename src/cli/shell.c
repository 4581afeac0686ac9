#include "shell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "interrupt.h"
#include "line_editor.h"
#include "line_input.h"
#include "words.h"

#define PROMPT "darkroom> "

static enum dr_code refuse(struct session *session, const char *message)
{
    struct dr_error err = {.code = DR_BAD_INPUT};
    (void)snprintf(err.message, sizeof err.message, "%s", message);
    session_refuse(session, "", &err);
    return DR_BAD_INPUT;
}

static void run_line(struct session *session, char *line)
{
    struct words words;
    struct dr_error err = {0};
    if (words_split(&words, line, &err) != DR_OK) {
        session_refuse(session, "", &err);
        return;
    }
    if (words.count == 0) return;
    (void)session_run(session, words.list[0], words.count - 1, words.list + 1);
}

/* Where the lines come from. A person at a terminal has a prompt, and an editor where the terminal can do that. */
struct source {
    struct line_input input;
    struct line_editor *editor; /* NULL: input reads */
    bool asks;
    bool was_stopped; /* by Ctrl-C, and no line came since */
    char nothing[1];  /* the line that was given up */
};

static void open_source(struct source *source, const struct session *session)
{
    *source = (struct source){0};
    source->asks =
        !session->start.json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    line_input_init(&source->input, STDIN_FILENO, interrupt_fd());
    if (!source->asks) return;
    if (session->talk.is_terminal) source->editor = line_editor_open(PROMPT);
    if (session->start.quiet) return;
    fprintf(stderr, "darkroom %s: help lists the commands, %sexit ends the shell\n",
            dr_version(), source->editor ? "Tab completes, " : "");
}

/* Without an editor the terminal keeps the line until it is typed, and forgets it at Ctrl-C: whether it was empty is not
 * known, so the second of two ends the shell. */
static enum line_kind ask(struct source *source, char **line)
{
    interrupt_begin_prompt();
    fputs(PROMPT, stderr);
    (void)fflush(stderr);
    const enum line_kind kind = line_input_next(&source->input, line);
    const bool is_first = !source->was_stopped;
    source->was_stopped = kind == LINE_STOPPED;
    if (kind != LINE_STOPPED && kind != LINE_END) return kind;
    fputc('\n', stderr);
    if (kind == LINE_END || !is_first || interrupt_ended()) return kind;
    *line = source->nothing;
    return LINE_READY;
}

static enum line_kind next_line(struct source *source, char **line)
{
    if (source->editor) return line_editor_next(source->editor, line);
    return source->asks ? ask(source, line) : line_input_next(&source->input, line);
}

/* One turn; false at the end. */
static bool take_line(struct session *session, struct source *source)
{
    char *line;
    switch (next_line(source, &line)) {
    case LINE_READY: run_line(session, line); return true;
    case LINE_TOO_LONG:
        (void)refuse(session, "the line is longer than 1 MiB");
        return true;
    case LINE_HAS_NUL:
        (void)refuse(session, "the line contains a NUL byte");
        return true;
    case LINE_STOPPED: return !source->asks && !interrupt_ended();
    case LINE_END: return false;
    case LINE_FAILED:
        fprintf(stderr, "darkroom shell: cannot read commands: %s\n", strerror(errno));
        ++session->failed_count;
        return false;
    }
    return false;
}

static void read_lines(struct session *session)
{
    struct source source;
    open_source(&source, session);
    while (!interrupt_ended() && take_line(session, &source) && !session->ended &&
           !session->output_failed)
        continue;
    line_editor_close(&source.editor);
    line_input_finish(&source.input);
}

/* The engine and the model of the start. No answer belongs to it: it fails as a start does. */
static enum dr_code start(struct session *session, const char *model,
                          struct dr_error *err)
{
    enum dr_code code = session_open(session, err);
    if (code != DR_OK || !model) return code;
    interrupt_begin(session->engine);
    code = dr_engine_load(session->engine, model,
                          DR_LOAD_EAGER | (session->start.force ? DR_LOAD_FORCE : 0U),
                          NULL, err);
    interrupt_end();
    talk_end(&session->talk);
    return code;
}

int shell_run(int count, const char *const *words)
{
    struct session session;
    struct dr_error err = {0};
    struct options options = options_default();
    enum dr_code code = options_parse(&options, FOR_SHELL, count, words, &err);
    if (code == DR_OK && options.help) {
        command_print_help(stdout, command_find("shell", ON_COMMAND_LINE),
                           ON_COMMAND_LINE);
        return fflush(stdout) == 0 ? 0 : dr_code_exit(DR_IO);
    }
    if (code == DR_OK && options.operand_count > 0) {
        code = err.code = DR_BAD_INPUT;
        (void)snprintf(err.message, sizeof err.message,
                       "shell does not take \"%.80s\": it reads commands from "
                       "standard input",
                       options.operands[0]);
    }
    if (code != DR_OK) options.json |= options_have_json(count, words);
    session_init(&session, SESSION_SHELL, &options);
    if (code == DR_OK) code = start(&session, options.model, &err);
    if (code == DR_OK)
        read_lines(&session);
    else
        session_refuse(&session, "shell", &err);
    session_finish(&session);
    if (session.output_failed) return dr_code_exit(DR_IO);
    if (code != DR_OK) return dr_code_exit(code);
    return session.failed_count > 0 ? 1 : 0;
}
