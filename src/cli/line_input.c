#include "line_input.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_CAPACITY = 1 << 12
};

void line_input_init(struct line_input *input, int fd, int wake_fd)
{
    *input = (struct line_input){.fd = fd, .wake_fd = wake_fd};
}

void line_input_finish(struct line_input *input)
{
    free(input->buffer);
    *input = (struct line_input){.fd = -1, .wake_fd = -1};
}

/* Room for at least one byte more; moves what is left to the front. A buffer that holds a whole
 * LINE_INPUT_MAX bytes without a line feed is emptied: that line is being dropped. */
static bool make_room(struct line_input *input)
{
    if (input->start > 0) {
        memmove(input->buffer, input->buffer + input->start, input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    if (input->end > LINE_INPUT_MAX) {
        input->dropping = true;
        input->end = 0;
    }
    /* One byte beyond the limit tells a line of the limit from a longer one; one more is for
     * the end of a last line. */
    if (input->end + 1 < input->capacity) return true;
    size_t capacity = input->capacity ? 2 * input->capacity : FIRST_CAPACITY;
    if (capacity > LINE_INPUT_MAX + 2) capacity = LINE_INPUT_MAX + 2;
    char *const grown = realloc(input->buffer, capacity);
    if (!grown) return false;
    input->buffer = grown;
    input->capacity = capacity;
    return true;
}

/* Waits and reads once. LINE_READY: there may be more in the buffer now. */
static enum line_kind fill(struct line_input *input)
{
    if (!make_room(input)) return LINE_FAILED;
    struct pollfd waits[2] = {
        {.fd = input->fd,      .events = POLLIN},
        {.fd = input->wake_fd, .events = POLLIN}
    };
    if (poll(waits, 2, -1) < 0) return errno == EINTR ? LINE_READY : LINE_FAILED;
    if (waits[1].revents) {
        char drained[64];
        while (read(input->wake_fd, drained, sizeof drained) > 0)
            continue;
        return LINE_STOPPED;
    }
    if (waits[0].revents & POLLNVAL) {
        errno = EBADF;
        return LINE_FAILED;
    }
    const ssize_t got =
        read(input->fd, input->buffer + input->end, input->capacity - input->end - 1);
    if (got < 0) return errno == EINTR || errno == EAGAIN ? LINE_READY : LINE_FAILED;
    input->at_end = got == 0;
    input->end += (size_t)got;
    return LINE_READY;
}

/* A line of `length` bytes lies at start: hand it out or say why not. */
static enum line_kind take(struct line_input *input, size_t length, char **line)
{
    char *const text = input->buffer + input->start;
    const bool too_long = input->dropping || length > LINE_INPUT_MAX;
    input->dropping = false;
    text[length] = '\0'; /* over the line feed, or after a last line */
    input->start += length + 1;
    if (input->start > input->end) input->start = input->end;
    if (too_long) return LINE_TOO_LONG;
    if (memchr(text, '\0', length)) return LINE_HAS_NUL;
    *line = text;
    return LINE_READY;
}

enum line_kind line_input_next(struct line_input *input, char **line)
{
    size_t looked_at = 0;
    for (;;) {
        const size_t length = input->end - input->start;
        char *const feed = length > looked_at
                               ? memchr(input->buffer + input->start + looked_at, '\n',
                                        length - looked_at)
                               : NULL;
        if (feed)
            return take(input, (size_t)(feed - input->buffer) - input->start, line);
        looked_at = length;
        if (input->at_end && (length > 0 || input->dropping))
            return take(input, length, line);
        if (input->at_end) return LINE_END;
        const enum line_kind kind = fill(input);
        if (kind != LINE_READY) return kind;
        if (input->dropping) looked_at = 0; /* the buffer may have been emptied */
    }
}
