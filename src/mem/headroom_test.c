/* What is asked of a process with limits: a child, so that the limits go with it. The address sanitizer
 * maps terabytes, so that no limit on addresses can be set there. */
#include "mem/headroom.h"

#include <dirent.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "mem/kernel_view.h"

#define MIB ((size_t)1 << 20)

#if defined(__SANITIZE_ADDRESS__)
enum {
    SANITIZED = 1
};
#else
enum {
    SANITIZED = 0
};
#endif

/* Run in a child; what it finds wrong is counted here. */
static void in_child(void (*part)(void))
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        const int before = check_failed_count;
        part();
        fflush(NULL);
        _exit(check_failed_count == before ? 0 : 1);
    }
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child);
    check_int(status, ==, 0);
}

static void allow_addresses(size_t more)
{
    const rlim_t bytes = kernel_mapped_read() + more;
    check_int(setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}), ==, 0);
}

static void try_a_small_address_space(void)
{
    struct dr_error err = {0};
    char text[HEADROOM_TEXT_BYTES];
    check(!headroom_describe(text));
    check_has(text, "no limit");
    allow_addresses(20 * MIB);
    check(headroom_describe(text));
    check_int(headroom_check(16 * MIB, "a picture", &err), ==, DR_OK);
    check_int(err.code, ==, 0);
    check_int(headroom_check(24 * MIB, "a picture", &err), ==, DR_NOMEM);
    check_has(err.message, "a picture");
    check_has(err.message, "24.0 MiB");
    check_has(err.message, "ulimit -v");
    check_int(headroom_check(SIZE_MAX / 2, "a picture", NULL), ==, DR_NOMEM);
}

static void try_stacks_need_addresses(void)
{
    check_int(setrlimit(RLIMIT_STACK, &(struct rlimit){8 * MIB, RLIM_INFINITY}), ==, 0);
    allow_addresses(50 * MIB);
    check_int(headroom_threads(1000), >=, 1);
    check_int(headroom_threads(1000), <=, 50);
    allow_addresses(64 * 1024);
    check_int(headroom_threads(3), ==, 0);
}

/* The superuser may have any number: another user's limit is asked then. */
static void try_threads_have_a_limit(void)
{
    if (geteuid() == 0) check_int(setuid(60123), ==, 0);
    check_int(setrlimit(RLIMIT_NPROC, &(struct rlimit){3, 3}), ==, 0);
    check_int(headroom_threads(64), <=, 3);
}

static int count_threads(void)
{
    int count = 0;
    DIR *const folder = opendir("/proc/self/task");
    if (!folder) return 1;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

/* They are all made, all gone again, and leave no byte. */
static void without_limits_all_are_made(void)
{
    check_int(headroom_check(16 * MIB, "a picture", NULL), ==, DR_OK);
    check_int(headroom_threads(0), ==, 0);
    check_int(headroom_threads(-1), ==, 0);
    (void)headroom_threads(5); /* what the first thread of a process brings */
    const size_t before = kernel_mapped_read(), private_before = kernel_private_read();
    for (int i = 0; i < 20; ++i)
        check_int(headroom_threads(5), ==, 5);
    const size_t after = kernel_mapped_read(), private_after = kernel_private_read();
    check_int(count_threads(), ==, 1);
    if (SANITIZED) {
        check_skip_case("the sanitizer keeps memory of threads that are gone");
        return;
    }
    check_int(after, ==, before);
    check_int(private_after, <=, private_before + 8 * 1024);
}

static void a_small_address_space(void)
{
    in_child(try_a_small_address_space);
}

static void stacks_need_addresses(void)
{
    in_child(try_stacks_need_addresses);
}

static void threads_have_a_limit(void)
{
    in_child(try_threads_have_a_limit);
}

int main(void)
{
    check_run(without_limits_all_are_made);
    check_run_if(!SANITIZED, a_small_address_space,
                 "the sanitizer needs its own addresses");
    check_run_if(!SANITIZED, stacks_need_addresses,
                 "the sanitizer needs its own addresses");
    check_run(threads_have_a_limit);
    return check_done();
}
