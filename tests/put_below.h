/* put_below.h — for tests with a made-up /proc or /sys: a text file at a path below a root, and its folders. */
#ifndef TESTS_PUT_BELOW_H
#define TESTS_PUT_BELOW_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Write root/name; name begins with '/'. The test ends where that fails. */
static inline void put_below(const char *root, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); ++slash) {
        *slash = '\0';
        if (mkdir(path, 0700) && errno != EEXIST) abort();
        *slash = '/';
    }
    FILE *const file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file)) abort();
}

#endif
