/* core_count — the cores that this process may use: how many threads are worth having.
 *
 * The processors that the calling thread is allowed (its affinity), each core counted once however many of its
 * hyper-threads are allowed: they share its arithmetic units, so that a second one adds nothing to a GEMM.
 * Not more than the CPU quota of its cgroups, rounded up.
 *
 * Source: proc.rst (status), sysfs-devices-system-cpu (topology), cgroup-v1 sched-bwc.rst, cgroup-v2.rst (cpu.max).
 */
#ifndef BASE_CORE_COUNT_H
#define BASE_CORE_COUNT_H

/* At least 1, also where the kernel says nothing. Any thread. */
int core_count(void);

/* The same, with root, a directory made by a test, instead of "/": root/proc/thread-self/status,
 * root/proc/self/cgroup, root/proc/self/mountinfo, root/sys/... */
int core_count_parse(const char *root);

#endif
