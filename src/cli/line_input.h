/* line_input — the lines of a file descriptor, for a reader that signals may interrupt.
 *
 * stdio is not used: it would hide an interrupted wait. A line is at most LINE_INPUT_MAX bytes; a
 * longer one is read to its end and dropped, as is one with a NUL byte in it, and the reader goes
 * on with the next. A last line without a line feed counts.
 */
#ifndef CLI_LINE_INPUT_H
#define CLI_LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LINE_INPUT_MAX = 1 << 20
};

enum line_kind {
    LINE_READY,    /* *line is it, without the line feed */
    LINE_END,      /* end of file */
    LINE_TOO_LONG, /* dropped */
    LINE_HAS_NUL,  /* dropped */
    LINE_STOPPED,  /* wake_fd became readable */
    LINE_FAILED,   /* errno says why */
};

struct line_input {
    int fd, wake_fd; /* wake_fd: ends a wait when it becomes readable; -1: none */
    char *buffer;    /* owned */
    size_t start, end, capacity;
    bool at_end, dropping;
};

void line_input_init(struct line_input *input, int fd, int wake_fd);
void line_input_finish(struct line_input *input);

/* *line stays valid, and may be changed, until the next call. */
enum line_kind line_input_next(struct line_input *input, char **line);

#endif
