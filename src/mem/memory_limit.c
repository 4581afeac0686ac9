#include "mem/memory_limit.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/cgroup.h"
#include "base/line_reader.h"
#include "base/size.h"

/* Version 1 writes "no limit" as the largest number of pages that it can count. */
#define UNLIMITED_FROM ((unsigned long long)1 << 62)

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

static void lower_to(void *cookie, const struct cgroup_place *place)
{
    struct memory_limit *const limit = cookie;
    char path[PATH_MAX];
    size_t bytes;
    const int needed =
        snprintf(path, sizeof path, "%s/%s", place->directory,
                 place->version == 1 ? "memory.limit_in_bytes" : "memory.max");
    if (needed >= (int)sizeof path || !read_limit(path, &bytes) ||
        bytes >= limit->cgroup_bytes)
        return;
    limit->cgroup_bytes = bytes;
    (void)snprintf(limit->reason, sizeof limit->reason,
                   "cgroup v%d limit of %.60s%.60s", place->version, place->above,
                   place->name);
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
    found->cgroup_bytes = SIZE_MAX;
    cgroup_walk(root, "memory", lower_to, found);
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
