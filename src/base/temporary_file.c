/* For realpath, which POSIX has as part of XSI. */
#define _XOPEN_SOURCE 700

#include "base/temporary_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/utf8.h"

static const char suffix[] = ".darkroom-part";

/* So many parts of one name and one process at once, or left by dead ones of the same PID. */
enum {
    SERIAL_LIMIT = 1000
};

/* "." + "." + PID + "-" + SERIAL + suffix, without the name itself. */
enum {
    PART_EXTRA_BYTES = 2 + 10 + 1 + 3 + (int)sizeof suffix - 1
};

/* write(2) takes at most 0x7ffff000 bytes at once on Linux; a round number below. */
enum {
    WRITE_AT_ONCE_BYTES = 1 << 30
};

struct split {
    size_t folder_bytes; /* length of the folder with its '/', 0 for the current one */
    const char *name;
};

static struct split split_path(const char *path)
{
    const char *const slash = strrchr(path, '/');
    const size_t bytes = slash ? (size_t)(slash - path) + 1 : 0;
    return (struct split){.folder_bytes = bytes, .name = path + bytes};
}

/* The folder of a path, for opendir and messages; malloc'ed. */
static char *folder_of(const char *path)
{
    const size_t bytes = split_path(path).folder_bytes;
    return bytes == 0 ? strdup(".") : strndup(path, bytes);
}

static enum dr_code fail_errno(struct dr_error *err, int errno_value,
                               const char *target)
{
    if (errno_value == ENOMEM)
        return error_set(err, DR_NOMEM, "%s: the system refused memory for its name",
                         target);
    char *const folder = folder_of(target);
    const enum dr_code code =
        error_set_errno(err, DR_IO, errno_value, "%s: cannot write in directory %s",
                        target, folder ? folder : "?");
    free(folder);
    return code;
}

/* The bytes of name that fit a part, cut at a whole UTF-8 character: some file systems refuse
 * names that are no UTF-8. */
static size_t name_bytes_that_fit(const char *target, const struct split *split)
{
    char *const folder = folder_of(target);
    const long limit = folder ? pathconf(folder, _PC_NAME_MAX) : -1;
    free(folder);
    size_t room = limit > 0 ? (size_t)limit : NAME_MAX;
    if (split->folder_bytes < PATH_MAX && room > PATH_MAX - 1 - split->folder_bytes)
        room = PATH_MAX - 1 - split->folder_bytes;
    room = room > PART_EXTRA_BYTES ? room - PART_EXTRA_BYTES : 0;
    const size_t bytes = strlen(split->name);
    return bytes <= room ? bytes : utf8_cut(split->name, room);
}

static char *part_path(const char *target, int serial)
{
    const struct split split = split_path(target);
    const size_t name_bytes = name_bytes_that_fit(target, &split);
    const size_t capacity = split.folder_bytes + name_bytes + PART_EXTRA_BYTES + 16;
    char *const path = malloc(capacity);
    if (!path) return NULL;
    (void)snprintf(path, capacity, "%.*s.%.*s.%ld-%d%s", (int)split.folder_bytes,
                   target, (int)name_bytes, split.name, (long)getpid(), serial, suffix);
    return path;
}

/* Hold the part against sweepers. False: a sweeper was faster, and the file is gone or about
 * to go. A file system without locks gives no protection, and no failure either. */
static bool hold_part(int descriptor)
{
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    struct stat status;
    return fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

/* Create the part under the first free serial. */
static enum dr_code create_part(struct temporary_file *file, struct dr_error *err)
{
    for (int serial = 0; serial < SERIAL_LIMIT; ++serial) {
        char *const path = part_path(file->target, serial);
        if (!path) return fail_errno(err, ENOMEM, file->target);
        const int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        const int open_errno = errno;
        if (descriptor >= 0 && hold_part(descriptor)) {
            file->descriptor = descriptor;
            file->path = path;
            return DR_OK;
        }
        if (descriptor >= 0) (void)close(descriptor);
        free(path);
        if (descriptor < 0 && open_errno != EEXIST && open_errno != EINTR)
            return fail_errno(err, open_errno, file->target);
    }
    return error_set(err, DR_IO,
                     "%s: there are already %d unfinished files of this "
                     "name",
                     file->target, SERIAL_LIMIT);
}

/* The name that a link to nothing stands for, which is to be made; target itself where it is not a link.
 * malloc'ed, or NULL with errno. */
static char *follow_links(const char *target)
{
    enum {
        MOST_LINKS = 40 /* as Linux itself */
    };
    char path[PATH_MAX], next[PATH_MAX];
    if (strlen(target) >= sizeof path) return errno = ENAMETOOLONG, NULL;
    strcpy(path, target);
    for (int i = 0; i < MOST_LINKS; ++i) {
        const ssize_t bytes = readlink(path, next, sizeof next - 1);
        if (bytes < 0) return strdup(path);
        next[bytes] = '\0';
        const size_t folder_bytes = next[0] == '/' ? 0 : split_path(path).folder_bytes;
        if (folder_bytes + (size_t)bytes >= sizeof path)
            return errno = ENAMETOOLONG, NULL;
        memcpy(path + folder_bytes, next, (size_t)bytes + 1);
    }
    return errno = ELOOP, NULL;
}

/* What the target is now: nothing (*mode 0), or a regular file that may be replaced. A
 * symbolic link is followed: *real, malloc'ed, is the path to replace. */
static enum dr_code look_at_target(const char *target, char **real, mode_t *mode,
                                   struct dr_error *err)
{
    *mode = 0;
    struct stat status;
    if (stat(target, &status) != 0) {
        if (errno != ENOENT) return fail_errno(err, errno, target);
        if (split_path(target).name[0] == '\0') return fail_errno(err, ENOENT, target);
        *real = follow_links(target);
        return *real ? DR_OK : fail_errno(err, errno, target);
    }
    if (S_ISDIR(status.st_mode))
        return error_set_errno(err, DR_IO, EISDIR, "%s: cannot be written", target);
    if (!S_ISREG(status.st_mode))
        return error_set(err, DR_IO, "%s: not a regular file, so it is not replaced",
                         target);
    if (access(target, W_OK) != 0)
        return error_set_errno(err, DR_IO, errno, "%s: cannot be replaced", target);
    *mode = status.st_mode & 0777;
    const bool is_link = lstat(target, &status) == 0 && S_ISLNK(status.st_mode);
    *real = is_link ? realpath(target, NULL) : strdup(target);
    return *real ? DR_OK : fail_errno(err, errno, target);
}

enum dr_code temporary_file_open(struct temporary_file *file, const char *target,
                                 struct dr_error *err)
{
    *file = TEMPORARY_FILE_INIT;
    if (fault_strikes(FAULT_WRITE)) return fail_errno(err, ENOSPC, target);
    mode_t mode = 0;
    enum dr_code code = look_at_target(target, &file->target, &mode, err);
    if (code == DR_OK) code = create_part(file, err);
    /* Best effort: a file system without permission bits is no reason to refuse. */
    if (code == DR_OK && mode != 0) (void)fchmod(file->descriptor, mode);
    if (code != DR_OK) temporary_file_discard(file);
    return code;
}

/* errno, or 0 when all is written. */
static int write_all(int descriptor, const void *data, size_t bytes)
{
    if (fault_strikes(FAULT_WRITE)) return ENOSPC;
    const char *next = data;
    while (bytes > 0) {
        const size_t step = bytes < WRITE_AT_ONCE_BYTES ? bytes : WRITE_AT_ONCE_BYTES;
        const ssize_t written = write(descriptor, next, step);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        if (written == 0) return EIO;
        next += written;
        bytes -= (size_t)written;
    }
    return 0;
}

enum dr_code temporary_file_write(struct temporary_file *file, const void *data,
                                  size_t bytes, struct dr_error *err)
{
    if (!file->path)
        return error_set(err, DR_IO, "write to a file that is already closed");
    const int errno_value = write_all(file->descriptor, data, bytes);
    if (errno_value == 0) return DR_OK;
    const enum dr_code code =
        error_set_errno(err, DR_IO, errno_value, "%s: cannot be written", file->target);
    temporary_file_discard(file);
    return code;
}

/* errno, or 0. A file system that cannot sync is no failure. */
static int sync_file(int descriptor)
{
    if (fault_strikes(FAULT_WRITE)) return EIO;
    while (fsync(descriptor) != 0) {
        if (errno == EINTR) continue;
        return errno == EINVAL || errno == ENOSYS || errno == ENOTSUP ? 0 : errno;
    }
    return 0;
}

/* Make the rename itself durable. The new file is in place and whole already, so that a
 * failure here changes nothing for the caller. */
static void sync_folder(const char *target)
{
    char *const folder = folder_of(target);
    const int descriptor =
        folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        (void)close(descriptor);
    }
    free(folder);
}

enum dr_code temporary_file_commit(struct temporary_file *file, struct dr_error *err)
{
    if (!file->path)
        return error_set(err, DR_IO, "commit of a file that is already closed");
    int errno_value = sync_file(file->descriptor);
    if (errno_value == 0 && rename(file->path, file->target) != 0) errno_value = errno;
    if (errno_value != 0) {
        const enum dr_code code =
            error_set_errno(err, DR_IO, errno_value, "%s: cannot be written",
                            file->target);
        temporary_file_discard(file);
        return code;
    }
    sync_folder(file->target);
    free(file->path); /* so that discard leaves the name alone */
    file->path = NULL;
    (void)close(file->descriptor);
    file->descriptor = -1;
    temporary_file_discard(file);
    return DR_OK;
}

void temporary_file_discard(struct temporary_file *file)
{
    if (!file) return;
    if (file->path) {
        (void)unlink(file->path);
        (void)close(file->descriptor); /* after the unlink: the lock covers it */
    }
    free(file->path);
    free(file->target);
    *file = TEMPORARY_FILE_INIT;
}

/* Digits at *text up to a limit; advances. -1 where there are none or too many. */
static long read_number(const char **text)
{
    int64_t value = 0;
    const char *const start = *text;
    while (**text >= '0' && **text <= '9') {
        value = value * 10 + (**text - '0');
        if (value > INT_MAX) return -1;
        ++*text;
    }
    return *text == start ? -1 : (long)value;
}

/* The PID in a part's name, or 0 where the name is no part's. */
static pid_t part_owner(const char *name)
{
    const size_t bytes = strlen(name);
    const size_t suffix_bytes = sizeof suffix - 1;
    if (name[0] != '.' || bytes <= suffix_bytes) return 0;
    const char *const end = name + bytes - suffix_bytes;
    if (strcmp(end, suffix) != 0) return 0;
    const char *number = end;
    while (number > name &&
           (number[-1] == '-' || (number[-1] >= '0' && number[-1] <= '9')))
        --number;
    if (number - name < 2 || number[-1] != '.') return 0;
    const long pid = read_number(&number);
    if (pid <= 0 || *number++ != '-' || read_number(&number) < 0) return 0;
    return number == end ? (pid_t)pid : 0;
}

static bool sweep_part(int folder, const char *name)
{
    const pid_t owner = part_owner(name);
    if (owner == 0 || kill(owner, 0) == 0 || errno != ESRCH) return false;
    const int part =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (part < 0) return false;
    struct stat status;
    const bool ours = fstat(part, &status) == 0 && S_ISREG(status.st_mode);
    const bool held = flock(part, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    const bool removed = ours && !held && unlinkat(folder, name, 0) == 0;
    (void)close(part);
    return removed;
}

int temporary_file_sweep(const char *folder)
{
    DIR *const stream = opendir(folder);
    if (!stream) return 0;
    int count = 0;
    const struct dirent *entry = NULL;
    while ((entry = readdir(stream)) != NULL)
        count += sweep_part(dirfd(stream), entry->d_name);
    (void)closedir(stream);
    return count;
}
