#include "base/path.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *path_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void path_stem(const char *path, char *stem, size_t stem_bytes)
{
    int length = (int)strlen(path);
    while (length > 1 && path[length - 1] == '/')
        --length;
    int start = length;
    while (start > 0 && path[start - 1] != '/')
        --start;
    (void)snprintf(stem, stem_bytes, "%.*s", length - start, path + start);
    char *const dot = strrchr(stem, '.');
    if (dot && dot != stem) *dot = '\0';
}

bool path_is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

void path_folder(const char *path, char *folder, size_t folder_bytes)
{
    (void)snprintf(folder, folder_bytes, "%s", path);
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        folder[--length] = '\0';
    char *const slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    else
        (void)snprintf(folder, folder_bytes, ".");
}

bool path_is_same(const char *a, const char *b)
{
    char folder_a[PATH_MAX], folder_b[PATH_MAX];
    if (strcmp(path_name(a), path_name(b)) != 0) return false;
    path_folder(a, folder_a, sizeof folder_a);
    path_folder(b, folder_b, sizeof folder_b);
    return path_is_same_file(folder_a, folder_b);
}
