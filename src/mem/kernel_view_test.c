/* The ledger against the kernel's own figures, for real regions; the residual told apart; and
 * for each promise a process that breaks it, which must be seen.
 *
 * Under the address sanitizer the allocator is another one, with mappings and a shadow of its
 * own, so what is said of malloc and of `other` is not checked there. Regions are. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise, mallinfo2 */

#include "mem/kernel_view.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "hidden_files.h"
#include "mem/region.h"
#include "mem/smaps.h"

#define MIB ((size_t)1 << 20)

/* SLACK is what two readings of an idle process may differ by: a stack page, a page of the
 * heap; with the sanitizer its shadow and the stacks that it makes for each frame as well. */
#if defined(__SANITIZE_ADDRESS__)
enum {
    SANITIZED = 1
};
#define SLACK ((size_t)512 * 1024)
#else
enum {
    SANITIZED = 0
};
#define SLACK ((size_t)16 * 1024)
#endif

static struct kernel_view view_of(const struct ledger *ledger)
{
    struct kernel_view view = {0};
    kernel_view_read(&view, ledger);
    check(view.regions_known);
    return view;
}

static void open_private(struct region *region, struct ledger *ledger, size_t bytes)
{
    const struct region_options options = {.bytes = bytes,
                                           .tag = REGION_WEIGHTS,
                                           .component = "unet"};
    check_int(region_open(region, ledger, &options, NULL), ==, DR_OK);
}

static void open_mapped(struct region *region, struct ledger *ledger, size_t bytes)
{
    char path[] = "/var/tmp/kernel_view_test_XXXXXX";
    const int file = mkstemp(path);
    if (file < 0 || ftruncate(file, (off_t)bytes)) abort();
    unlink(path);
    const struct region_options options = {.bytes = bytes,
                                           .tag = REGION_WEIGHTS,
                                           .component = "vae"};
    check_int(region_map(region, ledger, file, 0, &options, NULL), ==, DR_OK);
    close(file);
}

static bool addresses_are_free(const unsigned char *data, size_t bytes)
{
    const uintptr_t start = (uintptr_t)data, end = start + bytes;
    struct smaps smaps;
    bool is_free = true;
    if (!smaps_open(&smaps, "/proc/self/smaps")) abort();
    for (struct smaps_entry entry; smaps_next(&smaps, &entry);)
        if (entry.start < end && start < entry.end && strcmp(entry.permissions, "---p"))
            is_free = false;
    return smaps_close(&smaps) == 0 && is_free;
}

/* A region's lines of smaps, added up. */
static struct smaps_entry lines_of(const struct region *region)
{
    const uintptr_t start = (uintptr_t)region->data, end = start + region->bytes;
    struct smaps_entry sum = {0};
    struct smaps smaps;
    if (!smaps_open(&smaps, "/proc/self/smaps")) abort();
    for (struct smaps_entry entry; smaps_next(&smaps, &entry);) {
        if (entry.start >= end || start >= entry.end) continue;
        sum.end += entry.end - entry.start;
        sum.rss_bytes += entry.rss_bytes;
        sum.swap_bytes += entry.swap_bytes;
        sum.anonymous_bytes += entry.anonymous_bytes;
    }
    check_int(smaps_close(&smaps), ==, 0);
    return sum;
}

static void expect_agreement(const struct ledger *ledger)
{
    const struct kernel_view view = view_of(ledger);
    check(view.regions_agree);
    check_int(view.disagreeing_count, ==, 0);
    check_str(view.first_disagreement, "");
    for (const struct region *region = ledger->first; region; region = region->next) {
        const struct smaps_entry lines = lines_of(region);
        check_int(lines.end - lines.start, ==, region->bytes);
        if (region->kind == REGION_PRIVATE)
            check_int(lines.rss_bytes + lines.swap_bytes, ==, region->bytes);
        else
            check_int(lines.anonymous_bytes, ==, 0);
    }
}

static void real_regions_agree(void)
{
    struct ledger ledger = {0};
    struct region regions[7] = {0}, moved = {0};
    static const size_t sizes[] = {1, 3 * 4096, 2 * MIB, 4 * MIB, 9 * MIB + 4096};
    for (size_t i = 0; i < 5; ++i)
        open_private(&regions[i], &ledger, sizes[i]);
    open_mapped(&regions[5], &ledger, 3 * MIB + 77);
    open_mapped(&regions[6], &ledger, 4096);
    expect_agreement(&ledger);

    for (size_t i = 0; i < 5; ++i)
        memset(regions[i].data, 0x5A, regions[i].bytes);
    unsigned sum = 0;
    for (size_t i = 0; i < MIB; i += 4096)
        sum += regions[5].data[i];
    check_int(sum, ==, 0);
    expect_agreement(&ledger);

    region_seal(&regions[2]);
    region_seal(&regions[4]);
    expect_agreement(&ledger);
    region_move(&moved, &regions[4]);
    expect_agreement(&ledger);

    /* The kernel splits a mapping whose rights differ; the region is still covered. */
    check_int(mprotect(regions[3].data + MIB, MIB, PROT_READ), ==, 0);
    expect_agreement(&ledger);

    unsigned char *const addresses[] = {regions[3].data, moved.data, regions[5].data};
    const size_t bytes[] = {regions[3].bytes, moved.bytes, regions[5].bytes};
    region_close(&regions[3]);
    region_close(&moved);
    region_close(&regions[5]);
    expect_agreement(&ledger);
    for (size_t i = 0; i < 3; ++i)
        check(addresses_are_free(addresses[i], bytes[i]));
    for (size_t i = 0; i < 7; ++i)
        region_close(&regions[i]);
    ledger_check(&ledger);
    check_int(ledger.count, ==, 0);
}

/* Private memory comes and goes with the region, in full and at once. */
static void closing_gives_all_back(void)
{
    struct ledger ledger = {0};
    struct kernel_totals before = {0}, with = {0}, after = {0};
    (void)view_of(&ledger); /* the first reading touches what readings touch */
    check_int(kernel_totals_read(&before, NULL), ==, DR_OK);
    for (int round = 0; round < 20; ++round) {
        struct region region;
        open_private(&region, &ledger, 48 * MIB + 4096);
        check_int(kernel_totals_read(&with, NULL), ==, DR_OK);
        check_int(with.private_bytes, >=, before.private_bytes + region.bytes);
        region_close(&region);
    }
    check_int(kernel_totals_read(&after, NULL), ==, DR_OK);
    check_int(after.private_bytes, <=,
              before.private_bytes + (SANITIZED ? MIB : SLACK));
}

static void the_residual_is_the_rest(void)
{
    struct ledger ledger = {0};
    struct region region;
    open_private(&region, &ledger, 6 * MIB);
    unsigned char *volatile small = malloc(5000); /* so that there is a heap */
    memset(small, 1, 5000);
    const struct kernel_view view = view_of(&ledger);
    free(small);
    const struct residual *const rest = &view.residual;
    fprintf(stderr,
            "residual: image %zu, heap %zu, stack %zu, jit %zu, shmem %zu, other %zu\n",
            rest->image_bytes, rest->heap_bytes, rest->stack_bytes, rest->jit_bytes,
            rest->shmem_bytes, rest->other_bytes);
    check_int(rest->total_bytes, ==,
              rest->image_bytes + rest->heap_bytes + rest->stack_bytes +
                  rest->jit_bytes + rest->shmem_bytes + rest->other_bytes);
    check_int(rest->total_bytes + ledger.private_bytes, >=, view.totals.private_bytes);
    check_int(rest->total_bytes + ledger.private_bytes, <=,
              view.totals.private_bytes + SLACK);
    check_int(view.totals.rss_bytes, >=,
              view.totals.private_bytes + view.totals.mapped_resident_bytes);
    check_int(rest->image_bytes, >, 0);
    check_int(rest->stack_bytes, >, 0);
    check_int(rest->shmem_bytes, ==, 0);
    if (!SANITIZED) {
        check_int(rest->heap_bytes, >, 0);
        check_int(rest->other_bytes, <=, SLACK);
        check_int(rest->total_bytes, <=, MIB);
    }
    region_close(&region);
}

/* Memory mapped past the ledger is `other`, to the page, and the regions still agree. */
static void a_leaked_mapping_is_other(void)
{
    struct ledger ledger = {0};
    struct region region;
    open_private(&region, &ledger, MIB);
    const struct kernel_view before = view_of(&ledger);
    const size_t leak = 3 * MIB + 4096;
    unsigned char *const leaked =
        mmap(NULL, leak, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (leaked == MAP_FAILED) abort();
    memset(leaked, 1, leak);
    const struct kernel_view with = view_of(&ledger);
    check(with.regions_agree);
    check_int(with.residual.other_bytes, >=,
              before.residual.other_bytes + leak - SLACK);
    check_int(with.residual.other_bytes, <=,
              before.residual.other_bytes + leak + SLACK);
    check_int(with.residual.total_bytes, >=,
              before.residual.total_bytes + leak - SLACK);
    check_int(munmap(leaked, leak), ==, 0);
    check_int(view_of(&ledger).residual.other_bytes, <=,
              before.residual.other_bytes + SLACK);
    region_close(&region);
}

/* Half of what two processes have is this one's: in the total and in its item. */
static void shared_memory_counts_by_its_share(void)
{
    struct ledger ledger = {0};
    int ready[2], done[2];
    char byte;
    const struct kernel_view before = view_of(&ledger);
    const size_t bytes = 4 * MIB;
    unsigned char *const shared =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe(ready) || pipe(done)) abort();
    memset(shared, 1, bytes);
    const pid_t child = fork();
    if (child == 0) {
        volatile unsigned sum = 0;
        for (size_t i = 0; i < bytes; i += 4096)
            sum += shared[i];
        (void)!write(ready[1], "", 1);
        (void)close(done[1]);
        (void)!read(done[0], &byte, 1);
        _exit(0);
    }
    check_int(read(ready[0], &byte, 1), ==, 1);
    const struct kernel_view with = view_of(&ledger);
    const struct residual *const rest = &with.residual;
    check_int(rest->shmem_bytes, >=, before.residual.shmem_bytes + bytes / 2 - SLACK);
    check_int(rest->shmem_bytes, <=, before.residual.shmem_bytes + bytes / 2 + SLACK);
    check_int(rest->total_bytes, ==,
              rest->image_bytes + rest->heap_bytes + rest->stack_bytes +
                  rest->jit_bytes + rest->shmem_bytes + rest->other_bytes);
    (void)close(done[1]);
    check_int(waitpid(child, NULL, 0), ==, child);
    check_int(view_of(&ledger).residual.shmem_bytes, >=,
              before.residual.shmem_bytes + bytes - SLACK);
    (void)munmap(shared, bytes);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(done[0]);
}

/* So are written pages of a file's private copy: they are nobody's program. */
static void a_leaked_file_copy_is_other(void)
{
    struct ledger ledger = {0};
    const struct kernel_view before = view_of(&ledger);
    char path[] = "/var/tmp/kernel_view_test_XXXXXX";
    const int file = mkstemp(path);
    if (file < 0 || ftruncate(file, (off_t)MIB)) abort();
    unlink(path);
    unsigned char *const copy =
        mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (copy == MAP_FAILED) abort();
    memset(copy, 1, MIB);
    const struct kernel_view with = view_of(&ledger);
    check_int(with.residual.other_bytes, >=, before.residual.other_bytes + MIB - SLACK);
    check_int(with.residual.image_bytes, <=, before.residual.image_bytes + SLACK);
    (void)munmap(copy, MIB);
    close(file);
}

static void lost_pages_disagree(void)
{
    struct ledger ledger = {0};
    struct region whole, hollow;
    open_private(&whole, &ledger, 64 * 4096);
    open_private(&hollow, &ledger, 64 * 4096);
    check_int(madvise(hollow.data + 8192, 8192, MADV_DONTNEED), ==, 0);
    const struct kernel_view view = view_of(&ledger);
    check(!view.regions_agree);
    check_int(view.disagreeing_count, ==, 1);
    check_has(view.first_disagreement, "unet weights");
    check_has(view.first_disagreement, "262144 bytes");
    check_has(view.first_disagreement, "Rss 253952");
    check_int(lines_of(&hollow).rss_bytes, ==, 62 * 4096);
    memset(hollow.data, 1,
           hollow.bytes); /* the pages come back, and agreement with them */
    expect_agreement(&ledger);
    region_close(&whole);
    region_close(&hollow);
}

static void a_hole_and_a_phantom_disagree(void)
{
    struct ledger ledger = {0};
    struct region holed, kept;
    open_private(&kept, &ledger, 4 * 4096);
    open_private(&holed, &ledger, 8 * 4096);
    check_int(munmap(holed.data + 3 * 4096, 4096), ==, 0);
    struct kernel_view view = view_of(&ledger);
    check_int(view.disagreeing_count, ==, 1);
    check_has(view.first_disagreement, "Size 28672");
    check_int(munmap(holed.data, 8 * 4096), ==, 0);
    view = view_of(&ledger);
    check_int(view.disagreeing_count, ==, 1);
    check_has(view.first_disagreement, "no mapping starts there");
    region_close(&holed);
    region_close(&kept);
}

/* A private region in a file's place: private bytes where the ledger says there are none. */
static void a_mapped_region_with_private_pages_disagrees(void)
{
    struct ledger ledger = {0};
    struct region region;
    open_mapped(&region, &ledger, 16 * 4096);
    const void *const over = mmap(region.data, region.bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    check(over == region.data);
    region.data[0] = 1;
    const struct kernel_view view = view_of(&ledger);
    check_int(view.disagreeing_count, ==, 1);
    check_has(view.first_disagreement, "vae weights");
    check_has(view.first_disagreement, "Anonymous 4096");
    region_close(&region);
}

static void executable_memory_is_jit(void)
{
    struct ledger ledger = {0};
    const struct kernel_view before = view_of(&ledger);
    unsigned char *const code =
        mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) abort();
    memset(code, 0xC3, MIB);
    if (mprotect(code, MIB, PROT_READ | PROT_EXEC)) {
        check_skip_case("the system allows no executable anonymous memory");
        (void)munmap(code, MIB);
        return;
    }
    const struct kernel_view with = view_of(&ledger);
    check_int(with.residual.jit_bytes, ==, before.residual.jit_bytes + MIB);
    (void)munmap(code, MIB);
}

static void shared_memory_is_private_too(void)
{
    struct ledger ledger = {0};
    const struct kernel_view before = view_of(&ledger);
    unsigned char *const shared =
        mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) abort();
    memset(shared, 1, MIB);
    const struct kernel_view with = view_of(&ledger);
    check_int(with.residual.shmem_bytes, ==, before.residual.shmem_bytes + MIB);
    check_int(with.totals.private_bytes, >=, before.totals.private_bytes + MIB - SLACK);
    (void)munmap(shared, MIB);
}

/* A thread that has used its stack and an arena of malloc's, and waits. */
struct guest {
    int ready[2], leave[2];
};

static void *use_stack_and_heap(void *argument)
{
    const struct guest *const guest = argument;
    volatile unsigned char used[300 * 1024];
    for (size_t i = 0; i < sizeof used; i += 1024)
        used[i] = (unsigned char)i;
    unsigned char *blocks[20];
    for (size_t i = 0; i < 20; ++i) {
        blocks[i] = malloc(50000);
        if (!blocks[i]) abort();
        memset(blocks[i], 1, 50000);
    }
    char byte = 0;
    if (write(guest->ready[1], &byte, 1) != 1 || read(guest->leave[0], &byte, 1) != 1)
        abort();
    for (size_t i = 0; i < 20; ++i)
        free(blocks[i]);
    return NULL;
}

static void threads_and_malloc_are_explained(void)
{
    struct ledger ledger = {0};
    const struct kernel_view before = view_of(&ledger);
    struct guest guest;
    pthread_t threads[3];
    char byte = 0;
    if (pipe(guest.ready) || pipe(guest.leave)) abort();
    for (int i = 0; i < 3; ++i)
        if (pthread_create(&threads[i], NULL, use_stack_and_heap, &guest) ||
            read(guest.ready[0], &byte, 1) != 1)
            abort();
    unsigned char *const large[] = {malloc(3 * MIB), aligned_alloc(4096, 2 * MIB),
                                    malloc(MIB)};
    static const size_t large_bytes[] = {3 * MIB, 2 * MIB, MIB};
    for (int i = 0; i < 3; ++i)
        memset(large[i], 1, large_bytes[i]);

    const struct kernel_view with = view_of(&ledger);
    check_int(with.residual.stack_bytes, >=,
              before.residual.stack_bytes + 3 * 300 * 1024);
    check_int(with.residual.heap_bytes, >=,
              before.residual.heap_bytes + 6 * MIB + 3 * 20 * 50000);
    check_int(with.residual.other_bytes, <=, before.residual.other_bytes + SLACK);

    for (int i = 0; i < 3; ++i)
        free(large[i]);
    for (int i = 0; i < 3; ++i)
        if (write(guest.leave[1], &byte, 1) != 1) abort();
    for (int i = 0; i < 3; ++i)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; ++i) {
        close(guest.ready[i]);
        close(guest.leave[i]);
    }
}

/* What malloc keeps of what was given back: pinned from above by the last block, so that it
 * cannot shrink by itself; trimming lets it go. */
static void a_kept_heap_is_told_from_a_used_one(void)
{
    enum {
        COUNT = 400
    };
    struct ledger ledger = {0};
    unsigned char *blocks[COUNT];
    (void)malloc_trim(0);
    const struct residual before = view_of(&ledger).residual;
    for (size_t i = 0; i < COUNT; ++i) {
        blocks[i] = malloc(20000);
        if (!blocks[i]) abort();
        memset(blocks[i], 1, 20000);
    }
    const struct residual used = view_of(&ledger).residual;
    for (size_t i = 0; i + 1 < COUNT; ++i)
        free(blocks[i]);
    const struct residual kept = view_of(&ledger).residual;
    (void)malloc_trim(0);
    const struct residual trimmed = view_of(&ledger).residual;
    free(blocks[COUNT - 1]);
    check_int(used.heap_used_bytes, >=, before.heap_used_bytes + COUNT * 20000);
    check_int(used.heap_retained_bytes, <=, before.heap_retained_bytes + SLACK);
    check_int(kept.heap_used_bytes, <=, before.heap_used_bytes + 20000 + SLACK);
    check_int(kept.heap_retained_bytes, >=,
              before.heap_retained_bytes + COUNT * 20000 - SLACK);
    check_int(trimmed.heap_retained_bytes, <=, before.heap_retained_bytes + SLACK);
}

static void reading_allocates_nothing(void)
{
    struct ledger ledger = {0};
    (void)view_of(&ledger);
    const struct mallinfo2 before = mallinfo2();
    struct memory_limit limit;
    (void)view_of(&ledger);
    check_int(memory_limit_read(&limit, NULL), ==, DR_OK);
    const struct mallinfo2 after = mallinfo2();
    check_int(after.uordblks, ==, before.uordblks);
    check_int(after.arena, ==, before.arena);
    check_int(after.hblks, ==, before.hblks);
}

/* ---- kernels that do not tell ---- */

static struct kernel_totals totals_of(void)
{
    struct kernel_totals totals = {0};
    check_int(kernel_totals_read(&totals, NULL), ==, DR_OK);
    return totals;
}

static void check_near(size_t bytes, size_t expected)
{
    check_int(bytes, <=, expected + SLACK);
    check_int(bytes + SLACK, >=, expected);
}

static void without_rollup_smaps_is_added_up(void)
{
    struct ledger ledger = {0};
    struct region region;
    open_private(&region, &ledger, 3 * MIB);
    const struct kernel_view told = view_of(&ledger);
    const struct kernel_totals totals = totals_of();
    for (int i = 0; i < 2; ++i) {
        hidden_files = "/proc/self/smaps_rollup:/proc/self/pagemap";
        hidden_errno = i == 0 ? ENOENT : EACCES;
        const struct kernel_view view = view_of(&ledger);
        check(view.regions_agree);
        check_near(view.totals.private_bytes, told.totals.private_bytes);
        check_near(view.totals.rss_bytes, told.totals.rss_bytes);
        check_near(view.residual.total_bytes, told.residual.total_bytes);
        if (!SANITIZED) check_int(view.residual.heap_used_bytes, >, 0);
        check_near(kernel_private_read(), totals.private_bytes);
        check_near(totals_of().private_bytes, totals.private_bytes);
        check_near(totals_of().mapped_resident_bytes, totals.mapped_resident_bytes);
        hidden_files = "";
    }
    region_close(&region);
}

static void check_unknown(const struct residual *residual)
{
    check_int(residual->total_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->image_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->heap_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->heap_used_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->heap_retained_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->stack_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->jit_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->shmem_bytes, ==, KERNEL_UNKNOWN);
    check_int(residual->other_bytes, ==, KERNEL_UNKNOWN);
}

/* The rollup may be there alone: then the totals are known, and no more. */
static void without_smaps_regions_are_unknown(void)
{
    struct ledger ledger = {0};
    struct region region;
    struct kernel_view view;
    open_private(&region, &ledger, 3 * MIB);
    const struct kernel_totals totals = totals_of();
    hidden_files = "/proc/self/smaps";
    kernel_view_read(&view, &ledger);
    check(!view.regions_known);
    check_near(view.totals.private_bytes, totals.private_bytes);
    check_unknown(&view.residual);

    hidden_files = "/proc/self/smaps:/proc/self/smaps_rollup";
    kernel_view_read(&view, &ledger);
    check(!view.regions_known);
    check_int(view.totals.private_bytes, ==, KERNEL_UNKNOWN);
    check_int(view.totals.mapped_resident_bytes, ==, KERNEL_UNKNOWN);
    check_int(view.totals.rss_bytes, ==, KERNEL_UNKNOWN);
    check_int(view.totals.pss_bytes, ==, KERNEL_UNKNOWN);
    check_int(view.totals.swap_bytes, ==, KERNEL_UNKNOWN);
    check_unknown(&view.residual);

    struct kernel_totals none = {0};
    struct dr_error err = {0};
    check_int(kernel_totals_read(&none, &err), ==, DR_IO);
    check_int(none.private_bytes, ==, KERNEL_UNKNOWN);
    check_has(err.message, "/proc/self/smaps");
    hidden_files = "/proc/self/smaps:/proc/self/smaps_rollup:/proc/self/pagemap";
    check_int(kernel_private_read(), ==, KERNEL_UNKNOWN);
    hidden_files = "";
    region_close(&region);
}

/* What is resident bounds what is private. */
static void statm_is_a_bound(void)
{
    check_int(kernel_resident_read(), >=, totals_of().private_bytes);
    hidden_files = "/proc/self/statm";
    check_int(kernel_resident_read(), ==, KERNEL_UNKNOWN);
    hidden_files = "";
}

/* From here on: texts in smaps' form, and regions at addresses of the text's choice. */

static char text_path[] = "/tmp/kernel_view_text_XXXXXX";

static enum dr_code parse(struct kernel_view *view, const struct ledger *ledger,
                          const char *text, struct dr_error *err)
{
    FILE *const file = fopen(text_path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file)) abort();
    return kernel_view_parse(view, ledger, text_path, err);
}

static struct region fake(uintptr_t start, size_t bytes, enum region_kind kind)
{
    return (struct region){.data = (unsigned char *)start,
                           .bytes = bytes,
                           .kind = kind,
                           .component = "vae"};
}

static void link_fake(struct ledger *ledger, struct region *region)
{
    check_int(ledger_reserve(ledger, region, NULL), ==, DR_OK);
}

#define FIGURES(rss, anonymous, swap)                                                \
    "Rss:   " rss " kB\nPss:   " rss " kB\nPss_Dirty:  0 kB\nAnonymous:  " anonymous \
    " kB\nSwap:  " swap " kB\nVmFlags: rd wr\n"

static void text_is_told_apart(void)
{
    static const char
        text
            [] =
                "1000-3000 rw-p 00002000 fe:00 77   /usr/bin/dark room\n" FIGURES("8", "4", "0") "5000-9000 rw-p 00000000 00:00 0    [heap]\n" FIGURES(
                    "16", "16", "0") "10000-18000 r-xp 00000000 00:00 0\n" FIGURES("32",
                                                                                   "32", "0") "20000-24000 rw-s 00000000 00:01 9  /memfd:x (deleted)\n" FIGURES("12",
                                                                                                                                                                "0",
                                                                                                                                                                "0") "30000-34000 rw-p 00000000 00:00 0 \n" FIGURES("16",
                                                                                                                                                                                                                    "8",
                                                                                                                                                                                                                    "0") "7f0004000000-7f0004021000 rw-p 00000000 00:00 0 \n" FIGURES("100", "100", "0") "7f0004021000-7f0008000000 ---p 00000000 00:00 0 \n" FIGURES("0", "0", "0") "7f000c000000-7f000c021000 rw-p 00000000 00:00 0 \n" FIGURES("60", "60", "0") "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0  [stack]\n" FIGURES("20", "20", "4");
    struct ledger ledger = {0};
    struct kernel_view view;
    check_int(parse(&view, &ledger, text, NULL), ==, DR_OK);
    check_int(view.residual.image_bytes, ==, 4096);
    check_int(view.residual.heap_bytes, ==, 116 * 1024); /* [heap] and one arena */
    check_int(view.residual.jit_bytes, ==, 32 * 1024);
    check_int(view.residual.shmem_bytes, ==, 12 * 1024);
    check_int(view.residual.stack_bytes, ==, 20 * 1024);
    check_int(view.residual.other_bytes, ==,
              68 * 1024); /* no rest follows the second */
    check_int(view.residual.total_bytes, ==, view.totals.private_bytes);
    check_int(view.totals.rss_bytes, ==, 264 * 1024);
    check_int(view.totals.mapped_resident_bytes, ==, 12 * 1024);
    check_int(view.totals.swap_bytes, ==, 4 * 1024);
    check(view.regions_agree);
}

static void text_regions_are_held_against_their_lines(void)
{
    static const char text[] = "1000-3000 rw-p 00000000 00:00 0\n" FIGURES(
        "8", "8",
        "0") "5000-6000 r--p 00000000 00:00 0\n" FIGURES("4", "4",
                                                         "0") /* one region ... */
        "6000-8000 rw-p 00000000 00:00 0\n" FIGURES("4", "4",
                                                    "4") /* ... in two lines */
        "a000-c000 r--s 00000000 fe:00 5   /cache/vae.pack\n" FIGURES("4", "0", "0");
    struct ledger ledger = {0};
    struct region regions[] = {
        fake(0xa000, 0x2000, REGION_MAPPED),
        fake(0x5000, 0x3000, REGION_PRIVATE), /* one page is in swap */
        fake(0x1000, 0x2000, REGION_PRIVATE),
    };
    for (size_t i = 0; i < 3; ++i)
        link_fake(&ledger, &regions[i]);
    struct kernel_view view;
    check_int(parse(&view, &ledger, text, NULL), ==, DR_OK);
    check(view.regions_agree);
    check_int(view.residual.total_bytes, ==, 0);
}

/* Every way for one region to be wrong beside a right one. */
static void text_regions_that_are_wrong_are_named(void)
{
    static const char text[] =
        "1000-5000 rw-p 00000000 00:00 0\n" FIGURES("16", "16", "0") "8000-a000 rw-p 00000000 00:00 0\n" FIGURES(
            "8", "8",
            "0") "b000-c000 r--s 00000000 fe:00 5   /cache/vae.pack\n" FIGURES("4", "0",
                                                                               "0");
    static const struct {
        uintptr_t start;
        size_t bytes;
        enum region_kind kind;
        const char *what;
    } wrong[] = {
        {0x1000, 0x2000, REGION_PRIVATE, "Size 16384"       }, /* reaches beyond: merged */
        {0x1000, 0x6000, REGION_PRIVATE, "Size 16384"       }, /* ends too early */
        {0x3000, 0x2000, REGION_PRIVATE,
         "no mapping starts"                                }, /* merged with one before */
        {0x6000, 0x1000, REGION_PRIVATE, "no mapping starts"},
        {0xf000, 0x1000, REGION_MAPPED,  "no mapping starts"}, /* after the last line */
        {0x1000, 0x4000, REGION_MAPPED,  "Anonymous 16384"  },
        {0xb000, 0x1000, REGION_PRIVATE,
         "Anonymous 0"                                      }, /* file pages are not private */
        {0xb000, 0x2000, REGION_MAPPED,  "Size 4096"        },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        struct ledger ledger = {0};
        struct region right = fake(0x8000, 0x2000, REGION_PRIVATE);
        struct region region = fake(wrong[i].start, wrong[i].bytes, wrong[i].kind);
        link_fake(&ledger, &right);
        link_fake(&ledger, &region);
        struct kernel_view view;
        check_int(parse(&view, &ledger, text, NULL), ==, DR_OK);
        check(!view.regions_agree);
        check_int(view.disagreeing_count, ==, 1);
        check_has(view.first_disagreement, wrong[i].what);
    }
}

static void text_that_is_no_smaps_is_an_error(void)
{
    struct ledger ledger = {0};
    struct kernel_view view;
    struct dr_error err = {0};
    check_int(parse(&view, &ledger, "", &err), ==, DR_IO);
    check_has(err.message, "cannot read /tmp/kernel_view_text_");
    check_int(parse(&view, &ledger, "Rss: 4 kB\n", &err), ==, DR_IO);
    check_int(kernel_view_parse(&view, &ledger, "/no such file", NULL), ==, DR_IO);
    /* Without what tells private from mapped. */
    check_int(parse(&view, &ledger, "1000-2000 rw-p 00000000 00:00 0\nRss:  4 kB\n",
                    NULL),
              ==, DR_IO);
}

int main(void)
{
    const int descriptor = mkstemp(text_path);
    if (descriptor < 0) return check_skip("no temporary file can be made");
    close(descriptor);
    check_run(real_regions_agree);
    check_run(closing_gives_all_back);
    check_run(the_residual_is_the_rest);
    check_run(lost_pages_disagree);
    check_run(a_hole_and_a_phantom_disagree);
    check_run(a_mapped_region_with_private_pages_disagrees);
    check_run(executable_memory_is_jit);
    check_run(shared_memory_is_private_too);
    check_run(a_leaked_file_copy_is_other);
    check_run(shared_memory_counts_by_its_share);
    check_run(a_leaked_mapping_is_other);
    check_run_if(!SANITIZED, threads_and_malloc_are_explained,
                 "the sanitizer has its own malloc");
    check_run_if(!SANITIZED, a_kept_heap_is_told_from_a_used_one,
                 "the sanitizer has its own malloc");
    check_run(reading_allocates_nothing);
    check_run(without_rollup_smaps_is_added_up);
    check_run(without_smaps_regions_are_unknown);
    check_run(statm_is_a_bound);
    check_run(text_is_told_apart);
    check_run(text_regions_are_held_against_their_lines);
    check_run(text_regions_that_are_wrong_are_named);
    check_run(text_that_is_no_smaps_is_an_error);
    unlink(text_path);
    return check_done();
}
