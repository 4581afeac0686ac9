#include "line_input.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "check.h"

/* A thread that writes text into a pipe, `piece` bytes at a time, and closes it. */
struct writer {
    int fds[2];
    const char *text;
    size_t bytes, piece;
    pthread_t thread;
};

static void *write_all(void *cookie)
{
    struct writer *const writer = cookie;
    for (size_t done = 0; done < writer->bytes;) {
        const size_t left = writer->bytes - done;
        const ssize_t wrote = write(writer->fds[1], writer->text + done,
                                    left < writer->piece ? left : writer->piece);
        if (wrote <= 0) break;
        done += (size_t)wrote;
    }
    (void)close(writer->fds[1]);
    return NULL;
}

static void begin(struct writer *writer, struct line_input *input, const char *text,
                  size_t bytes, size_t piece)
{
    *writer = (struct writer){.text = text, .bytes = bytes, .piece = piece};
    check_int(pipe(writer->fds), ==, 0);
    line_input_init(input, writer->fds[0], -1);
    check_int(pthread_create(&writer->thread, NULL, write_all, writer), ==, 0);
}

static void end(struct writer *writer, struct line_input *input)
{
    (void)close(writer->fds[0]);
    (void)pthread_join(writer->thread, NULL);
    line_input_finish(input);
}

static void reads_lines(void)
{
    static const char text[] = "one\n\n  two \r\nthree";
    static const char *const lines[] = {"one", "", "  two \r", "three"};
    for (size_t piece = 1; piece < sizeof text; ++piece) {
        struct writer writer;
        struct line_input input;
        char *line = NULL;
        begin(&writer, &input, text, sizeof text - 1, piece);
        for (int i = 0; i < 4; ++i) {
            check_int(line_input_next(&input, &line), ==, LINE_READY);
            check_str(line, lines[i]);
        }
        check_int(line_input_next(&input, &line), ==, LINE_END);
        check_int(line_input_next(&input, &line), ==, LINE_END);
        end(&writer, &input);
    }
}

static void drops_nul_and_goes_on(void)
{
    static const char text[] = "a\0b\n\0\nnext\nlast\0";
    struct writer writer;
    struct line_input input;
    char *line = NULL;
    begin(&writer, &input, text, sizeof text - 1, 3);
    check_int(line_input_next(&input, &line), ==, LINE_HAS_NUL);
    check_int(line_input_next(&input, &line), ==, LINE_HAS_NUL);
    check_int(line_input_next(&input, &line), ==, LINE_READY);
    check_str(line, "next");
    check_int(line_input_next(&input, &line), ==, LINE_HAS_NUL);
    check_int(line_input_next(&input, &line), ==, LINE_END);
    end(&writer, &input);
}

/* Lines around the limit: `length` bytes, then "next". */
static void around_limit(size_t length, enum line_kind kind)
{
    char *const text = malloc(length + 6);
    struct writer writer;
    struct line_input input;
    char *line = NULL;
    memset(text, 'x', length);
    memcpy(text + length, "\nnext", 6);
    begin(&writer, &input, text, length + 5, 1 << 16);
    check_int(line_input_next(&input, &line), ==, kind);
    if (kind == LINE_READY) check_int(strlen(line), ==, length);
    check_int(line_input_next(&input, &line), ==, LINE_READY);
    check_str(line, "next");
    check_int(line_input_next(&input, &line), ==, LINE_END);
    end(&writer, &input);
    free(text);
}

static void limits_length(void)
{
    around_limit(LINE_INPUT_MAX - 1, LINE_READY);
    around_limit(LINE_INPUT_MAX, LINE_READY);
    around_limit(LINE_INPUT_MAX + 1, LINE_TOO_LONG);
    around_limit(LINE_INPUT_MAX + 2, LINE_TOO_LONG);
    around_limit((size_t)3 * LINE_INPUT_MAX + 17, LINE_TOO_LONG);
}

static void a_long_last_line_is_said(void)
{
    const size_t length = (size_t)2 * LINE_INPUT_MAX;
    char *const text = malloc(length);
    struct writer writer;
    struct line_input input;
    char *line = NULL;
    memset(text, 'x', length);
    begin(&writer, &input, text, length, 1 << 16);
    check_int(line_input_next(&input, &line), ==, LINE_TOO_LONG);
    check_int(line_input_next(&input, &line), ==, LINE_END);
    end(&writer, &input);
    free(text);
}

static void a_wake_ends_the_wait(void)
{
    int fds[2], wake[2];
    struct line_input input;
    char *line = NULL;
    check_int(pipe(fds), ==, 0);
    check_int(pipe(wake), ==, 0);
    check_int(fcntl(wake[0], F_SETFL, O_NONBLOCK), ==, 0);
    line_input_init(&input, fds[0], wake[0]);
    check_int(write(wake[1], "", 1), ==, 1);
    check_int(line_input_next(&input, &line), ==, LINE_STOPPED);
    check_int(write(fds[1], "a\n", 2), ==, 2);
    check_int(line_input_next(&input, &line), ==, LINE_READY);
    check_str(line, "a");
    line_input_finish(&input);
    for (int i = 0; i < 2; ++i) {
        (void)close(fds[i]);
        (void)close(wake[i]);
    }
}

static void a_bad_descriptor_fails(void)
{
    struct line_input input;
    char *line = NULL;
    line_input_init(&input, 987, -1);
    check_int(line_input_next(&input, &line), ==, LINE_FAILED);
    line_input_finish(&input);
}

int main(void)
{
    check_run(reads_lines);
    check_run(drops_nul_and_goes_on);
    check_run(limits_length);
    check_run(a_long_last_line_is_said);
    check_run(a_wake_ends_the_wait);
    check_run(a_bad_descriptor_fails);
    return check_done();
}
