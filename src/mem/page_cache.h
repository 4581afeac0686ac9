/* page_cache — which pages of a file the kernel keeps in memory, and letting go of them.
 *
 * What was read from a file stays in the kernel's page cache until something else needs the room.
 * It is not this process's memory, but whoever watches a machine sees it as used. Dropping it is a
 * wish (posix_fadvise, POSIX_FADV_DONTNEED): pages that are dirty, or that any process has mapped,
 * stay, and on a tmpfs all do. So nothing is believed: the kernel is asked before and after
 * (mincore, over a temporary read-only mapping that is in no ledger, since it is gone again and
 * was never touched).
 *
 * The kernel tells this only of files that the caller owns or may write; of others it says that
 * all pages are resident. Such a file is reported as one from which nothing was dropped.
 *
 * Threads: none of its own; any thread.
 */
#ifndef MEM_PAGE_CACHE_H
#define MEM_PAGE_CACHE_H

#include <stdint.h>

#include "base/error.h"

struct page_cache_count {
    uint64_t resident_before; /* bytes, whole pages */
    uint64_t resident_after;
};

/* The bytes of the file that are in memory now. Errors: DR_IO, DR_NOMEM. Needs a descriptor that
 * may be read. */
enum dr_code page_cache_resident(int descriptor, uint64_t *bytes,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Ask the kernel to drop the whole file, and add to *count what was there before and what is
 * there after. Errors: as above; *count is then as before, and what was dropped is not known. */
enum dr_code page_cache_drop(int descriptor, struct page_cache_count *count,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
