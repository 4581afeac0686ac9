/* /proc/self/cgroup says which cgroup the process is in, seen from the hierarchy's root;
 * /proc/self/mountinfo which part of the hierarchy is mounted, and where:
 *
 *     cgroup     /docker/4f2a/jobs        mount   root /docker/4f2a  at /sys/fs/cgroup/memory
 *     so the files are in /sys/fs/cgroup/memory/jobs, and its parents up to the mount.
 */
#include "mem/memory_limit.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/line_reader.h"
#include "base/size.h"

/* Version 1 writes "no limit" as the largest number of pages that it can count. */
#define UNLIMITED_FROM ((unsigned long long)1 << 62)

struct search {
    struct memory_limit *limit;
    const char *root; /* "" or a test's folder */
    char cgroup[2]
               [PATH_MAX / 2]; /* of version 1 and 2; "" where the process is in none */
    bool any_mount;
};

static const struct {
    const char *file_name, *default_mount;
} versions[2] = {
    {"memory.limit_in_bytes", "/sys/fs/cgroup/memory"},
    {"memory.max",            "/sys/fs/cgroup"       }
};

/* Is the word one of a list with commas? */
static bool list_has(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (!at[length] || at[length] == ','))
            return true;
    return false;
}

/* The number in a file of one line; false where there is none ("max", no such file). */
static bool read_limit(const char *path, size_t *bytes)
{
    struct line_reader reader;
    if (!line_reader_open(&reader, path)) return false;
    const char *const line = line_reader_next(&reader);
    bool found = false;
    if (line && *line >= '0' && *line <= '9') {
        errno = 0;
        const unsigned long long value = strtoull(line, NULL, 10);
        found = !errno && value < UNLIMITED_FROM;
        if (found) *bytes = (size_t)value;
    }
    return line_reader_close(&reader) == 0 && found;
}

static void lower_to(struct memory_limit *limit, size_t bytes, int version,
                     const char *mount_root, const char *relative)
{
    if (bytes >= limit->cgroup_bytes) return;
    limit->cgroup_bytes = bytes;
    const bool mounted_whole = strcmp(mount_root, "/") == 0;
    const char *const above = mounted_whole ? "" : mount_root;
    (void)snprintf(limit->reason, sizeof limit->reason,
                   "cgroup v%d limit of %.60s%.60s", version + 1, above,
                   *above || *relative ? relative : "/");
}

/* Read the limits of a cgroup and of all above it that are mounted. */
static void walk_up(struct search *search, int version, const char *mount_root,
                    const char *mount_point, const char *relative)
{
    char here[PATH_MAX / 2], path[PATH_MAX];
    (void)snprintf(here, sizeof here, "%s", relative);
    for (;;) {
        const size_t length = strlen(here);
        if (length > 0 && here[length - 1] == '/') here[length - 1] = '\0';
        const int needed = snprintf(path, sizeof path, "%s%s%s/%s", search->root,
                                    mount_point, here, versions[version].file_name);
        size_t bytes;
        if (needed < (int)sizeof path && read_limit(path, &bytes))
            lower_to(search->limit, bytes, version, mount_root, here);
        char *const slash = strrchr(here, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* A mount of a cgroup hierarchy: where in it are we? */
static void use_mount(struct search *search, int version, const char *mount_root,
                      const char *mount_point)
{
    const char *const cgroup = search->cgroup[version];
    if (!*cgroup) return;
    search->any_mount = true;
    const char *relative = "";
    const size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    const bool above_us = strncmp(mount_root, "/..", 3) == 0; /* of another namespace */
    if (!above_us) {
        if (strncmp(cgroup, mount_root, length) != 0) return;
        if (cgroup[length] && cgroup[length] != '/') return;
        relative = cgroup + length;
    }
    if (strstr(relative, "/..")) relative = ""; /* outside of our namespace's root */
    walk_up(search, version, mount_root, mount_point, relative);
}

/* mountinfo writes space, tab, line feed and backslash as \ooo. */
static void decode_octal(char *text)
{
    char *to = text;
    for (const char *from = text; *from; ++to) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* "36 35 0:32 ROOT MOUNT_POINT options [optional ...] - TYPE source OPTIONS" */
static void parse_mount(struct search *search, char *line)
{
    char *fields[5];
    char *rest = line;
    for (int i = 0; i < 5; ++i) {
        fields[i] = rest;
        rest = strchr(rest, ' ');
        if (!rest) return;
        *rest++ = '\0';
    }
    char *type = strstr(rest, " - ");
    if (!type) return;
    type += 3;
    char *options = strrchr(type, ' ');
    char *const type_end = strchr(type, ' ');
    if (!options || !type_end) return;
    *type_end = '\0';
    ++options;
    decode_octal(fields[3]);
    decode_octal(fields[4]);
    if (strcmp(type, "cgroup") == 0 && list_has(options, "memory"))
        use_mount(search, 0, fields[3], fields[4]);
    else if (strcmp(type, "cgroup2") == 0)
        use_mount(search, 1, fields[3], fields[4]);
}

/* "4:memory:/jobs/7" (version 1) or "0::/jobs/7" (version 2) */
static void parse_cgroup(struct search *search, char *line)
{
    char *const controllers = strchr(line, ':');
    char *const path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path || path[1] != '/') return;
    *controllers = '\0';
    *path = '\0';
    int version;
    if (list_has(controllers + 1, "memory"))
        version = 0;
    else if (strcmp(line, "0") == 0 && !controllers[1])
        version = 1;
    else
        return;
    (void)snprintf(search->cgroup[version], sizeof search->cgroup[version], "%s",
                   path + 1);
}

typedef void parse_line(struct search *search, char *line);

/* A file that is missing has no lines: a kernel without cgroups is no error. */
static void each_line(struct search *search, const char *name, parse_line *parse)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", search->root, name) >= (int)sizeof path)
        return;
    struct line_reader reader;
    if (!line_reader_open(&reader, path)) return;
    for (char *line; (line = line_reader_next(&reader));)
        parse(search, line);
    (void)line_reader_close(&reader);
}

/* "MemTotal:  16000000 kB"; false: it is another line. */
static bool take_kib(const char *line, const char *key, size_t *bytes)
{
    const size_t length = strlen(key);
    if (strncmp(line, key, length) != 0) return false;
    const unsigned long long kib = strtoull(line + length, NULL, 10);
    if (kib > 0 && kib <= SIZE_MAX / 1024) *bytes = (size_t)kib * 1024;
    return true;
}

static enum dr_code read_available(struct memory_limit *limit, const char *root,
                                   struct dr_error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    struct line_reader reader;
    if (!line_reader_open(&reader, path))
        return error_set_errno(err, DR_IO, errno, "cannot read %s", path);
    for (const char *line;
         !limit->available_bytes && (line = line_reader_next(&reader));)
        if (!take_kib(line, "MemTotal:", &limit->total_bytes))
            (void)take_kib(line, "MemAvailable:", &limit->available_bytes);
    const int failed = line_reader_close(&reader);
    if (failed) return error_set_errno(err, DR_IO, failed, "cannot read %s", path);
    if (!limit->available_bytes)
        return error_set(err, DR_IO, "%s has no MemAvailable", path);
    return DR_OK;
}

/* What is free now: less than MemAvailable would be, which counts what can be dropped, too. */
static enum dr_code read_free(struct memory_limit *limit, struct dr_error *err)
{
    struct sysinfo info;
    size_t bytes;
    if (sysinfo(&info) != 0)
        return error_set_errno(err, DR_IO, errno,
                               "cannot determine how much memory is free");
    if (!size_add(info.freeram, info.bufferram, &bytes) ||
        !size_mul(bytes, info.mem_unit, &bytes) || bytes == 0)
        return error_set(err, DR_IO, "the kernel reports that no memory is free");
    limit->available_bytes = bytes;
    if (!limit->total_bytes && size_mul(info.totalram, info.mem_unit, &bytes))
        limit->total_bytes = bytes;
    return DR_OK;
}

/* The limits of the cgroups, and the smallest of all. */
static void find_smallest(struct memory_limit *found, const char *root,
                          const char *available)
{
    struct search search = {.limit = found, .root = root};
    found->cgroup_bytes = SIZE_MAX;
    each_line(&search, "/proc/self/cgroup", parse_cgroup);
    each_line(&search, "/proc/self/mountinfo", parse_mount);
    for (int version = 0; !search.any_mount && version < 2; ++version)
        if (*search.cgroup[version])
            walk_up(&search, version, "/", versions[version].default_mount,
                    search.cgroup[version]);

    found->bytes = found->cgroup_bytes;
    if (found->available_bytes < found->cgroup_bytes) {
        found->bytes = found->available_bytes;
        (void)snprintf(found->reason, sizeof found->reason, "%s", available);
    }
}

enum dr_code memory_limit_parse(struct memory_limit *limit, const char *root,
                                struct dr_error *err)
{
    struct memory_limit found = {0};
    const enum dr_code code = read_available(&found, root, err);
    if (code != DR_OK) return code;
    find_smallest(&found, root, "MemAvailable");
    *limit = found;
    return DR_OK;
}

enum dr_code memory_limit_read(struct memory_limit *limit, struct dr_error *err)
{
    struct memory_limit found = {0};
    const bool is_told = read_available(&found, "", NULL) == DR_OK;
    const enum dr_code code = is_told ? DR_OK : read_free(&found, err);
    if (code != DR_OK) return code;
    find_smallest(&found, "", is_told ? "MemAvailable" : "free memory");
    *limit = found;
    return DR_OK;
}
