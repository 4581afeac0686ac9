/* Private pages as they are counted, beside the kernel's own rollup: the same to the byte, or not
 * told. Under the address sanitizer, which reserves terabytes, they are never told. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, memfd_create */

#include "mem/private_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "mem/kernel_view.h"

#define MIB ((size_t)1 << 20)

static size_t page_bytes;

static size_t rolled_up(void)
{
    struct kernel_totals totals = {0};
    struct dr_error err = {0};
    if (kernel_totals_read(&totals, &err)) check_fail_at("%s", err.message);
    return totals.private_bytes;
}

/* Counted, which must be what the rollup says before and after: the same, but for a page of the
 * stack that the reading itself may be the first to touch. False where it is not told. */
static bool count(size_t *bytes)
{
    const size_t before = rolled_up();
    const bool told = private_pages_count(bytes);
    const size_t after = rolled_up();
    if (told) {
        check_int(*bytes, >=, before);
        check_int(*bytes, <=, after);
    }
    return told;
}

static unsigned char *map(size_t bytes, int protection, int flags, int file)
{
    unsigned char *const data = mmap(NULL, bytes, protection, flags, file, 0);
    if (data == MAP_FAILED) abort();
    return data;
}

static unsigned char *map_memory(size_t bytes)
{
    return map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void pages_written_are_counted(void)
{
    size_t before, with, after;
    check(count(&before));
    unsigned char *const data = map_memory(3 * MIB);
    memset(data, 1, 3 * MIB);
    check(count(&with));
    check_int(with, ==, before + 3 * MIB);
    (void)munmap(data, 3 * MIB);
    check(count(&after));
    check_int(after, ==, before);
}

/* More of them than are read at a time, and not from a whole number of such. */
static void pages_are_counted_one_by_one(void)
{
    size_t before, with;
    unsigned char *const data = map_memory(32 * MIB);
    (void)madvise(data, 32 * MIB, MADV_NOHUGEPAGE);
    check(count(&before));
    for (size_t i = 0; i < 32 * MIB; i += 3 * page_bytes)
        data[i] = 1;
    check(count(&with));
    check_int(with, ==, before + (32 * MIB / page_bytes + 2) / 3 * page_bytes);
    (void)munmap(data, 32 * MIB);
}

/* All pages of the program's file, which no process owns; one that is written to is its own. */
static void pages_of_files_are_not(void)
{
    volatile unsigned char sum = 0;
    size_t before, shared, private;
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const off_t end = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    if (end <= 0) abort();
    check(count(&before));
    unsigned char *const all = map((size_t)end, PROT_READ, MAP_SHARED, file);
    for (off_t i = 0; i < end; i += (off_t)page_bytes)
        sum = (unsigned char)(sum + all[i]);
    check(count(&shared));
    check_int(shared, ==, before);
    unsigned char *const own =
        map((size_t)end, PROT_READ | PROT_WRITE, MAP_PRIVATE, file);
    sum = (unsigned char)(sum + own[0]);
    own[page_bytes] = 1;
    check(count(&private));
    check_int(private, ==, before + page_bytes);
    (void)munmap(own, (size_t)end);
    (void)munmap(all, (size_t)end);
    (void)close(file);
}

/* A page that was read and never written is the kernel's page of zeros: it is not counted, or
 * nothing is told. */
static void pages_of_zeros_are_not(void)
{
    volatile unsigned char sum = 0;
    size_t bytes;
    unsigned char *const data = map_memory(MIB);
    for (size_t i = 0; i < MIB; i += page_bytes)
        sum = (unsigned char)(sum + data[i]);
    (void)count(&bytes);
    (void)munmap(data, MIB);
}

/* Half of each is this process's: a figure that only the rollup has. */
static void pages_shared_with_a_child_are_not_told(void)
{
    size_t bytes;
    int leave[2];
    if (pipe(leave)) abort();
    const pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        char byte;
        (void)close(leave[1]);
        _exit(read(leave[0], &byte, 1) == 0 ? 0 : 1);
    }
    check(!count(&bytes));
    check_int(bytes, ==, 0);
    (void)close(leave[0]);
    (void)close(leave[1]);
    check(waitpid(child, NULL, 0) == child);
    check(count(&bytes));
}

static void shared_memory_is_not_told(void)
{
    size_t bytes;
    unsigned char *data =
        map(MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    check(!count(&bytes));
    (void)munmap(data, MIB);
    const int file = memfd_create("pages", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, MIB)) abort();
    data = map(MIB, PROT_READ, MAP_SHARED, file);
    check(!count(&bytes));
    (void)munmap(data, MIB);
    (void)close(file);
}

/* The kernel's answer comes from elsewhere then. */
static void what_is_not_told_is_read_from_the_rollup(void)
{
    size_t bytes;
    unsigned char *const data = map((size_t)32 << 30, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    check(!count(&bytes));
    const size_t before = rolled_up();
    const size_t private_bytes = kernel_private_read();
    check_int(private_bytes, >=, before);
    check_int(private_bytes, <=, rolled_up());
    check_int(private_bytes, >, 0);
    (void)munmap(data, (size_t)32 << 30);
}

int main(void)
{
    size_t bytes;
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    check_run(what_is_not_told_is_read_from_the_rollup);
    if (!private_pages_count(&bytes)) {
#ifndef __SANITIZE_ADDRESS__
        return check_skip(
            "the page table cannot be read here, or this process is swapped");
#endif
        return check_done();
    }
    check_run(pages_written_are_counted);
    check_run(pages_are_counted_one_by_one);
    check_run(pages_of_files_are_not);
    check_run(pages_of_zeros_are_not);
    check_run(pages_shared_with_a_child_are_not_told);
    check_run(shared_memory_is_not_told);
    return check_done();
}
