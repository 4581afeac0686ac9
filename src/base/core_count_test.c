/* Made-up machines: hyper-threads in either order of their numbers, affinities, quotas of both versions. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "base/core_count.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "put_below.h"

static char root[] = "/tmp/core_count_test_XXXXXX";

static void put(const char *name, const char *text)
{
    put_below(root, name, text);
}

static void start_machine(const char *allowed)
{
    char text[256];
    snprintf(text, sizeof text, "rm -rf '%s'; mkdir '%s'", root, root);
    if (system(text)) abort();
    snprintf(text, sizeof text,
             "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t%s\nMems_allowed:\t1\n",
             allowed);
    put("/proc/thread-self/status", text);
}

/* `cores` cores with two hyper-threads each: beside each other in number, or the second ones after all first. */
static void put_cores(int cores, int are_neighbours)
{
    for (int i = 0; i < 2 * cores; ++i) {
        char name[96], text[32];
        const int one = are_neighbours ? i / 2 * 2 : i % cores;
        const int two = are_neighbours ? one + 1 : one + cores;
        snprintf(name, sizeof name,
                 "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
        snprintf(text, sizeof text, are_neighbours ? "%d-%d\n" : "%d,%d\n", one, two);
        put(name, text);
    }
}

static void a_core_counts_once(void)
{
    for (int are_neighbours = 0; are_neighbours < 2; ++are_neighbours) {
        start_machine("0-15");
        put_cores(8, are_neighbours);
        check_int(core_count_parse(root), ==, 8);
    }
    start_machine("0-15"); /* of which nothing else is known */
    check_int(core_count_parse(root), ==, 16);
    start_machine("0-127"); /* two sockets of 32 cores */
    put_cores(64, 0);
    check_int(core_count_parse(root), ==, 64);
}

static void only_what_is_allowed(void)
{
    start_machine("0-3,12");
    put_cores(8, 0); /* 12 is beside 4 */
    check_int(core_count_parse(root), ==, 5);
    start_machine("9");
    put_cores(8, 0);
    check_int(core_count_parse(root), ==, 1);
    start_machine("1,9,2,10");
    put_cores(8, 0);
    check_int(core_count_parse(root), ==, 2);
}

static void quotas_are_rounded_up(void)
{
    start_machine("0-15");
    put("/proc/self/cgroup", "0::/jobs/7\n");
    put("/proc/self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/jobs/7/cpu.max", "max 100000\n");
    check_int(core_count_parse(root), ==, 16);
    put("/sys/fs/cgroup/jobs/cpu.max", "350000 100000\n");
    check_int(core_count_parse(root), ==, 4);
    put("/sys/fs/cgroup/jobs/7/cpu.max", "20000 100000\n");
    check_int(core_count_parse(root), ==, 1);

    start_machine("0-15");
    put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/y\n");
    put("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check_int(core_count_parse(root), ==, 16);
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "150000\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "50000\n");
    check_int(core_count_parse(root), ==, 3);
}

static void nonsense_is_one(void)
{
    static const char *const lists[] = {"",    "x",       "-",      "7-",
                                        "5-2", "9999999", "1-99999"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; ++i) {
        start_machine(lists[i]);
        put("/sys/fs/cgroup/cpu.max", "0 0\n");
        check_int(core_count_parse(root), ==, 1);
    }
    start_machine("0-1");
    put("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "what\n");
    check_int(core_count_parse(root), ==, 2);
    check_int(core_count_parse("/nowhere"), ==, 1);
}

/* Never more than the processors that this thread is allowed. */
static void this_machine(void)
{
    cpu_set_t allowed;
    check_int(sched_getaffinity(0, sizeof allowed, &allowed), ==, 0);
    check_int(core_count(), >=, 1);
    check_int(core_count(), <=, CPU_COUNT(&allowed));
    fprintf(stderr, "     %d cores\n", core_count());
}

int main(void)
{
    if (!mkdtemp(root)) return 1;
    check_run(a_core_counts_once);
    check_run(only_what_is_allowed);
    check_run(quotas_are_rounded_up);
    check_run(nonsense_is_one);
    check_run(this_machine);
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    if (system(command)) return 1;
    return check_done();
}
