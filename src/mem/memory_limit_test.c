/* Limits in made-up file trees, of both versions of cgroups and of containers; and a real
 * cgroup of version 1 or 2 where one can be made. */
#include "mem/memory_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/line_reader.h"
#include "check.h"
#include "hidden_files.h"
#include "put_below.h"

static char root[] = "/tmp/memory_limit_test_XXXXXX";

static void put(const char *name, const char *text)
{
    put_below(root, name, text);
}

/* A fresh tree with MemAvailable of 8 GiB. */
static void start_tree(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'; mkdir '%s'", root, root);
    if (system(command)) abort();
    put("/proc/meminfo", "MemTotal:  16000000 kB\nMemFree:  1 kB\n"
                         "MemAvailable:    8388608 kB\nBuffers: 2 kB\n");
}

#define GIB ((size_t)1 << 30)

static void expect(size_t bytes, size_t cgroup_bytes, const char *reason)
{
    struct memory_limit limit = {0};
    struct dr_error err = {0};
    if (memory_limit_parse(&limit, root, &err)) check_fail_at("%s", err.message);
    check_int(limit.bytes, ==, bytes);
    check_int(limit.cgroup_bytes, ==, cgroup_bytes);
    check_int(limit.available_bytes, ==, 8 * GIB);
    check_int(limit.total_bytes, ==, 16000000 * (size_t)1024);
    check_str(limit.reason, reason);
}

static void no_cgroups_leave_what_is_available(void)
{
    start_tree();
    expect(8 * GIB, SIZE_MAX, "MemAvailable");
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n");
    expect(8 * GIB, SIZE_MAX, "MemAvailable");
}

static void version_1_takes_the_smallest_up_to_the_root(void)
{
    start_tree();
    put("/proc/self/cgroup",
        "9:name=systemd:/\n5:cpu,cpuacct:/x\n4:memory:/jobs/7\n0::/\n");
    put("/proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n");
    expect(8 * GIB, SIZE_MAX, "MemAvailable");
    put("/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "2147483648\n");
    expect(2 * GIB, 2 * GIB, "cgroup v1 limit of /jobs/7");
    put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "1073741824\n");
    expect(GIB, GIB, "cgroup v1 limit of /jobs");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
    expect(GIB / 2, GIB / 2, "cgroup v1 limit of /");
    put("/sys/fs/cgroup/cpu/x/memory.limit_in_bytes",
        "4096\n"); /* not a memory cgroup */
    expect(GIB / 2, GIB / 2, "cgroup v1 limit of /");
}

static void version_2_takes_the_smallest_up_to_the_root(void)
{
    start_tree();
    put("/proc/self/cgroup", "0::/user.slice/user-0.slice/session-1.scope\n");
    put("/proc/self/mountinfo",
        "26 22 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 "
        "cgroup2 rw,nsdelegate,memory_recursiveprot\n");
    put("/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/user-0.slice/memory.max", "3221225472\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
    expect(3 * GIB, 3 * GIB, "cgroup v2 limit of /user.slice/user-0.slice");
    put("/sys/fs/cgroup/user.slice/memory.max",
        "17179869184\n"); /* above what there is */
    expect(3 * GIB, 3 * GIB, "cgroup v2 limit of /user.slice/user-0.slice");
    put("/sys/fs/cgroup/user.slice/user-0.slice/memory.max", "max\n");
    expect(8 * GIB, 16 * GIB, "MemAvailable");
}

/* Both are mounted, and only one of them counts memory. */
static void hybrid_trees_are_read_in_both_versions(void)
{
    start_tree();
    put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    put("/proc/self/mountinfo",
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2147483648\n");
    expect(2 * GIB, 2 * GIB, "cgroup v1 limit of /a");
    put("/sys/fs/cgroup/unified/b/memory.max", "1073741824\n");
    expect(GIB, GIB, "cgroup v2 limit of /b");
}

/* In a container the mount shows only a part of the tree, from the container's cgroup on. */
static void containers_see_their_part(void)
{
    start_tree();
    put("/proc/self/cgroup", "4:memory:/docker/4f2a/inner\n");
    put("/proc/self/mountinfo",
        "35 31 0:32 /docker/4f2a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "2147483648\n");
    expect(GIB, GIB, "cgroup v1 limit of /docker/4f2a");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "104857600\n");
    expect(100 << 20, 100 << 20, "cgroup v1 limit of /docker/4f2a/inner");

    /* A part that is not ours says nothing about us, nor does a like-named one. */
    put("/proc/self/cgroup", "4:memory:/docker/4f2abc\n");
    expect(8 * GIB, SIZE_MAX, "MemAvailable");

    /* Another namespace's mount lies above us; we know only its top. */
    put("/proc/self/cgroup", "4:memory:/\n");
    put("/proc/self/mountinfo",
        "35 31 0:32 /.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    expect(GIB, GIB, "cgroup v1 limit of /..");
}

static void odd_names_and_lines_are_read(void)
{
    start_tree();
    put("/proc/self/cgroup", "0::/a b\n");
    put("/proc/self/mountinfo", "nonsense\n1 2 3\n36 35 98:0 / /x rw\n"
                                "26 22 0:23 / /my\\040mount rw - cgroup2 none rw\n");
    put("/my mount/a b/memory.max", "1073741824\n");
    expect(GIB, GIB, "cgroup v2 limit of /a b");
    put("/my mount/a b/memory.max", "");
    expect(8 * GIB, SIZE_MAX, "MemAvailable");
    put("/my mount/a b/memory.max", "99999999999999999999999\n");
    expect(8 * GIB, SIZE_MAX, "MemAvailable");
    put("/proc/self/cgroup", ":::\n4\nmemory\n0::\n4:memory:relative\n");
    expect(8 * GIB, SIZE_MAX, "MemAvailable");
}

/* A tree without mountinfo is read at the usual places. */
static void the_usual_places_are_tried(void)
{
    start_tree();
    put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/b/memory.max", "1073741824\n");
    expect(GIB, GIB, "cgroup v2 limit of /b");
}

/* In a sandbox without /proc/meminfo what is free now is what there is. */
static void without_meminfo_free_memory_counts(void)
{
    struct memory_limit told, limit;
    check_int(memory_limit_read(&told, NULL), ==, DR_OK);
    hidden_files = "/proc/meminfo:/proc/self/cgroup:/proc/self/mountinfo";
    check_int(memory_limit_read(&limit, NULL), ==, DR_OK);
    hidden_files = "";
    check_str(limit.reason, "free memory");
    check_int(limit.bytes, >, 0);
    check_int(limit.bytes, ==, limit.available_bytes);
    check_int(limit.cgroup_bytes, ==, SIZE_MAX);
}

static void no_meminfo_is_an_error(void)
{
    start_tree();
    struct memory_limit limit;
    struct dr_error err = {0};
    put("/proc/meminfo", "MemTotal: 5 kB\n");
    check_int(memory_limit_parse(&limit, root, &err), ==, DR_IO);
    check_has(err.message, "has no MemAvailable");
    check_int(memory_limit_parse(&limit, "/no such folder", &err), ==, DR_IO);
    check_has(err.message, "/no such folder/proc/meminfo");
}

static void this_process_has_a_limit(void)
{
    struct memory_limit limit = {0};
    check_int(memory_limit_read(&limit, NULL), ==, DR_OK);
    check_int(limit.bytes, >, 0);
    check_int(limit.bytes, <=, limit.available_bytes);
    check(limit.reason[0]);
    fprintf(stderr, "here: %zu bytes, %s\n", limit.bytes, limit.reason);
}

static bool put_line(const char *path, const char *text)
{
    FILE *const file = fopen(path, "w");
    if (!file) return false;
    const bool written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

/* In a child that has moved itself into the cgroup: is the limit seen? 0: yes. */
static int see_limit(const char *folder)
{
    char path[512], pid[32];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    struct memory_limit limit;
    if (!put_line(path, pid)) return 2;
    if (memory_limit_read(&limit, NULL)) return 3;
    fprintf(stderr, "in a cgroup: %zu bytes, %s\n", limit.bytes, limit.reason);
    if (limit.cgroup_bytes != (size_t)200 << 20 || limit.bytes != limit.cgroup_bytes)
        return 4;
    return strstr(limit.reason, "darkroom_test_") ? 0 : 5;
}

/* Make a cgroup with a limit of 200 MiB below the given one, be in it, and remove it. */
static bool try_real_cgroup(const char *parent, const char *limit_file)
{
    char folder[256], path[512];
    snprintf(folder, sizeof folder, "%s/darkroom_test_%ld", parent, (long)getpid());
    if (mkdir(folder, 0700)) return false;
    snprintf(path, sizeof path, "%s/%s", folder, limit_file);
    const bool limited = put_line(path, "209715200\n");
    int status = -1;
    if (limited) {
        const pid_t child = fork();
        if (child == 0) _exit(see_limit(folder));
        if (child < 0 || waitpid(child, &status, 0) != child) abort();
    }
    for (int tries = 0; rmdir(folder) && tries < 100; ++tries)
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000},
                        NULL); /* until the kernel has let go of the child */
    if (limited) check_int(WIFEXITED(status) ? WEXITSTATUS(status) : -1, ==, 0);
    return limited;
}

static void a_real_cgroup_is_seen(void)
{
    if (try_real_cgroup("/sys/fs/cgroup/memory", "memory.limit_in_bytes")) return;
    if (try_real_cgroup("/sys/fs/cgroup", "memory.max")) return;
    check_skip_case("no memory cgroup can be made here");
}

int main(void)
{
    if (!mkdtemp(root)) return check_skip("no temporary folder can be made");
    check_run(no_cgroups_leave_what_is_available);
    check_run(version_1_takes_the_smallest_up_to_the_root);
    check_run(version_2_takes_the_smallest_up_to_the_root);
    check_run(hybrid_trees_are_read_in_both_versions);
    check_run(containers_see_their_part);
    check_run(odd_names_and_lines_are_read);
    check_run(the_usual_places_are_tried);
    check_run(no_meminfo_is_an_error);
    check_run(without_meminfo_free_memory_counts);
    check_run(this_process_has_a_limit);
    check_run(a_real_cgroup_is_seen);
    start_tree();
    char path[64];
    snprintf(path, sizeof path, "rm -rf '%s'", root);
    return system(path) ? 1 : check_done();
}
