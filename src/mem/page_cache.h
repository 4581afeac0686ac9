/* page_cache — which pages of a file the kernel caches, and dropping them.
 *
 * File contents that were read stay in the kernel's page cache until something else needs the
 * memory. They are not this process's memory, but count as used when somebody watches the machine.
 * posix_fadvise (POSIX_FADV_DONTNEED) is only a hint: dirty pages and pages that any process has
 * mapped stay, and on a tmpfs all pages stay. So the kernel is asked before and after (mincore, on
 * a temporary read-only mapping; it is not in the ledger because it is never accessed and is
 * unmapped at once).
 *
 * The kernel reports this only for files that the caller owns or may write; for others it reports
 * all pages as resident. Such a file is reported as one from which nothing was dropped.
 *
 * Threads: any thread.
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

/* Asks the kernel to drop the whole file, and adds the bytes cached before and after to
 * *count. Errors: as above; *count is then unchanged, and the dropped bytes are unknown. */
enum dr_code page_cache_drop(int descriptor, struct page_cache_count *count,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
