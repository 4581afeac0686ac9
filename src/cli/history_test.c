#include "history.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static char lines[8][64];
static int count;

static void take(void *cookie, const char *line)
{
    (void)cookie;
    (void)snprintf(lines[count % 8], sizeof lines[0], "%s", line);
    ++count;
}

static int read_again(const struct history *history)
{
    count = 0;
    history_read(history, take, NULL);
    return count;
}

static void lines_come_back(void)
{
    struct history history;
    struct stat status;
    check_int(setenv("XDG_STATE_HOME", scratch_path("state"), 1), ==, 0);
    history_open(&history);
    check_has(history.path, "/state/darkroom/history");
    check_int(read_again(&history), ==, 0);
    history_add(&history, "generate -p \"\xC3\xA4\"");
    history_add(&history, "quit");
    check_int(read_again(&history), ==, 2);
    check_str(lines[0], "generate -p \"\xC3\xA4\"");
    check_str(lines[1], "quit");
    check_int(stat(history.path, &status), ==, 0);
    check_int(status.st_mode & 0777, ==, 0600);
}

static void what_begins_with_a_blank_is_not_kept(void)
{
    check(history_takes("memory"));
    check(!history_takes(" generate -p secret"));
    check(!history_takes("\tmemory"));
    check(!history_takes(""));
    check(!history_takes("two\nlines"));
}

static void the_file_is_cut_to_its_last_lines(void)
{
    struct history history;
    struct stat before, after;
    check_int(setenv("XDG_STATE_HOME", scratch_path("long"), 1), ==, 0);
    history_open(&history);
    for (int i = 0; i < HISTORY_MAX_LINES + 3; ++i) {
        char line[16];
        (void)snprintf(line, sizeof line, "line %d", i);
        history_add(&history, line);
    }
    check_int(stat(history.path, &before), ==, 0);
    check_int(read_again(&history), ==, HISTORY_MAX_LINES);
    check_str(lines[(HISTORY_MAX_LINES - 1) % 8], "line 1002");
    check_int(stat(history.path, &after), ==, 0);
    check_int(after.st_size, <, before.st_size);
    check_int(after.st_mode & 0777, ==, 0600);
    check_int(read_again(&history), ==, HISTORY_MAX_LINES);
    check_str(lines[0], "line 995"); /* of the last eight */
}

static void without_a_place_there_is_none(void)
{
    struct history history;
    check_int(setenv("XDG_STATE_HOME", "relative", 1), ==, 0);
    check_int(setenv("HOME", scratch_path("home"), 1), ==, 0);
    history_open(&history);
    check_has(history.path, "/home/.local/state/darkroom/history");
    scratch_write(scratch_path("file"), "", 0);
    check_int(setenv("XDG_STATE_HOME", scratch_path("file"), 1), ==, 0);
    history_open(&history);
    check_str(history.path, "");
    history_add(&history, "nowhere");
    check_int(read_again(&history), ==, 0);
    check_int(unsetenv("XDG_STATE_HOME"), ==, 0);
    check_int(unsetenv("HOME"), ==, 0);
    history_open(&history);
    check_str(history.path, "");
}

/* A pipe would not end, a directory cannot be read. */
static void other_things_are_not_read(void)
{
    struct history history;
    check_int(setenv("XDG_STATE_HOME", scratch_path("odd"), 1), ==, 0);
    history_open(&history);
    check_int(mkfifo(history.path, 0600), ==, 0);
    check_int(read_again(&history), ==, 0);
    history_add(&history, "nobody reads");
    check_int(unlink(history.path), ==, 0);
    check_int(mkdir(history.path, 0700), ==, 0);
    check_int(read_again(&history), ==, 0);
    history_add(&history, "nowhere");
}

int main(void)
{
    check_run(lines_come_back);
    check_run(what_begins_with_a_blank_is_not_kept);
    check_run(the_file_is_cut_to_its_last_lines);
    check_run(without_a_place_there_is_none);
    check_run(other_things_are_not_read);
    return check_done();
}
