/* Against the kernel itself, on files of our own. On a file system that keeps its pages (tmpfs) or
 * that hides them there is nothing to see, and the test says so. */
#include "mem/page_cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "mem/region.h"

enum {
    FILE_BYTES = 3 << 20
};

static struct dr_error problem;
static char path[512];

/* A file of random bytes, written out or still dirty. */
static int make_file(int is_synced, size_t bytes)
{
    static unsigned char data[FILE_BYTES];
    const char *const folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/page-cache-XXXXXX", folder ? folder : "/tmp");
    const int descriptor = mkstemp(path);
    if (descriptor < 0) abort();
    (void)unlink(path);
    for (size_t i = 0; i < bytes; ++i)
        data[i] = (unsigned char)(i * 2654435761u >> 13);
    if (write(descriptor, data, bytes) != (ssize_t)bytes) abort();
    if (is_synced && fsync(descriptor)) abort();
    return descriptor;
}

static uint64_t resident(int descriptor)
{
    uint64_t bytes = 0;
    check_int(page_cache_resident(descriptor, &bytes, &problem), ==, DR_OK);
    return bytes;
}

static int kernel_drops_here(void)
{
    const int descriptor = make_file(1, FILE_BYTES);
    (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    const uint64_t left = resident(descriptor);
    (void)close(descriptor);
    return left < FILE_BYTES;
}

static void what_was_read_is_dropped(void)
{
    struct page_cache_count count = {0};
    const int descriptor = make_file(1, FILE_BYTES);
    check_int(resident(descriptor), ==, FILE_BYTES);
    check_int(page_cache_drop(descriptor, &count, &problem), ==, DR_OK);
    check_int(count.resident_before, ==, FILE_BYTES);
    check_int(count.resident_after, ==, 0);
    check_int(resident(descriptor), ==, 0);

    /* Read again it is there again, and a second drop adds to the count. */
    char byte;
    check_int(pread(descriptor, &byte, 1, 100), ==, 1);
    const uint64_t again = resident(descriptor);
    check_int(again, >, 0);
    check_int(page_cache_drop(descriptor, &count, &problem), ==, DR_OK);
    check_int(count.resident_before, ==, FILE_BYTES + again);
    check_int(count.resident_after, ==, 0);
    (void)close(descriptor);
}

/* The negative controls: what must stay is seen to stay. */
static void pages_that_somebody_maps_stay(void)
{
    struct page_cache_count count = {0};
    const int descriptor = make_file(1, FILE_BYTES);
    const size_t page = region_page_bytes();
    const unsigned char *const view =
        mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, descriptor, 0);
    if (view == MAP_FAILED) abort();
    for (size_t i = 0; i < FILE_BYTES; i += page)
        (void)*(const volatile unsigned char *)(view + i);
    check_int(page_cache_drop(descriptor, &count, &problem), ==, DR_OK);
    check_int(count.resident_before, ==, FILE_BYTES);
    check_int(count.resident_after, ==, FILE_BYTES);
    (void)munmap((void *)(uintptr_t)view, FILE_BYTES);
    check_int(page_cache_drop(descriptor, &count, &problem), ==, DR_OK);
    check_int(count.resident_after, ==, FILE_BYTES); /* none added */
    (void)close(descriptor);
}

static void dirty_pages_stay_or_were_written(void)
{
    struct page_cache_count count = {0};
    const int descriptor = make_file(0, FILE_BYTES);
    check_int(page_cache_drop(descriptor, &count, &problem), ==, DR_OK);
    check_int(count.resident_before, ==, FILE_BYTES);
    check_int(count.resident_after, ==, resident(descriptor));
    (void)close(descriptor);
}

static void odd_sizes_and_no_file(void)
{
    struct page_cache_count count = {.resident_before = 5, .resident_after = 6};
    const int empty = make_file(1, 0), odd = make_file(1, 5000);
    check_int(resident(empty), ==, 0);
    check_int(resident(odd), ==, 2 * region_page_bytes());
    check_int(page_cache_drop(empty, &count, &problem), ==, DR_OK);
    check_int(page_cache_drop(-1, &count, &problem), ==, DR_IO);
    check_int(count.resident_before, ==, 5);
    check_int(count.resident_after, ==, 6);
    (void)close(empty);
    (void)close(odd);
}

int main(void)
{
    if (!kernel_drops_here())
        return check_skip("the file system of TMPDIR keeps its pages, or hides them");
    check_run(what_was_read_is_dropped);
    check_run(pages_that_somebody_maps_stay);
    check_run(dirty_pages_stay_or_were_written);
    check_run(odd_sizes_and_no_file);
    return check_done();
}
