/* kernel_view — what the kernel reports about this process's memory, and how the ledger compares.
 *
 *     struct kernel_view view;
 *     kernel_view_read(&view, ledger);
 *     if (view.regions_known && !view.regions_agree) puts(view.first_disagreement);
 *
 * Private bytes are anonymous and shared-memory pages (smaps_rollup Pss_Anon + Pss_Shmem): what
 * only this process holds and the kernel cannot drop. The smaps fields Private_Clean and
 * Private_Dirty also count the pages of a read-only file mapping with one user, so they are not
 * used.
 *
 * Each region is compared with the entries of smaps at its own addresses, never only by sums, so
 * two errors of opposite sign cannot hide each other. The other memory is classified by evidence
 * (names, the loader's list, the threads' own addresses, malloc's marks): see process_marks.h.
 * Memory without an explanation is `other`, including memory mapped without the ledger.
 *
 * Not every kernel reports this: sandboxes (gVisor) and hardened containers lack smaps_rollup or
 * pagemap, or all of them. Each figure comes from the best available source. A figure without a
 * source is KERNEL_UNKNOWN, never 0, and that is not an error: pictures are made without it.
 *
 *     private bytes    pagemap (private_pages.h), else smaps_rollup, else the sum over smaps
 *     other totals     smaps_rollup, else the sum over smaps
 *     regions, rest    smaps
 *
 * The sum over smaps recognises files on a tmpfs only by their names (/dev/shm), and counts a page
 * shared with a child as a whole page.
 *
 * Allocates nothing. Threads: as the ledger, one at a time; other threads may run, but then
 * a mapping of theirs may change while it is read.
 *
 * Source: Documentation/filesystems/proc.rst (smaps, smaps_rollup).
 */
#ifndef MEM_KERNEL_VIEW_H
#define MEM_KERNEL_VIEW_H

#include <stdint.h>

#include "mem/ledger.h"
#include "mem/memory_limit.h"

#define KERNEL_UNKNOWN SIZE_MAX /* a figure that the kernel does not report */

struct kernel_totals {
    size_t private_bytes;         /* Pss_Anon + Pss_Shmem */
    size_t mapped_resident_bytes; /* file pages: Rss - anonymous - shared memory */
    size_t rss_bytes;
    size_t pss_bytes;
    size_t swap_bytes;
};

/* The private bytes outside all regions, by kind. */
struct residual {
    size_t
        image_bytes; /* written pages of the program and its libraries (data, bss, got),
                           and what the loader took for itself */
    size_t
        heap_bytes; /* malloc: [heap], its other arenas, its mappings of large requests */
    /* What malloc itself reports about the heap (mallinfo2). These do not add up to
     * heap_bytes: memory that was handed out but never written is not resident. */
    size_t heap_used_bytes;     /* handed out and not given back */
    size_t heap_retained_bytes; /* resident beyond that: heap_bytes less used, or 0 */
    size_t stack_bytes;         /* [stack] and thread stacks */
    size_t jit_bytes;   /* executable anonymous pages: the compute library's code */
    size_t shmem_bytes; /* shared memory: memfd, /dev/shm, files on tmpfs */
    size_t other_bytes; /* anonymous pages that none of these explains */
    size_t
        total_bytes; /* the sum; kernel private - ledger private while all regions agree */
};

struct kernel_view {
    struct kernel_totals totals;
    struct residual residual;
    bool regions_known; /* there was a smaps; else the next three say nothing */
    bool regions_agree;
    size_t disagreeing_count;
    char first_disagreement[240]; /* for a person; empty when all agree */
};

/* Read /proc/self/smaps once and compare it with the ledger. */
void kernel_view_read(struct kernel_view *view, const struct ledger *ledger);

/* The totals alone, from smaps_rollup, else smaps. Errors: DR_IO where there is neither: each is
 * KERNEL_UNKNOWN then. */
enum dr_code kernel_totals_read(struct kernel_totals *totals,
                                struct dr_error *err) DR_MUST_CHECK;

/* Only the private bytes of these, without visiting mapped files if possible
 * (private_pages.h): cheap. May be KERNEL_UNKNOWN. */
size_t kernel_private_read(void);

/* All resident bytes, including files, as an upper bound of private bytes; from statm, which
 * exists even without smaps. May be KERNEL_UNKNOWN. */
size_t kernel_resident_read(void);

/* All mapped bytes, resident or not: what ulimit -v counts. As above. */
size_t kernel_mapped_read(void);

/* The same for a file in the format of smaps, for tests: totals are then the sums over
 * its lines, and memory is classified only by the text itself. */
enum dr_code kernel_view_parse(struct kernel_view *view, const struct ledger *ledger,
                               const char *path, struct dr_error *err) DR_MUST_CHECK;

#endif
