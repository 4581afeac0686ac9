/* line_editor — a line of the shell, asked of a person at a terminal: edited, with history and completion (libedit).
 *
 * It is for a terminal that moves its cursor. For any other, and where no person is asked, line_input reads.
 *
 * Signals are the program's (interrupt.h), not libedit's: a wait ends when one comes. Ctrl-C clears the line, and on an empty
 * line is LINE_STOPPED, as SIGTERM is; the line that a person waits with is given up. libedit needs a UTF-8 locale for
 * characters, so the locale's character type is set to one when an editor is opened.
 */
#ifndef CLI_LINE_EDITOR_H
#define CLI_LINE_EDITOR_H

#include "history.h"
#include "line_input.h"

struct line_editor; /* one at a time */

/* NULL: it cannot be had (no memory, an unknown terminal); then line_input is used. */
struct line_editor *line_editor_open(const char *prompt);
void line_editor_close(struct line_editor **editor);

/* *line stays valid, and may be changed, until the next call. */
enum line_kind line_editor_next(struct line_editor *editor, char **line);

#endif
