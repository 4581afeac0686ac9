/* cgroup — the control groups that this process is in: its own and all above it, up to the root of what is mounted.
 *
 * A group outside the mounted hierarchy (that of a container's host) cannot be seen, but the kernel enforces it.
 *
 * Source: cgroup-v1/cgroups.rst, cgroup-v2.rst, proc.rst (mountinfo).
 */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

struct cgroup_place {
    int version;           /* 1 or 2 */
    const char *directory; /* where its files are */
    /* Together its path in the hierarchy, for messages: "/docker/4f2a" and "/jobs", or "" and "/". */
    const char *above, *name;
};

typedef void cgroup_visit(void *cookie, const struct cgroup_place *place);

/* Visit the groups of a controller of version 1 ("memory", "cpu") and those of version 2, where there are any; the
 * process's own before those above it. root: "", or a directory made by a test instead of "/", with
 * root/proc/self/cgroup and root/proc/self/mountinfo. Any thread. */
void cgroup_walk(const char *root, const char *controller, cgroup_visit *visit,
                 void *cookie);

#endif
