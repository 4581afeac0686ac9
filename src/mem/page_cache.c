#define _DEFAULT_SOURCE /* mincore */

#include "mem/page_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "mem/region.h"

enum {
    WINDOW_PAGES = 8192 /* a byte each, on the stack */
};

/* Pages of [offset, offset + bytes) that are resident; bytes is at most a window. */
static enum dr_code count_window(int descriptor, uint64_t offset, size_t bytes,
                                 uint64_t *pages, struct dr_error *err)
{
    unsigned char resident[WINDOW_PAGES];
    const size_t page = region_page_bytes();
    void *const window =
        mmap(NULL, bytes, PROT_READ, MAP_SHARED, descriptor, (off_t)offset);
    if (window == MAP_FAILED)
        return error_set_errno(err, errno == ENOMEM ? DR_NOMEM : DR_IO, errno,
                               "cannot inspect the page cache of a file");
    const int refused = mincore(window, bytes, resident) ? errno : 0;
    (void)munmap(window, bytes);
    if (refused)
        return error_set_errno(err, DR_IO, refused,
                               "cannot count the cached pages "
                               "of a file");
    for (size_t i = 0; i < (bytes + page - 1) / page; ++i)
        *pages += resident[i] & 1;
    return DR_OK;
}

enum dr_code page_cache_resident(int descriptor, uint64_t *bytes, struct dr_error *err)
{
    struct stat status;
    uint64_t pages = 0;
    const uint64_t page = region_page_bytes(), window = WINDOW_PAGES * page;
    if (fstat(descriptor, &status))
        return error_set_errno(err, DR_IO, errno, "cannot look at a file");
    const uint64_t file_bytes = (uint64_t)status.st_size;
    for (uint64_t offset = 0; offset < file_bytes; offset += window) {
        const uint64_t left = file_bytes - offset;
        const enum dr_code code =
            count_window(descriptor, offset, (size_t)(left < window ? left : window),
                         &pages, err);
        if (code) return code;
    }
    *bytes = pages * page;
    return DR_OK;
}

enum dr_code page_cache_drop(int descriptor, struct page_cache_count *count,
                             struct dr_error *err)
{
    uint64_t before = 0, after = 0;
    const enum dr_code counted = page_cache_resident(descriptor, &before, err);
    const int refused = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    if (counted) return counted;
    if (refused)
        return error_set_errno(err, DR_IO, refused,
                               "the kernel refused to drop the cached pages of a file");
    const enum dr_code code = page_cache_resident(descriptor, &after, err);
    if (code) return code;
    count->resident_before += before;
    count->resident_after += after;
    return DR_OK;
}
