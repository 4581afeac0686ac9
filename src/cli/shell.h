/* shell — one engine, one command a line: until quit, the end of the input, or Ctrl-C.
 *
 * A line is split into words like in a POSIX shell (words.h); blank lines and comments are ignored and
 * get no answer. A line that cannot be split is answered with an error, like a command that
 * failed.
 *
 * Where a person types (standard input and standard error are terminals, and no --json) there is a prompt on standard error, with
 * line editing, history and completion (line_editor.h); on a terminal that cannot move its cursor (TERM=dumb) a plain one.
 * Ctrl-C cancels the command that runs; at the prompt it clears the line, and on an empty line ends the shell.
 */
#ifndef CLI_SHELL_H
#define CLI_SHELL_H

#include "session.h"

/* count, words: what follows `darkroom shell`. Returns the program's exit code: 0, or 1 where any
 * command failed, or that of the start's own failure. */
int shell_run(int count, const char *const *words);

#endif
