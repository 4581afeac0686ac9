#include "base/path_error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

enum {
    NOBODY = 65534
};

/* What opening path comes to. */
static struct dr_error open_fails(const char *path)
{
    struct dr_error err = {0};
    const int descriptor = open(path, O_RDONLY);
    check_int(descriptor, <, 0);
    check_int(path_error_set(&err, errno, "cannot open", path), ==, err.code);
    return err;
}

static void names_what_is_missing(void)
{
    const struct dr_error err = open_fails(scratch_path("none.bin"));
    check_int(err.code, ==, DR_NOT_FOUND);
    check_has(err.message, "cannot open /tmp/");
    check_has(err.message, "none.bin: No such file or directory");
    check(!strstr(err.message, "link"));
}

static void names_a_link_and_its_target(void)
{
    const char *const link = scratch_path("link.bin");
    check_int(symlink("../blobs/abc", link), ==, 0);
    struct dr_error err = open_fails(link);
    check_int(err.code, ==, DR_NOT_FOUND);
    check_has(err.message,
              "link.bin is a symbolic link to ../blobs/abc, which is missing");
    check(path_is_taken(link));

    /* a directory on the way */
    check_int(symlink("/nowhere/models", scratch_path("models")), ==, 0);
    err = open_fails(scratch_path("models/a.bin"));
    check_has(err.message,
              "/models is a symbolic link to /nowhere/models, which is missing");
    check(!path_is_taken(scratch_path("models/a.bin")));
}

static void keeps_what_is_not_missing(void)
{
    const char *const loop = scratch_path("loop");
    check_int(symlink(loop, loop), ==, 0);
    struct dr_error err = open_fails(loop);
    check_int(err.code, ==, DR_IO);
    check_has(err.message, strerror(ELOOP));
    check(path_is_taken(loop) && path_is_broken(loop));
    check(path_is_taken(scratch_folder()) && !path_is_broken(scratch_folder()));
    check(!path_is_broken(scratch_path("none")));

    scratch_write(scratch_path("file"), "x", 1);
    err = open_fails(scratch_path("file/a/b"));
    check_int(err.code, ==, DR_IO);
    check_has(err.message, "Not a directory: /tmp/");
    check_has(err.message, "/file is a file");
    check(!path_is_taken(scratch_path("file/a/b")));

    char name[400];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    err = open_fails(scratch_path(name));
    check_int(err.code, ==, DR_IO);
    check_has(err.message, strerror(ENAMETOOLONG));
    check(!path_is_taken(scratch_path(name)) && !path_is_broken(scratch_path(name)));

    check_int(path_error_set(&err, EMFILE, "cannot open", "x"), ==, DR_IO);
    check_str(err.message, "cannot open x: Too many open files");
    check_int(path_error_set(NULL, ENOMEM, "cannot open", "x"), ==, DR_NOMEM);
    check_int(path_error_set(NULL, ENOENT, "cannot open", "x"), ==, DR_NOT_FOUND);
}

/* Root may search everything, so it becomes somebody else for this. */
static void names_the_closed_directory(void)
{
    const char *const folder = scratch_path("closed"), *const file =
                                                           scratch_path("closed/a.bin");
    check_int(mkdir(folder, 0700), ==, 0);
    scratch_write(file, "x", 1);
    check_int(chmod(file, 0), ==, 0);
    check_int(chmod(scratch_folder(), 0755), ==, 0);
    const uid_t me = geteuid();
    if (me == 0)
        check_int(seteuid(NOBODY), ==, 0);
    else
        check_int(chmod(folder, 0600), ==, 0);
    struct dr_error err = open_fails(file);
    check_int(err.code, ==, DR_IO);
    check_has(err.message, "Permission denied: the directory /tmp/");
    check_has(err.message, "/closed may not be searched");
    check(path_is_taken(file));
    if (me == 0) check_int(seteuid(me), ==, 0);
    check_int(chmod(folder, 0755), ==, 0);
    if (me == 0) check_int(seteuid(NOBODY), ==, 0);
    err = open_fails(file);
    check_has(err.message, "a.bin: Permission denied");
    check(!strstr(err.message, "searched"));
    if (me == 0) check_int(seteuid(me), ==, 0);
}

static void survives_long_paths(void)
{
    char path[3 * PATH_MAX];
    memset(path, '/', sizeof path);
    path[sizeof path - 1] = '\0';
    struct dr_error err;
    check_int(path_error_set(&err, ENOENT, "cannot open", path), ==, DR_NOT_FOUND);
    memset(path, 'a', sizeof path - 1);
    check_int(path_error_set(&err, ENOENT, "cannot open", path), ==, DR_NOT_FOUND);
    check_int(path_error_set(&err, EACCES, "cannot open", ""), ==, DR_IO);
}

int main(void)
{
    check_run(names_what_is_missing);
    check_run(names_a_link_and_its_target);
    check_run(keeps_what_is_not_missing);
    check_run(names_the_closed_directory);
    check_run(survives_long_paths);
    return check_done();
}
