#define _GNU_SOURCE /* struct stat's nanoseconds */

#include "service/clean_end.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NOTE_BYTES = 160
};

static bool beside(const char *database_path, const char *ending, char path[PATH_MAX])
{
    const int length = snprintf(path, PATH_MAX, "%s%s", database_path, ending);
    return length > 0 && length < PATH_MAX;
}

/* What a note says of the database as it is now; false: it is not closed, or not there. */
static bool describe(const char *database_path, char text[NOTE_BYTES])
{
    char path[PATH_MAX];
    struct stat status, wal;
    if (!beside(database_path, "-wal", path)) return false;
    if (stat(path, &wal) == 0 && wal.st_size > 0) return false;
    if (stat(database_path, &status) != 0) return false;
    (void)snprintf(text, NOTE_BYTES, "%lld %lld.%09ld %llu", (long long)status.st_size,
                   (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                   (unsigned long long)status.st_ino);
    return true;
}

static bool read_note(const char *path, char text[NOTE_BYTES], double *read_s)
{
    char line[NOTE_BYTES] = "";
    const int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t count = read(file, line, sizeof line - 1);
    (void)close(file);
    const char *const end = count > 0 ? strchr(line, '\n') : NULL;
    if (!end || sscanf(end + 1, "%lf", read_s) != 1) return false;
    (void)snprintf(text, NOTE_BYTES, "%.*s", (int)(end - line), line);
    return true;
}

bool clean_end_take(const char *database_path, double now_s, double *read_s)
{
    char path[PATH_MAX], noted[NOTE_BYTES], found[NOTE_BYTES];
    if (!beside(database_path, ".clean", path)) return false;
    const bool is_noted = read_note(path, noted, read_s);
    /* One that stays would speak for what is written from now on. */
    if (unlink(path) != 0 && is_noted) return false;
    return is_noted && describe(database_path, found) && strcmp(noted, found) == 0 &&
           now_s >= *read_s && now_s < *read_s + CLEAN_END_TRUST_S;
}

void clean_end_note(const char *database_path, double read_s)
{
    char path[PATH_MAX], found[NOTE_BYTES], text[NOTE_BYTES + 32];
    if (!beside(database_path, ".clean", path) || !describe(database_path, found))
        return;
    const int length =
        snprintf(text, sizeof text, "%s\n%lld\n", found,
                 (long long)read_s); /* rounded up it would be later than now */
    const int file =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return;
    const bool is_whole = write(file, text, (size_t)length) == length;
    (void)close(file);
    if (!is_whole) (void)unlink(path);
}
