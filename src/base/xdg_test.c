/* For setenv. */
#define _XOPEN_SOURCE 700

#include "base/xdg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static char path[128];

static const char *found(enum xdg_place place, const char *variable, const char *set,
                         const char *home)
{
    check_int(set ? setenv(variable, set, 1) : unsetenv(variable), ==, 0);
    check_int(home ? setenv("HOME", home, 1) : unsetenv("HOME"), ==, 0);
    check(xdg_path(place, "x", path, sizeof path) == (*path != '\0'));
    return path;
}

static void the_variable_counts_before_home(void)
{
    static const struct {
        enum xdg_place place;
        const char *variable, *in_home;
    } places[] = {
        {XDG_CACHE,  "XDG_CACHE_HOME",  "/h/.cache/darkroom/x"      },
        {XDG_CONFIG, "XDG_CONFIG_HOME", "/h/.config/darkroom/x"     },
        {XDG_DATA,   "XDG_DATA_HOME",   "/h/.local/share/darkroom/x"},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        const enum xdg_place place = places[i].place;
        const char *const variable = places[i].variable;
        check_str(found(place, variable, "/set", "/h"), "/set/darkroom/x");
        check_str(found(place, variable, "/set", NULL), "/set/darkroom/x");
        check_str(found(place, variable, "relative", "/h"), places[i].in_home);
        check_str(found(place, variable, "", "/h"), places[i].in_home);
        check_str(found(place, variable, NULL, "/h"), places[i].in_home);
        check_str(found(place, variable, NULL, NULL), "");
        check_str(found(place, variable, "relative", "relative"), "");
    }
}

static void a_path_that_is_too_long_is_none(void)
{
    char set[sizeof path];
    memset(set, 'a', sizeof set);
    set[0] = '/';
    set[sizeof path - sizeof "/darkroom/x"] = '\0'; /* the longest that goes */
    check_int(strlen(found(XDG_DATA, "XDG_DATA_HOME", set, NULL)), ==, sizeof path - 1);
    memcpy(set + strlen(set), "a", 2);
    check_str(found(XDG_DATA, "XDG_DATA_HOME", set, NULL), "");
}

static void a_name_is_an_options_then_the_environments_then_a_settings(void)
{
    static const struct {
        const char *option, *set, *setting, *path;
        bool is_named;
    } cases[] = {
        {"/o", "/e", "/s", "/o",            true },
        {NULL, "/e", "/s", "/e",            true },
        {NULL, "",   "/s", "/s",            true },
        {NULL, NULL, "/s", "/s",            true },
        {"",   "/e", "/s", "/s",            true },
        {"",   "/e", NULL, "/d/darkroom/x", false},
        {NULL, NULL, "",   "/d/darkroom/x", false},
    };
    check_int(setenv("XDG_DATA_HOME", "/d", 1), ==, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const char *const set = cases[i].set;
        check_int(set ? setenv("DARKROOM_X", set, 1) : unsetenv("DARKROOM_X"), ==, 0);
        check(xdg_choose(cases[i].option, "DARKROOM_X", cases[i].setting, "x", path,
                         sizeof path) == cases[i].is_named);
        check_str(path, cases[i].path);
    }
}

static void directories_are_made_for_their_owner(void)
{
    char target[512];
    struct stat status;
    (void)snprintf(target, sizeof target, "%s", scratch_path("a/b/file"));
    check(xdg_make_above(target));
    check(xdg_make_above(target)); /* they are there */
    check_str(target, scratch_path("a/b/file"));
    check_int(stat(scratch_path("a/b"), &status), ==, 0);
    check_int(status.st_mode & 0777, ==, 0700);
    check_int(access(target, F_OK), ==, -1);
    /* A file where a directory belongs. */
    (void)snprintf(target, sizeof target, "%s", scratch_path("a/b/file/c/d"));
    check_int(close(open(scratch_path("a/b/file"), O_CREAT | O_WRONLY, 0600)), ==, 0);
    check(!xdg_make_above(target));
    check_int(errno, ==, ENOTDIR);
    check_str(target, scratch_path("a/b/file/c/d"));
}

int main(void)
{
    check_run(the_variable_counts_before_home);
    check_run(a_path_that_is_too_long_is_none);
    check_run(a_name_is_an_options_then_the_environments_then_a_settings);
    check_run(directories_are_made_for_their_owner);
    return check_done();
}
