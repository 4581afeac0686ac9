#include "base/line_reader.h"

#include <errno.h>
#include <unistd.h>

#include "check.h"

static char path[] = "/tmp/line_reader_test_XXXXXX";

static void write_text(const char *text, size_t bytes)
{
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(text, 1, bytes, file) != bytes || fclose(file)) abort();
}

static void reads_lines_in_order(void)
{
    static const char text[] = "one\n\nthree\nlast without a feed";
    static const char *const expected[] = {"one", "", "three", "last without a feed"};
    write_text(text, sizeof text - 1);
    struct line_reader reader;
    check(line_reader_open(&reader, path));
    for (size_t i = 0; i < 4; ++i)
        check_str(line_reader_next(&reader), expected[i]);
    check(line_reader_next(&reader) == NULL);
    check(line_reader_next(&reader) == NULL);
    check_int(line_reader_close(&reader), ==, 0);
}

/* Lines of every length around the buffer's: cut ones are followed by the right next one. */
static void cuts_lines_that_are_too_long(void)
{
    static char text[3 * 5000];
    for (size_t length = 4090; length < 4100; ++length) {
        memset(text, 'a', length);
        text[length] = '\n';
        memset(text + length + 1, 'b', length);
        memcpy(text + 2 * length + 1, "\nend", 4);
        write_text(text, 2 * length + 5);
        struct line_reader reader;
        check(line_reader_open(&reader, path));
        const size_t kept = length < 4095 ? length : 4095;
        const char *line = line_reader_next(&reader);
        check(line && strlen(line) == kept && line[0] == 'a');
        line = line_reader_next(&reader);
        check(line && strlen(line) == kept && line[0] == 'b');
        check_str(line_reader_next(&reader), "end");
        check(line_reader_next(&reader) == NULL);
        check_int(line_reader_close(&reader), ==, 0);
    }
}

static void reads_an_empty_file(void)
{
    write_text("", 0);
    struct line_reader reader;
    check(line_reader_open(&reader, path));
    check(line_reader_next(&reader) == NULL);
    check_int(line_reader_close(&reader), ==, 0);
}

static void reports_failures(void)
{
    struct line_reader reader;
    check(!line_reader_open(&reader, "/proc/self/no such file"));
    check_int(errno, ==, ENOENT);
    check(line_reader_open(&reader, "/proc"));
    check(line_reader_next(&reader) == NULL);
    check_int(line_reader_close(&reader), ==, EISDIR);
}

int main(void)
{
    const int descriptor = mkstemp(path);
    if (descriptor < 0) return check_skip("no temporary file can be made");
    close(descriptor);
    check_run(reads_lines_in_order);
    check_run(cuts_lines_that_are_too_long);
    check_run(reads_an_empty_file);
    check_run(reports_failures);
    unlink(path);
    return check_done();
}
