#include "shell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "interrupt.h"
#include "line_input.h"
#include "words.h"

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

static void show_prompt(const struct session *session)
{
    if (session->start.json || !session->talk.is_terminal || !isatty(STDIN_FILENO))
        return;
    fputs("darkroom> ", stderr);
    (void)fflush(stderr);
}

/* One turn; false at the end. */
static bool take_line(struct session *session, struct line_input *input)
{
    char *line;
    switch (line_input_next(input, &line)) {
    case LINE_READY: run_line(session, line); return true;
    case LINE_TOO_LONG:
        (void)refuse(session, "the line is longer than 1 MiB");
        return true;
    case LINE_HAS_NUL:
        (void)refuse(session, "the line contains a NUL byte");
        return true;
    case LINE_STOPPED: return !interrupt_ended();
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
    struct line_input input;
    line_input_init(&input, STDIN_FILENO, interrupt_fd());
    do
        show_prompt(session);
    while (!interrupt_ended() && take_line(session, &input) && !session->ended &&
           !session->output_failed);
    line_input_finish(&input);
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
