/* For readlink and lstat. */
#define _XOPEN_SOURCE 700

#include "base/path_error.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of each name in a message: the whole of it holds two or three. */
#define NAME "%.300s"

/* The next longer beginning of path that ends before a '/' or at its end; false: there is none.
 * part holds the one before, "" at first. */
static bool next_part(const char *path, char part[static PATH_MAX])
{
    size_t bytes = strlen(part);
    while (path[bytes] == '/')
        ++bytes;
    if (!path[bytes]) return false;
    while (path[bytes] && path[bytes] != '/')
        ++bytes;
    if (bytes >= PATH_MAX) return false;
    memcpy(part, path, bytes);
    part[bytes] = '\0';
    return true;
}

/* The directory that holds part, in place. */
static void to_folder(char *part)
{
    char *const slash = strrchr(part, '/');
    if (!slash)
        strcpy(part, ".");
    else
        slash[slash == part ? 1 : 0] = '\0';
}

/* ENOENT: the first part that is missing; a link is there, and its target is not. */
static void explain_missing(struct dr_error *err, const char *path, char *part)
{
    char target[PATH_MAX];
    struct stat status;
    while (next_part(path, part)) {
        if (stat(part, &status) == 0) continue;
        const ssize_t bytes = readlink(part, target, sizeof target - 1);
        if (bytes < 0) return;
        target[bytes] = '\0';
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used,
                       ": " NAME " is a symbolic link to " NAME ", which is missing",
                       part, target);
        return;
    }
}

/* ENOTDIR: the part that is not a directory. */
static void explain_no_folder(struct dr_error *err, const char *path, char *part)
{
    struct stat status;
    while (next_part(path, part)) {
        if (stat(part, &status) != 0 || S_ISDIR(status.st_mode)) continue;
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used,
                       ": " NAME " is a file", part);
        return;
    }
}

/* EACCES: the directory that may not be searched. Nothing, where the last name itself refuses. */
static void explain_denied(struct dr_error *err, const char *path, char *part)
{
    struct stat status;
    while (next_part(path, part)) {
        if (lstat(part, &status) == 0 || errno != EACCES) continue;
        to_folder(part);
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used,
                       ": the directory " NAME " may not be searched", part);
        return;
    }
}

enum dr_code path_error_set(struct dr_error *err, int errno_value, const char *action,
                            const char *path)
{
    char part[PATH_MAX] = "";
    const enum dr_code code = errno_value == ENOENT   ? DR_NOT_FOUND
                              : errno_value == ENOMEM ? DR_NOMEM
                                                      : DR_IO;
    error_set_errno(err, code, errno_value, "%s " NAME, action, path);
    if (!err) return code;
    if (errno_value == ENOENT) explain_missing(err, path, part);
    if (errno_value == ENOTDIR) explain_no_folder(err, path, part);
    if (errno_value == EACCES) explain_denied(err, path, part);
    return code;
}

bool path_is_broken(const char *path)
{
    struct stat status;
    return stat(path, &status) != 0 && path_is_taken(path);
}

bool path_is_taken(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ||
           (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG);
}
