#include "base/core_count.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/line_reader.h"

#define ALLOWED_KEY "Cpus_allowed_list:"

enum {
    MOST_PROCESSORS = 4096
};

/* The next range of a list like "0-3,8"; false at its end, and where it is no such list. */
static bool next_range(const char **list, long *first, long *last)
{
    char *end;
    *first = strtol(*list, &end, 10);
    if (end == *list) return false;
    *last = *first;
    if (*end == '-') {
        const char *const from = end + 1;
        *last = strtol(from, &end, 10);
        if (end == from) return false;
    }
    *list = *end == ',' ? end + 1 : "";
    return *first >= 0 && *last >= *first && *last < MOST_PROCESSORS;
}

static void read_allowed(const char *root, bool allowed[static MOST_PROCESSORS])
{
    char path[PATH_MAX];
    struct line_reader reader;
    (void)snprintf(path, sizeof path, "%s/proc/thread-self/status", root);
    if (!line_reader_open(&reader, path)) return;
    for (const char *line; (line = line_reader_next(&reader));) {
        if (strncmp(line, ALLOWED_KEY, strlen(ALLOWED_KEY)) != 0) continue;
        const char *list = line + strlen(ALLOWED_KEY);
        for (long first, last; next_range(&list, &first, &last);)
            for (long i = first; i <= last; ++i)
                allowed[i] = true;
        break;
    }
    (void)line_reader_close(&reader);
}

/* Is it the first of its core's processors that are allowed? So it is where nothing is said of its core. */
static bool is_first(const char *root, const bool allowed[static MOST_PROCESSORS],
                     int processor)
{
    char path[PATH_MAX];
    struct line_reader reader;
    (void)snprintf(path, sizeof path,
                   "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                   root, processor);
    if (!line_reader_open(&reader, path)) return true;
    bool first_of_all = true;
    const char *list = line_reader_next(&reader);
    for (long first, last; list && next_range(&list, &first, &last);)
        for (long i = first; i <= last && i < processor; ++i)
            if (allowed[i]) first_of_all = false;
    (void)line_reader_close(&reader);
    return first_of_all;
}

/* Up to two numbers of a file's first line; how many there are. */
static int read_numbers(const char *directory, const char *name,
                        long long numbers[static 2])
{
    char path[PATH_MAX];
    struct line_reader reader;
    const int needed = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (needed >= (int)sizeof path || !line_reader_open(&reader, path)) return 0;
    const char *const line = line_reader_next(&reader);
    const int count = line ? sscanf(line, "%lld %lld", &numbers[0], &numbers[1]) : 0;
    (void)line_reader_close(&reader);
    return count > 0 ? count : 0;
}

/* Lower the count to the quota of a group: microseconds of processor time in each period. */
static void lower_to(void *cookie, const struct cgroup_place *place)
{
    int *const count = cookie;
    long long numbers[2] = {0}, quota = 0, period = 0, unused[2] = {0};
    if (place->version == 2) {
        if (read_numbers(place->directory, "cpu.max", numbers) != 2) return;
        quota = numbers[0];
        period = numbers[1];
    } else {
        if (read_numbers(place->directory, "cpu.cfs_quota_us", numbers) != 1 ||
            read_numbers(place->directory, "cpu.cfs_period_us", unused) != 1)
            return;
        quota = numbers[0];
        period = unused[0];
    }
    if (quota <= 0 || period <= 0) return; /* -1: none */
    const long long cores = quota / period + (quota % period != 0);
    if (cores < *count) *count = (int)cores;
}

int core_count_parse(const char *root)
{
    bool allowed[MOST_PROCESSORS] = {false};
    int count = 0;
    read_allowed(root, allowed);
    for (int i = 0; i < MOST_PROCESSORS; ++i)
        count += allowed[i] && is_first(root, allowed, i);
    cgroup_walk(root, "cpu", lower_to, &count);
    return count > 0 ? count : 1;
}

int core_count(void)
{
    return core_count_parse("");
}
