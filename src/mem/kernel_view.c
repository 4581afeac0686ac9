/* One pass over smaps. Its entries ascend, so the entries of one region follow each other:
 * `current` collects them until an entry lies elsewhere. A region that the pass went by
 * without meeting an entry that begins in it is missing.
 *
 *     entry   entry          entry                    entry
 *     |-------|=== region A ===|-- other --|           |=== ...
 *                                           ^ region B, if it should be here, is missing
 *
 * Regions are few (tens), so finding an entry's region is a walk over the ledger.
 */
#include "mem/kernel_view.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mem/private_pages.h"
#include "mem/process_marks.h"
#include "mem/region.h"
#include "mem/smaps.h"

/* glibc's arenas begin at multiples of this and do not grow beyond it (HEAP_MAX_SIZE). */
#define ARENA_BYTES ((uintptr_t)64 << 20)

static const char smaps_path[] = "/proc/self/smaps";

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
struct walk {
    struct kernel_view *view;
    const struct ledger *ledger;
    const struct process_marks *marks;
    const struct region *current; /* its entries are being collected */
    struct region_evidence evidence;
    uintptr_t
        walked_end; /* all regions that begin below have been met or are missing */
    /* The entry before this one, where it may be an arena: its rest, without access, must
     * follow. */
    uintptr_t arena_start, arena_end;
    size_t arena_bytes;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uintptr_t region_start(const struct region *region)
{
    return (uintptr_t)region->data;
}

static uintptr_t region_end(const struct region *region)
{
    return (uintptr_t)region->data + region->bytes;
}

static void disagree(struct walk *walk, const struct region *region, const char *what)
{
    struct kernel_view *const view = walk->view;
    if (view->disagreeing_count++ > 0) return;
    (void)snprintf(view->first_disagreement, sizeof view->first_disagreement,
                   "%.40s %s at %#llx, %zu bytes: %s", region->component,
                   region_tag_name(region->tag),
                   (unsigned long long)region_start(region), region->bytes, what);
}

static void evidence_add(struct region_evidence *evidence,
                         const struct smaps_entry *entry)
{
    evidence->size_bytes += entry->end - entry->start;
    evidence->rss_bytes += entry->rss_bytes;
    evidence->anonymous_bytes += entry->anonymous_bytes;
    evidence->swap_bytes += entry->swap_bytes;
}

static void evidence_judge(struct region_evidence *evidence,
                           const struct region *region)
{
    const size_t bytes = region->bytes;
    const bool sized = evidence->size_bytes == bytes;
    if (region->kind == REGION_PRIVATE)
        evidence->agrees = sized &&
                           evidence->rss_bytes + evidence->swap_bytes == bytes &&
                           evidence->anonymous_bytes == evidence->rss_bytes;
    else
        evidence->agrees =
            sized && evidence->rss_bytes <= bytes && evidence->anonymous_bytes == 0;
}

static void finish_current(struct walk *walk)
{
    if (!walk->current) return;
    evidence_judge(&walk->evidence, walk->current);
    if (!walk->evidence.agrees) {
        char what[112];
        (void)snprintf(what, sizeof what,
                       "smaps Size %zu, Rss %zu, Anonymous %zu, Swap %zu",
                       walk->evidence.size_bytes, walk->evidence.rss_bytes,
                       walk->evidence.anonymous_bytes, walk->evidence.swap_bytes);
        disagree(walk, walk->current, what);
    }
    walk->current = NULL;
}

/* Regions that begin where the kernel has no entry beginning. */
static void report_missing(struct walk *walk, uintptr_t from, uintptr_t to)
{
    for (const struct region *region = walk->ledger->first; region;
         region = region->next)
        if (region_start(region) >= from && region_start(region) < to)
            disagree(walk, region, "no mapping starts there");
}

static const struct region *find_region(const struct ledger *ledger,
                                        const struct smaps_entry *entry)
{
    for (const struct region *region = ledger->first; region; region = region->next)
        if (region_start(region) <= entry->start && entry->start < region_end(region))
            return region;
    return NULL;
}

/* True when the entry belongs to a region. One that begins in a region belongs to it whole,
 * so that an entry reaching beyond shows as a wrong Size. */
static bool take_region(struct walk *walk, const struct smaps_entry *entry)
{
    if (walk->current && region_end(walk->current) <= entry->start)
        finish_current(walk);
    report_missing(walk, walk->walked_end, entry->start);
    report_missing(walk, entry->start + 1, entry->end);
    walk->walked_end = entry->end;

    const struct region *const region = find_region(walk->ledger, entry);
    if (!region) return false;
    if (region_start(region) == entry->start) {
        walk->current = region;
        walk->evidence = (struct region_evidence){0};
    }
    if (walk->current == region) evidence_add(&walk->evidence, entry);
    return true;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_shared_memory(const struct smaps_entry *entry)
{
    return starts_with(entry->name, "/memfd:") ||
           starts_with(entry->name, "/dev/shm/") || starts_with(entry->name, "/SYSV") ||
           starts_with(entry->name, "/dev/zero");
}

/* Anonymous memory without a name: evidence from the process itself. */
static void count_unnamed(struct walk *walk, const struct smaps_entry *entry)
{
    struct residual *const residual = &walk->view->residual;
    size_t left = entry->anonymous_bytes;
    if (entry->start % ARENA_BYTES == 0 && entry->end - entry->start <= ARENA_BYTES) {
        if (entry->end - entry->start < ARENA_BYTES) {
            walk->arena_start = entry->start;
            walk->arena_end = entry->end;
            walk->arena_bytes = left;
        } else {
            residual->heap_bytes += left;
        }
        return;
    }
    if (process_marks_stack(walk->marks, entry->start, entry->end)) {
        residual->stack_bytes += left;
        return;
    }
    if (process_marks_loader(walk->marks, entry->start, entry->end)) {
        residual->image_bytes += left;
        return;
    }
    const size_t image =
        smaller(left, process_marks_image_bytes(walk->marks, entry->start, entry->end));
    residual->image_bytes += image;
    left -= image;
    const size_t heap =
        left > 0 ? process_marks_chunk_bytes(walk->marks, entry->start, entry->end) : 0;
    residual->heap_bytes += smaller(left, heap);
    residual->other_bytes += left - smaller(left, heap);
}

/* What was held back as a possible arena: it is one if its rest follows without access. */
static void settle_arena(struct walk *walk, const struct smaps_entry *entry)
{
    if (walk->arena_bytes == 0) return;
    const bool rest_follows = entry && entry->start == walk->arena_end &&
                              starts_with(entry->permissions, "---p") &&
                              entry->end >= walk->arena_start + ARENA_BYTES;
    *(rest_follows ? &walk->view->residual.heap_bytes
                   : &walk->view->residual.other_bytes) += walk->arena_bytes;
    walk->arena_bytes = 0;
}

/* Written pages of a file mapping: the program's or a library's own, or someone's copy. */
static void count_file(struct walk *walk, const struct smaps_entry *entry)
{
    struct residual *const residual = &walk->view->residual;
    size_t image = entry->anonymous_bytes;
    if (walk->marks->segment_count > 0)
        image = smaller(image, process_marks_image_bytes(walk->marks, entry->start,
                                                         entry->end));
    residual->image_bytes += image;
    residual->other_bytes += entry->anonymous_bytes - image;
}

static void count_rest(struct walk *walk, const struct smaps_entry *entry)
{
    struct residual *const residual = &walk->view->residual;
    const size_t shmem =
        is_shared_memory(entry) ? entry->rss_bytes - entry->anonymous_bytes : 0;
    residual->shmem_bytes += shmem;
    if (entry->anonymous_bytes == 0) return;
    if (entry->permissions[2] == 'x' && !entry->has_inode)
        residual->jit_bytes += entry->anonymous_bytes;
    else if (entry->has_inode)
        count_file(walk, entry);
    else if (starts_with(entry->name, "[stack"))
        residual->stack_bytes += entry->anonymous_bytes;
    else if (starts_with(entry->name, "[heap]"))
        residual->heap_bytes += entry->anonymous_bytes;
    else
        count_unnamed(walk, entry);
}

static void totals_add(struct kernel_totals *totals, const struct smaps_entry *entry)
{
    totals->rss_bytes += entry->rss_bytes;
    totals->pss_bytes += entry->pss_bytes;
    totals->swap_bytes += entry->swap_bytes;
    totals->private_bytes += entry->anonymous_bytes;
    if (is_shared_memory(entry))
        totals->private_bytes += entry->rss_bytes - entry->anonymous_bytes;
    totals->mapped_resident_bytes =
        totals->rss_bytes - smaller(totals->rss_bytes, totals->private_bytes);
}

static void take_entry(struct walk *walk, const struct smaps_entry *entry)
{
    settle_arena(walk, entry);
    totals_add(&walk->view->totals, entry);
    if (!take_region(walk, entry)) count_rest(walk, entry);
}

static size_t residual_sum(const struct residual *residual)
{
    return residual->image_bytes + residual->heap_bytes + residual->stack_bytes +
           residual->jit_bytes + residual->shmem_bytes + residual->other_bytes;
}

static enum dr_code read_failed(const char *path, int errno_value, struct dr_error *err)
{
    return error_set_errno(err, DR_IO, errno_value, "cannot read %s", path);
}

static enum dr_code walk_smaps(struct kernel_view *view, const struct ledger *ledger,
                               const struct process_marks *marks, const char *path,
                               struct dr_error *err)
{
    struct smaps smaps;
    if (!smaps_open(&smaps, path)) return read_failed(path, errno, err);
    *view = (struct kernel_view){0};
    struct walk walk = {.view = view, .ledger = ledger, .marks = marks};
    bool is_whole = true;
    for (struct smaps_entry entry; is_whole && smaps_next(&smaps, &entry);) {
        is_whole = entry.has_anonymous;
        take_entry(&walk, &entry);
    }
    const int failed = smaps_close(&smaps);
    if (failed) return read_failed(path, failed, err);
    /* It was empty, or without what tells private from mapped. */
    if (walk.walked_end == 0 || !is_whole) return read_failed(path, EBADMSG, err);
    settle_arena(&walk, NULL);
    finish_current(&walk);
    report_missing(&walk, walk.walked_end, UINTPTR_MAX);
    view->residual.total_bytes = residual_sum(&view->residual);
    view->regions_known = true;
    view->regions_agree = view->disagreeing_count == 0;
    return DR_OK;
}

/* A process that runs has resident pages: none is a figure that is not told. */
static enum dr_code read_rollup(struct smaps_entry *rollup, struct dr_error *err)
{
    static const char path[] = "/proc/self/smaps_rollup";
    struct smaps smaps;
    if (!smaps_open(&smaps, path)) return read_failed(path, errno, err);
    const bool there = smaps_next(&smaps, rollup) && rollup->rss_bytes > 0;
    const int failed = smaps_close(&smaps);
    if (failed || !there) return read_failed(path, failed ? failed : EBADMSG, err);
    if (!rollup->has_pss_anonymous)
        rollup->pss_anonymous_bytes = rollup->anonymous_bytes;
    return DR_OK;
}

static void totals_from(struct kernel_totals *totals, const struct smaps_entry *rollup)
{
    const size_t resident_private = rollup->anonymous_bytes + rollup->pss_shmem_bytes;
    *totals = (struct kernel_totals){
        .private_bytes = rollup->pss_anonymous_bytes + rollup->pss_shmem_bytes,
        .mapped_resident_bytes =
            rollup->rss_bytes - smaller(rollup->rss_bytes, resident_private),
        .rss_bytes = rollup->rss_bytes,
        .pss_bytes = rollup->pss_bytes,
        .swap_bytes = rollup->swap_bytes,
    };
}

/* The same by addition, where there is no rollup. */
static enum dr_code sum_totals(struct kernel_totals *totals, struct dr_error *err)
{
    struct smaps smaps;
    bool is_whole = true;
    if (!smaps_open(&smaps, smaps_path)) return read_failed(smaps_path, errno, err);
    *totals = (struct kernel_totals){0};
    for (struct smaps_entry entry; is_whole && smaps_next(&smaps, &entry);) {
        is_whole = entry.has_anonymous;
        totals_add(totals, &entry);
    }
    const int failed = smaps_close(&smaps);
    if (failed) return read_failed(smaps_path, failed, err);
    if (totals->rss_bytes == 0 || !is_whole)
        return read_failed(smaps_path, EBADMSG, err);
    return DR_OK;
}

static const struct kernel_totals unknown_totals = {
    .private_bytes = KERNEL_UNKNOWN,
    .mapped_resident_bytes = KERNEL_UNKNOWN,
    .rss_bytes = KERNEL_UNKNOWN,
    .pss_bytes = KERNEL_UNKNOWN,
    .swap_bytes = KERNEL_UNKNOWN,
};
static const struct residual unknown_residual = {
    .image_bytes = KERNEL_UNKNOWN,
    .heap_bytes = KERNEL_UNKNOWN,
    .heap_used_bytes = KERNEL_UNKNOWN,
    .heap_retained_bytes = KERNEL_UNKNOWN,
    .stack_bytes = KERNEL_UNKNOWN,
    .jit_bytes = KERNEL_UNKNOWN,
    .shmem_bytes = KERNEL_UNKNOWN,
    .other_bytes = KERNEL_UNKNOWN,
    .total_bytes = KERNEL_UNKNOWN,
};

enum dr_code kernel_totals_read(struct kernel_totals *totals, struct dr_error *err)
{
    struct smaps_entry rollup;
    struct kernel_totals sum;
    enum dr_code code = read_rollup(&rollup, NULL);
    if (code == DR_OK) {
        totals_from(totals, &rollup);
    } else {
        code = sum_totals(&sum, err);
        *totals = code == DR_OK ? sum : unknown_totals;
    }
    return code;
}

size_t kernel_private_read(void)
{
    size_t bytes;
    struct kernel_totals totals;
    if (private_pages_count(&bytes)) return bytes;
    return kernel_totals_read(&totals, NULL) == DR_OK ? totals.private_bytes
                                                      : KERNEL_UNKNOWN;
}

/* "size resident shared ...", in pages. */
static size_t read_statm(int column)
{
    struct line_reader reader;
    if (!line_reader_open(&reader, "/proc/self/statm")) return KERNEL_UNKNOWN;
    const char *at = line_reader_next(&reader);
    for (; at && column > 0; --column)
        at = strchr(at + 1, ' ');
    const unsigned long long pages = at ? strtoull(at, NULL, 10) : 0;
    size_t bytes;
    const bool fits =
        pages <= SIZE_MAX && size_mul((size_t)pages, region_page_bytes(), &bytes);
    const int failed = line_reader_close(&reader);
    return failed || !fits || pages == 0 ? KERNEL_UNKNOWN : bytes;
}

size_t kernel_mapped_read(void)
{
    return read_statm(0);
}

size_t kernel_resident_read(void)
{
    return read_statm(1);
}

static void read_heap(struct residual *residual)
{
    const struct mallinfo2 heap = mallinfo2();
    residual->heap_used_bytes = heap.uordblks + heap.hblkhd;
    if (residual->heap_bytes > residual->heap_used_bytes)
        residual->heap_retained_bytes =
            residual->heap_bytes - residual->heap_used_bytes;
}

/* smaps does not say of a file that it lies on a tmpfs, nor of a page who else has it; the rollup
 * knows both. Pages may also have come between the two readings. */
static void settle_against(struct kernel_view *view, const struct smaps_entry *rollup,
                           const struct ledger *ledger)
{
    struct residual *const residual = &view->residual;
    if (rollup->has_pss_anonymous) residual->shmem_bytes = rollup->pss_shmem_bytes;
    residual->total_bytes = residual_sum(residual);
    const size_t accounted = ledger->private_bytes + residual->total_bytes;
    if (view->totals.private_bytes > accounted) {
        residual->other_bytes += view->totals.private_bytes - accounted;
        residual->total_bytes += view->totals.private_bytes - accounted;
    }
}

void kernel_view_read(struct kernel_view *view, const struct ledger *ledger)
{
    struct process_marks marks;
    struct smaps_entry rollup;
    process_marks_open(&marks);
    const enum dr_code walked = walk_smaps(view, ledger, &marks, smaps_path, NULL);
    process_marks_close(&marks);
    if (walked != DR_OK || view->totals.rss_bytes == 0)
        *view = (struct kernel_view){.totals = unknown_totals,
                                     .residual = unknown_residual};
    const bool is_rolled_up = read_rollup(&rollup, NULL) == DR_OK;
    if (is_rolled_up) totals_from(&view->totals, &rollup);
    if (!view->regions_known) return;
    if (is_rolled_up) settle_against(view, &rollup, ledger);
    read_heap(&view->residual);
}

enum dr_code kernel_view_parse(struct kernel_view *view, const struct ledger *ledger,
                               const char *path, struct dr_error *err)
{
    const struct process_marks none = {.memory_descriptor = -1};
    return walk_smaps(view, ledger, &none, path, err);
}
