#include "base/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool line_reader_open(struct line_reader *reader, const char *path)
{
    reader->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    reader->failed = 0;
    reader->skipping = false;
    reader->start = 0;
    reader->end = 0;
    return reader->descriptor >= 0;
}

/* Move what is left to the front and read behind it. False at the end of the file. */
static bool fill(struct line_reader *reader)
{
    memmove(reader->buffer, reader->buffer + reader->start,
            reader->end - reader->start);
    reader->end -= reader->start;
    reader->start = 0;
    const size_t room = sizeof reader->buffer - 1 - reader->end; /* 1: the terminator */
    ssize_t got;
    do
        got = read(reader->descriptor, reader->buffer + reader->end, room);
    while (got < 0 && errno == EINTR);
    if (got < 0) reader->failed = errno;
    if (got <= 0) return false;
    reader->end += (size_t)got;
    return true;
}

/* Hand out the buffer from start to end_of_line, and go on behind it. */
static char *take(struct line_reader *reader, size_t end_of_line, size_t next)
{
    char *const line = reader->buffer + reader->start;
    reader->buffer[end_of_line] = '\0';
    reader->start = next;
    return line;
}

char *line_reader_next(struct line_reader *reader)
{
    for (;;) {
        const char *const feed =
            memchr(reader->buffer + reader->start, '\n', reader->end - reader->start);
        if (feed) {
            const size_t end_of_line = (size_t)(feed - reader->buffer);
            char *const line = take(reader, end_of_line, end_of_line + 1);
            if (!reader->skipping) return line;
            reader->skipping = false;
            continue;
        }
        if (reader->skipping) reader->start = reader->end;
        if (reader->end - reader->start == sizeof reader->buffer - 1) {
            reader->skipping = true;
            return take(reader, reader->end, reader->end);
        }
        if (fill(reader)) continue;
        if (reader->failed || reader->start == reader->end) return NULL;
        return take(reader, reader->end,
                    reader->end); /* the last, without a line feed */
    }
}

int line_reader_close(struct line_reader *reader)
{
    (void)close(reader->descriptor);
    reader->descriptor = -1;
    return reader->failed;
}
