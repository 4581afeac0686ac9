/* memory_limit — the maximum memory that this process may use.
 *
 * The smallest of the limits of its memory cgroups, from its own up to the root of what is mounted (v1
 * memory.limit_in_bytes, v2 memory.max; both where both exist), and of the kernel's estimate
 * MemAvailable (or, if there is none, free memory: sysinfo). A cgroup outside the mounted hierarchy
 * (that of a container's host) cannot be seen, but the kernel enforces it.
 *
 * Source: cgroup-v1/memory.rst, cgroup-v2.rst, proc.rst (mountinfo, meminfo).
 */
#ifndef MEM_MEMORY_LIMIT_H
#define MEM_MEMORY_LIMIT_H

#include <stddef.h>

#include "base/error.h"

struct memory_limit {
    size_t bytes;           /* the smaller of the next two */
    size_t cgroup_bytes;    /* SIZE_MAX: none */
    size_t available_bytes; /* MemAvailable, or what is free */
    size_t total_bytes;     /* of the machine: MemTotal; 0: unknown */
    char reason[160]; /* "cgroup v1 limit of /jobs/7", "MemAvailable", "free memory" */
};

/* Errors: DR_IO if the kernel reports no memory figure at all. A process without cgroups has
 * no limit from them. */
enum dr_code memory_limit_read(struct memory_limit *limit,
                               struct dr_error *err) DR_MUST_CHECK;

/* The same, with root, a directory made by a test, instead of "/": root/proc/self/cgroup,
 * root/proc/self/mountinfo, root/proc/meminfo, root/sys/fs/cgroup/...; with no more than that:
 * DR_IO where there is no MemAvailable. */
enum dr_code memory_limit_parse(struct memory_limit *limit, const char *root,
                                struct dr_error *err) DR_MUST_CHECK;

#endif
