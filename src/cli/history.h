/* history — the lines that were typed into the shell, in a file of text: $XDG_STATE_HOME/darkroom/history, else
 * ~/.local/state/darkroom/history.
 *
 * A line is appended when it was typed, so that shells beside each other lose nothing. The file is the user's alone
 * (prompts are private), and is cut to its last HISTORY_MAX_LINES lines when a shell starts. A line that begins with
 * a blank is not kept. Where the file cannot be used there is no history, and nothing else is different.
 */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include <stdbool.h>

enum {
    HISTORY_MAX_LINES = 1000,
    HISTORY_PATH_BYTES = 4096
};

struct history {
    char path[HISTORY_PATH_BYTES]; /* "": there is none */
};

/* Finds the file, and makes its directory. */
void history_open(struct history *history);

/* The lines of the file, the oldest first. */
void history_read(const struct history *history,
                  void (*take)(void *cookie, const char *line), void *cookie);

/* Is a line like this kept? */
bool history_takes(const char *line);

/* Append a line that is kept. */
void history_add(const struct history *history, const char *line);

#endif
