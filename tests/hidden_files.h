/* hidden_files — files that cannot be opened, as in a sandbox or a hardened container.
 *
 *     hidden_files = "/proc/self/smaps_rollup:/proc/self/pagemap";
 *     hidden_errno = ENOENT;
 *
 * The program that includes this has an open() of its own, which all of its code calls (in a test that
 * is linked from static libraries: every layer). tests/cli/hidden_files.c is the same for a program
 * that runs already built.
 */
#ifndef TESTS_HIDDEN_FILES_H
#define TESTS_HIDDEN_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *hidden_files = ""; /* paths with colons between */
static int hidden_errno = ENOENT;

static bool is_hidden(const char *path)
{
    const size_t length = strlen(path);
    for (const char *at = hidden_files; (at = strstr(at, path)); at += length)
        if ((at == hidden_files || at[-1] == ':') && (!at[length] || at[length] == ':'))
            return true;
    return false;
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (is_hidden(path)) {
        errno = hidden_errno;
        return -1;
    }
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return openat(AT_FDCWD, path, flags, mode);
}

#endif
