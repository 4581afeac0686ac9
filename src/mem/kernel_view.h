/* kernel_view — what the kernel says this process holds.
 *
 * Private bytes are anonymous and shared-memory pages (smaps Pss_Anon + Pss_Shmem): what only
 * this process holds and the kernel cannot drop. smaps' own Private_Clean and Private_Dirty
 * also count the pages of a read-only file mapping with one user, so they are not the measure.
 *
 * Source: Documentation/filesystems/proc.rst (smaps, smaps_rollup), cgroup-v1/memory.rst,
 * cgroup-v2.rst.
 */
#ifndef MEM_KERNEL_VIEW_H
#define MEM_KERNEL_VIEW_H

#include "mem/ledger.h"

struct kernel_totals {
    size_t private_bytes;         /* Pss_Anon + Pss_Shmem */
    size_t mapped_resident_bytes; /* Pss_File's pages: Rss - anonymous - shmem */
    size_t rss_bytes;
    size_t pss_bytes;
    size_t swap_bytes;
};

/* The private bytes that no region accounts for, by where they lie. */
struct residual {
    size_t image_bytes;  /* written pages of the program and its libraries (data, bss, got) */
    size_t heap_bytes;   /* [heap] and glibc's other arenas: malloc */
    size_t stack_bytes;  /* [stack] and thread stacks */
    size_t jit_bytes;    /* executable anonymous pages: the compute library's code */
    size_t other_bytes;  /* anonymous pages that none of these explains */
    size_t total_bytes;  /* kernel private - ledger private, for the same moment */
};

/* One region held against its lines of smaps. */
struct region_evidence {
    size_t size_bytes; /* smaps Size over the region's addresses */
    size_t rss_bytes;
    size_t anonymous_bytes;
    bool agrees; /* private: bytes == Rss; mapped: bytes == Size, Rss <= Size, Anonymous 0 */
};

struct kernel_view {
    struct kernel_totals totals;
    struct residual residual;
    bool regions_agree;
    size_t disagreeing_count;
    char first_disagreement[160]; /* for a person; empty when all agree */
};

/* Read /proc/self/smaps once and hold it against the ledger. Allocates nothing that stays.
 * Errors: DR_IO. */
enum dr_code kernel_view_read(struct kernel_view *view, const struct ledger *ledger,
                              struct dr_error *err) DR_MUST_CHECK;

/* The totals alone, from smaps_rollup: cheap. */
enum dr_code kernel_totals_read(struct kernel_totals *totals,
                                struct dr_error *err) DR_MUST_CHECK;

/* The most memory that this process may take: the smallest limit of its memory cgroups (v1
 * memory.limit_in_bytes, v2 memory.max, up to the root) and MemAvailable. reason says which,
 * in words ("cgroup v1 limit of /jobs/7", "MemAvailable"). */
struct memory_limit {
    size_t bytes;
    size_t cgroup_bytes;    /* SIZE_MAX: none */
    size_t available_bytes; /* MemAvailable */
    char reason[160];
};
enum dr_code memory_limit_read(struct memory_limit *limit,
                               struct dr_error *err) DR_MUST_CHECK;

/* The parsers, on text given as a string, for tests: see kernel_view_test.c. */
enum dr_code kernel_view_parse(struct kernel_view *view, const struct ledger *ledger,
                               const char *smaps_path, struct dr_error *err) DR_MUST_CHECK;
/* root stands for "/" (a folder that a test makes): root/proc/self/cgroup, root/sys/fs/... */
enum dr_code memory_limit_parse(struct memory_limit *limit, const char *root,
                                struct dr_error *err) DR_MUST_CHECK;

#endif
