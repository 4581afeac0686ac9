/* kernel_view — what the kernel says this process holds, and how the ledger compares.
 *
 *     struct kernel_view view;
 *     if (kernel_view_read(&view, ledger, err)) ...
 *     if (!view.regions_agree) puts(view.first_disagreement);
 *
 * Private bytes are anonymous and shared-memory pages (smaps_rollup Pss_Anon + Pss_Shmem):
 * what only this process holds and the kernel cannot drop. smaps' own Private_Clean and
 * Private_Dirty also count the pages of a read-only file mapping with one user, so they are
 * not the measure.
 *
 * Each region is held against the lines of smaps at its own addresses, never by sums alone:
 * two errors of opposite sign cannot hide each other. The rest is told apart by evidence
 * (names, the loader's list, the threads' own addresses, malloc's marks): see
 * process_marks.h. What nothing explains is `other`: memory mapped past the ledger is there.
 *
 * Allocates nothing. Threads: as the ledger, one at a time; other threads may run, but then
 * a mapping of theirs may change while it is read.
 *
 * Source: Documentation/filesystems/proc.rst (smaps, smaps_rollup).
 */
#ifndef MEM_KERNEL_VIEW_H
#define MEM_KERNEL_VIEW_H

#include "mem/ledger.h"
#include "mem/memory_limit.h"

struct kernel_totals {
    size_t private_bytes;         /* Pss_Anon + Pss_Shmem */
    size_t mapped_resident_bytes; /* file pages: Rss - anonymous - shared memory */
    size_t rss_bytes;
    size_t pss_bytes;
    size_t swap_bytes;
};

/* The private bytes that no region accounts for, by where they lie. */
struct residual {
    size_t
        image_bytes; /* written pages of the program and its libraries (data, bss, got),
                           and what the loader took for itself */
    size_t
        heap_bytes; /* malloc: [heap], its other arenas, its mappings of large requests */
    /* What malloc itself says of the heap (mallinfo2). Not a split of heap_bytes: what was
     * handed out need not have been written to, and is not resident then. */
    size_t heap_used_bytes;     /* handed out and not given back */
    size_t heap_retained_bytes; /* resident beyond that: heap_bytes less used, or 0 */
    size_t stack_bytes;         /* [stack] and thread stacks */
    size_t jit_bytes;   /* executable anonymous pages: the compute library's code */
    size_t shmem_bytes; /* shared memory: memfd, /dev/shm, files on tmpfs */
    size_t other_bytes; /* anonymous pages that none of these explains */
    size_t
        total_bytes; /* the sum; kernel private - ledger private while all regions agree */
};

/* One region held against its lines of smaps. Pages in swap count as there: the kernel moved
 * them, nothing was lost. */
struct region_evidence {
    size_t size_bytes; /* smaps Size over the region's addresses */
    size_t rss_bytes;
    size_t anonymous_bytes;
    size_t swap_bytes;
    bool agrees; /* private: bytes == Size == Rss + Swap == Anonymous + Swap;
                    mapped: bytes == Size, Rss <= Size, Anonymous 0 */
};

struct kernel_view {
    struct kernel_totals totals;
    struct residual residual;
    bool regions_agree;
    size_t disagreeing_count;
    char first_disagreement[240]; /* for a person; empty when all agree */
};

/* Read /proc/self/smaps once and hold it against the ledger. Errors: DR_IO. */
enum dr_code kernel_view_read(struct kernel_view *view, const struct ledger *ledger,
                              struct dr_error *err) DR_MUST_CHECK;

/* The totals alone, from smaps_rollup. Errors: DR_IO. */
enum dr_code kernel_totals_read(struct kernel_totals *totals,
                                struct dr_error *err) DR_MUST_CHECK;

/* Of these the private bytes alone, without a walk over mapped files where that can be done
 * (private_pages.h): cheap. Errors: DR_IO. */
enum dr_code kernel_private_read(size_t *bytes, struct dr_error *err) DR_MUST_CHECK;

/* The evidence for one open region, from /proc/self/smaps. Errors: DR_IO. */
enum dr_code kernel_region_read(struct region_evidence *evidence,
                                const struct region *region,
                                struct dr_error *err) DR_MUST_CHECK;

/* The same reading of a text in smaps' form, by path, for tests: totals are then the sums
 * over its lines, and only what the text itself tells is told apart. */
enum dr_code kernel_view_parse(struct kernel_view *view, const struct ledger *ledger,
                               const char *smaps_path,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
