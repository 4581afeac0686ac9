#include "mem/private_pages.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mem/smaps.h"

#define ALONE   ((uint64_t)1 << 56) /* no other process maps it */
#define OF_FILE ((uint64_t)1 << 61) /* or of shared memory */
#define SWAPPED ((uint64_t)1 << 62)
#define PRESENT ((uint64_t)1 << 63)

/* Of addresses: a page table of 32 MB. Sanitizers reserve terabytes. */
#define MOST_BYTES ((size_t)16 << 30)

struct count {
    int pagemap;
    size_t page_bytes;
    size_t looked_through; /* bytes of addresses */
    size_t private_pages;
};

/* Pages of files that lie in memory are private bytes (kernel_view.h). A file that is not found by
 * its name, since it was deleted or the name was cut, may be one of them. */
static bool may_lie_in_memory(const struct smaps_entry *mapping)
{
    struct statfs system;
    return !mapping->on_device &&
           (statfs(mapping->name, &system) != 0 || system.f_type == TMPFS_MAGIC ||
            system.f_type == RAMFS_MAGIC || system.f_type == HUGETLBFS_MAGIC);
}

/* Whether the page was told apart. */
static bool add_page(struct count *count, uint64_t page)
{
    if (page & SWAPPED) return false;
    if (!(page & PRESENT) || page & OF_FILE) return true;
    ++count->private_pages;
    return page & ALONE;
}

static bool add_mapping(struct count *count, const struct smaps_entry *mapping)
{
    uint64_t pages[1024];
    const size_t bytes = mapping->end - mapping->start;
    if (bytes > MOST_BYTES - count->looked_through) return false;
    count->looked_through += bytes;
    size_t first = mapping->start / count->page_bytes;
    for (size_t left = bytes / count->page_bytes; left > 0;) {
        const size_t part = left < 1024 ? left : 1024;
        const size_t part_bytes = part * sizeof *pages;
        if (pread(count->pagemap, pages, part_bytes, (off_t)(first * sizeof *pages)) !=
            (ssize_t)part_bytes)
            return false;
        for (size_t i = 0; i < part; ++i)
            if (!add_page(count, pages[i])) return false;
        first += part;
        left -= part;
    }
    return true;
}

static bool add_all(struct count *count)
{
    struct smaps maps;
    bool told = true;
    if (!smaps_open(&maps, "/proc/self/maps")) return false;
    for (struct smaps_entry mapping; told && smaps_next(&maps, &mapping);) {
        if (mapping.permissions[3] == 's')
            told = !may_lie_in_memory(&mapping);
        else if (strcmp(mapping.name, "[vsyscall]") != 0) /* the kernel's */
            told = add_mapping(count, &mapping);
    }
    return smaps_close(&maps) == 0 && told;
}

bool private_pages_count(size_t *bytes)
{
    struct count count = {.page_bytes = (size_t)sysconf(_SC_PAGESIZE)};
    count.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    /* A process without a page of its own is a page table that is not shown. */
    const bool told = count.pagemap >= 0 && add_all(&count) && count.private_pages > 0;
    if (count.pagemap >= 0) (void)close(count.pagemap);
    *bytes = told ? count.private_pages * count.page_bytes : 0;
    return told;
}
