/* One PROT_NONE mapping reserves the addresses, guards included; the inside is then made
 * writable (private) or mapped over with a file. So a failure at any step is undone by one
 * munmap of the whole range, and so is an open region.
 *
 * Regions from 4 MiB on begin at a multiple of the huge page size: an unaligned one would
 * lose up to two huge pages at its ends. The addresses skipped for that are given back at
 * once.
 *
 * MADV_POPULATE_WRITE (Linux 5.14) makes the pages without a loop here, and fails instead
 * of ending the process where memory is short. Older kernels get a write to every page.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS and madvise are not in POSIX */

#include "mem/region.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/size.h"
#include "mem/headroom.h"
#include "mem/lost_page.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define HUGE_FROM_BYTES ((size_t)4 << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* headers older than Linux 5.14 */
#endif

size_t region_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Reserve bytes of addresses without access, a guard page on each side; returns the start
 * of the inside, or NULL with errno. */
static unsigned char *reserve_addresses(size_t bytes)
{
    const size_t page = region_page_bytes();
    const size_t slack = bytes >= HUGE_FROM_BYTES ? HUGE_PAGE_BYTES : 0;
    const size_t range_bytes = page + bytes + page;
    unsigned char *const base =
        mmap(NULL, range_bytes + slack, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
    if (slack == 0) return base + page;

    const size_t to_huge =
        (HUGE_PAGE_BYTES - ((uintptr_t)(base + page) % HUGE_PAGE_BYTES)) %
        HUGE_PAGE_BYTES;
    if (to_huge > 0) (void)munmap(base, to_huge);
    (void)munmap(base + to_huge + range_bytes, slack - to_huge);
    return base + to_huge + page;
}

static void release_addresses(unsigned char *data, size_t bytes)
{
    const size_t page = region_page_bytes();
    const int refused = munmap(data - page, page + bytes + page);
    assert(!refused); /* the range is ours, whole pages: nothing left to refuse */
    (void)refused;
}

/* Make every page of data resident and zero. 0, or an errno value. */
static int populate(unsigned char *data, size_t bytes)
{
    if (fault_strikes(FAULT_REGION)) return ENOMEM;
    if (bytes >= HUGE_FROM_BYTES)
        (void)madvise(data, bytes, MADV_HUGEPAGE); /* a wish */
    if (madvise(data, bytes, MADV_POPULATE_WRITE) == 0) return 0;
    if (errno != EINVAL) return errno;
    const size_t page = region_page_bytes();
    for (size_t offset = 0; offset < bytes; offset += page)
        *(volatile unsigned char *)(data + offset) = 0;
    return 0;
}

/* Fill *region from the options and enter it in the ledger. No bytes exist yet. */
static enum dr_code enter(struct region *region, struct ledger *ledger,
                          enum region_kind kind, const struct region_options *options,
                          struct dr_error *err)
{
    const size_t page = region_page_bytes();
    *region = (struct region){0};
    if (options->bytes == 0)
        return error_set(err, DR_BAD_INPUT,
                         "a region of 0 bytes was requested for "
                         "%s %s",
                         options->component, region_tag_name(options->tag));
    /* Beyond half of the addresses nothing fits, and rounding below cannot overflow. */
    const size_t most = SIZE_MAX / 2;
    const size_t asked = options->bytes < most ? options->bytes : most;
    *region = (struct region){.bytes = size_align(asked, page),
                              .tag = options->tag,
                              .kind = kind,
                              .component = options->component,
                              .watch = LOST_PAGE_NO_WATCH};
    const enum dr_code code = ledger_reserve(ledger, region, err);
    if (code) *region = (struct region){0};
    return code;
}

/* The system refused: the ledger as before, the region closed. */
static enum dr_code give_up(struct region *region, const struct ledger *before,
                            enum dr_code code, int errno_value, struct dr_error *err)
{
    char size[16], limit[HEADROOM_TEXT_BYTES] = "";
    const bool is_memory = errno_value == ENOMEM; /* else it is the file */
    if (is_memory) (void)headroom_describe(limit);
    error_set_errno(err, code, errno_value,
                    "the system refused %zu bytes (%s) for %s %s%s%s%s", region->bytes,
                    size_format(region->bytes, size), region->component,
                    region_tag_name(region->tag), is_memory ? " (" : "", limit,
                    is_memory ? ")" : "");
    ledger_withdraw(region->ledger, region, before);
    *region = (struct region){0};
    return code;
}

static enum dr_code open_private(struct region *region, struct ledger *ledger,
                                 const struct region_options *options,
                                 struct dr_error *err)
{
    const struct ledger before = *ledger;
    const enum dr_code code = enter(region, ledger, REGION_PRIVATE, options, err);
    if (code) return code;

    unsigned char *const data =
        fault_strikes(FAULT_REGION) ? NULL : reserve_addresses(region->bytes);
    if (!data) return give_up(region, &before, DR_NOMEM, ENOMEM, err);
    int refused = mprotect(data, region->bytes, PROT_READ | PROT_WRITE) ? errno : 0;
    if (!refused) refused = populate(data, region->bytes);
    if (refused) {
        release_addresses(data, region->bytes);
        return give_up(region, &before, DR_NOMEM, refused, err);
    }
    region->data = data;
    ledger_announce(ledger, LEDGER_OPENED, region);
    return DR_OK;
}

enum dr_code region_open(struct region *region, struct ledger *ledger,
                         const struct region_options *options, struct dr_error *err)
{
    ledger_lock(ledger);
    const enum dr_code code = open_private(region, ledger, options, err);
    ledger_unlock(ledger);
    return code;
}

/* A page beyond the end of a file cannot be read without a signal: refuse it here. */
static enum dr_code check_file(int descriptor, size_t offset,
                               const struct region_options *options,
                               struct dr_error *err)
{
    struct stat status;
    size_t end;
    if (fstat(descriptor, &status))
        return error_set_errno(err, DR_IO, errno, "cannot map a file for %s %s",
                               options->component, region_tag_name(options->tag));
    if (!size_add(offset, options->bytes, &end) || status.st_size < 0 ||
        end > (size_t)status.st_size)
        return error_set(err, DR_IO,
                         "cannot map %zu bytes from offset %zu for %s %s: the file has "
                         "only %lld bytes",
                         options->bytes, offset, options->component,
                         region_tag_name(options->tag), (long long)status.st_size);
    return DR_OK;
}

static enum dr_code map_file(struct region *region, struct ledger *ledger,
                             int descriptor, size_t offset, int protection,
                             const struct region_options *options, struct dr_error *err)
{
    assert(offset % region_page_bytes() == 0);
    *region = (struct region){0};
    enum dr_code code = check_file(descriptor, offset, options, err);
    if (code) return code;
    const struct ledger before = *ledger;
    code = enter(region, ledger, REGION_MAPPED, options, err);
    if (code) return code;

    unsigned char *const data =
        fault_strikes(FAULT_MAP) ? NULL : reserve_addresses(region->bytes);
    if (!data) return give_up(region, &before, DR_NOMEM, ENOMEM, err);
    const void *const inside =
        fault_strikes(FAULT_MAP)
            ? (errno = ENOMEM, MAP_FAILED)
            : mmap(data, region->bytes, protection, MAP_SHARED | MAP_FIXED, descriptor,
                   (off_t)offset);
    if (inside != MAP_FAILED)
        region->watch = lost_page_watch(data, region->bytes, protection);
    if (region->watch == LOST_PAGE_NO_WATCH) {
        const int refused = inside == MAP_FAILED ? errno : ENOMEM;
        release_addresses(data, region->bytes);
        return give_up(region, &before, refused == ENOMEM ? DR_NOMEM : DR_IO, refused,
                       err);
    }
    region->data = data;
    ledger_announce(ledger, LEDGER_OPENED, region);
    return DR_OK;
}

enum dr_code region_map(struct region *region, struct ledger *ledger, int descriptor,
                        size_t offset, const struct region_options *options,
                        struct dr_error *err)
{
    ledger_lock(ledger);
    const enum dr_code code =
        map_file(region, ledger, descriptor, offset, PROT_READ, options, err);
    ledger_unlock(ledger);
    return code;
}

enum dr_code region_map_writable(struct region *region, struct ledger *ledger,
                                 int descriptor, size_t offset,
                                 const struct region_options *options,
                                 struct dr_error *err)
{
    ledger_lock(ledger);
    const enum dr_code code = map_file(region, ledger, descriptor, offset,
                                       PROT_READ | PROT_WRITE, options, err);
    ledger_unlock(ledger);
    return code;
}

bool region_lost_page(const struct region *region)
{
    return region->data && region->kind == REGION_MAPPED &&
           lost_page_happened(region->watch);
}

size_t region_private_bytes(const struct region *region)
{
    return region->kind == REGION_PRIVATE ? region->bytes : 0;
}

void region_seal(struct region *region)
{
    assert(region->data);
    const int refused = mprotect(region->data, region->bytes, PROT_READ);
    assert(!refused); /* a whole mapping loses a right: nothing to refuse */
    (void)refused;
}

/* fault.h's sabotage of a kept region; true: it was moved to where nobody closes it. */
static bool keep_on_purpose(struct region *region)
{
    static struct region kept;
    if (kept.data || !fault_is_sabotaged(SABOTAGE_KEPT_REGION)) return false;
    region_move(&kept, region);
    return true;
}

static void close_open(struct region *region)
{
    const bool has_weights = region->tag == REGION_WEIGHTS;
    if (has_weights && keep_on_purpose(region)) return;
    if (region->kind == REGION_MAPPED) lost_page_unwatch(region->watch);
    if (!has_weights || !fault_is_sabotaged(SABOTAGE_SKIPPED_UNMAP))
        release_addresses(region->data, region->bytes);
    ledger_refund(region->ledger, region);
    ledger_announce(region->ledger, LEDGER_CLOSED, region);
    *region = (struct region){0};
}

void region_close(struct region *region)
{
    if (!region->data) return;
    const struct ledger *const ledger = region->ledger;
    ledger_lock(ledger);
    close_open(region);
    ledger_unlock(ledger);
}

void region_move(struct region *target, struct region *source)
{
    assert(!target->data && source->data);
    struct ledger *const ledger = source->ledger;
    ledger_lock(ledger);
    ledger_replace(ledger, source, target);
    *source = (struct region){0};
    ledger_unlock(ledger);
}
