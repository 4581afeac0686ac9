/* memory_limit — the most memory that this process may take here.
 *
 * The smallest of the limits of its memory cgroups, from its own up to the root of what is
 * mounted (v1 memory.limit_in_bytes, v2 memory.max; both where both exist), and of the
 * kernel's estimate MemAvailable (where there is none, what is free: sysinfo). A cgroup that lies outside what is mounted (a container's
 * host) cannot be seen, and the kernel enforces it all the same.
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
    char reason[160]; /* "cgroup v1 limit of /jobs/7", "MemAvailable", "free memory" */
};

/* Errors: DR_IO where the kernel tells of no memory at all. A process without cgroups has no
 * limit from them. */
enum dr_code memory_limit_read(struct memory_limit *limit,
                               struct dr_error *err) DR_MUST_CHECK;

/* The same with root, a folder that a test makes, standing for "/": root/proc/self/cgroup,
 * root/proc/self/mountinfo, root/proc/meminfo, root/sys/fs/cgroup/...; with no more than that:
 * DR_IO where there is no MemAvailable. */
enum dr_code memory_limit_parse(struct memory_limit *limit, const char *root,
                                struct dr_error *err) DR_MUST_CHECK;

#endif
