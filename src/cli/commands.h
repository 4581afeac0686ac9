/* commands — what the program can do, each thing once: for the command line and for the shell.
 * The table is here; what changes the engine is in switch_commands, what makes pictures in
 * picture_commands; vaes_command and settings_command have one each.
 *
 * A command gets its options parsed and fills the answer's fields; the session measures the time,
 * and prints. Between two calls of the engine a command asks interrupt_seen, since a signal that
 * came between them cancelled nothing.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/darkroom.h>

#include "front/answer.h"
#include "session.h"

/* Where a command can be typed: bits. */
enum {
    ON_COMMAND_LINE = 1,
    ON_SHELL_LINE = 2
};

typedef enum dr_code command_run(struct session *session, const struct options *options,
                                 json_t *fields, struct dr_error *err);

struct command {
    const char *name;
    unsigned where;
    unsigned bit;         /* its options: FOR_... of options.h */
    int least, most;      /* operands */
    const char *operands; /* in the usage line: "IN.png" */
    const char *summary;  /* a line of help */
    bool needs_engine;
    command_run *run; /* NULL: `shell`, which main runs */
};

/* NULL where there is none of that name there. */
const struct command *command_find(const char *name, unsigned where);
/* In the order of help, until NULL. */
const struct command *command_at(int idx);

/* ---- for the commands themselves ---- */

/* A failure in one statement, as the engine's own. */
enum dr_code command_fail(struct dr_error *err, enum dr_code code, const char *format,
                          ...) __attribute__((format(printf, 3, 4)));

/* There is no command of this name there: DR_BAD_INPUT, with the nearest one. */
enum dr_code command_refuse_unknown(const char *name, unsigned where,
                                    struct dr_error *err);

/* err says why these words are not those of the command. Where they would be those of another, it names that one. */
void command_explain_words(const struct command *command, int count,
                           const char *const *words, struct dr_error *err);

/* ---- for help ---- */

/* The usage and options of one command. */
void command_print_help(FILE *stream, const struct command *command, unsigned where);
/* All commands, a line each. */
void command_print_list(FILE *stream, unsigned where);

#endif
