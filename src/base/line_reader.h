/* line_reader — the lines of a small text file, through one fixed buffer.
 *
 *     struct line_reader reader;
 *     if (!line_reader_open(&reader, "/proc/self/status")) return errno;
 *     for (char *line; (line = line_reader_next(&reader));) ...
 *     const int failed = line_reader_close(&reader);
 *
 * For the files of /proc and /sys, which are read while memory is being measured: stdio
 * would allocate a buffer, and that would change the measurement. A line longer than the
 * buffer is cut at its end. One thread at a time.
 */
#ifndef BASE_LINE_READER_H
#define BASE_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>

struct line_reader {
    int descriptor; /* private, as is all below */
    int failed;     /* errno value, or 0 */
    bool skipping;  /* within the rest of a cut line */
    size_t start;   /* what has been read and not handed out: start..end of buffer */
    size_t end;
    char buffer[4096];
};

/* False, with errno set, if the file cannot be opened; then there is nothing to close. */
bool line_reader_open(struct line_reader *reader, const char *path);

/* The next line, without its line feed, valid until the next call; NULL at the end and on a
 * failure. */
char *line_reader_next(struct line_reader *reader);

/* Returns 0, or the errno value of the read that failed. */
int line_reader_close(struct line_reader *reader);

#endif
