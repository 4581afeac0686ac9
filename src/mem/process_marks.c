#define _GNU_SOURCE /* dl_iterate_phdr, syscall and SYS_getdents64 */

#include "mem/process_marks.h"

#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "mem/region.h"

static void add_thread(struct process_marks *marks, long thread)
{
    void *list = NULL;
    size_t length = 0;
    if (syscall(SYS_get_robust_list, thread, &list, &length) != 0 || !list) return;
    if (thread == (long)getpid()) {
        if (marks->loader_count < PROCESS_LOADER_MOST)
            marks->loader[marks->loader_count++] = (uintptr_t)list;
    } else if (marks->stack_count < PROCESS_STACKS_MOST) {
        marks->stacks[marks->stack_count++] = (uintptr_t)list;
    }
}

/* As the kernel writes a folder's entries. */
struct folder_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[]; /* terminated */
};

static void add_folder_entries(struct process_marks *marks, const char *entries,
                               size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        unsigned short length;
        memcpy(&length, entries + at + offsetof(struct folder_entry, length),
               sizeof length);
        const char *name = entries + at + offsetof(struct folder_entry, name);
        long thread = 0;
        for (; *name >= '0' && *name <= '9'; ++name)
            thread = 10 * thread + (*name - '0');
        if (thread > 0 && !*name) add_thread(marks, thread);
        at += length;
    }
}

/* getdents64 itself: opendir would allocate 32 KiB in the heap that is being measured. */
static void add_threads(struct process_marks *marks)
{
    const int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    char entries[2048];
    long got;
    while ((got = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0)
        add_folder_entries(marks, entries, (size_t)got);
    (void)close(folder);
}

static int add_image(struct dl_phdr_info *info, size_t bytes, void *cookie)
{
    (void)bytes;
    struct process_marks *const marks = cookie;
    const uintptr_t page = region_page_bytes();
    for (size_t i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *const part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_W)) continue;
        if (marks->segment_count == PROCESS_SEGMENTS_MOST) return 1;
        const uintptr_t start = info->dlpi_addr + part->p_vaddr;
        const size_t slot = marks->segment_count++;
        marks->segments[slot].start = start & ~(page - 1);
        marks->segments[slot].end = (start + part->p_memsz + page - 1) & ~(page - 1);
    }
    if (info->dlpi_name && *info->dlpi_name &&
        marks->loader_count < PROCESS_LOADER_MOST)
        marks->loader[marks->loader_count++] = (uintptr_t)info->dlpi_name;
    return 0;
}

void process_marks_open(struct process_marks *marks)
{
    marks->segment_count = 0;
    marks->stack_count = 0;
    marks->loader_count = 0;
    add_threads(marks);
    (void)dl_iterate_phdr(add_image, marks);
    marks->memory_descriptor = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
}

void process_marks_close(struct process_marks *marks)
{
    if (marks->memory_descriptor >= 0) (void)close(marks->memory_descriptor);
    marks->memory_descriptor = -1;
}

static bool any_within(const uintptr_t *addresses, size_t count, uintptr_t start,
                       uintptr_t end)
{
    for (size_t i = 0; i < count; ++i)
        if (addresses[i] >= start && addresses[i] < end) return true;
    return false;
}

bool process_marks_stack(const struct process_marks *marks, uintptr_t start,
                         uintptr_t end)
{
    return any_within(marks->stacks, marks->stack_count, start, end);
}

bool process_marks_loader(const struct process_marks *marks, uintptr_t start,
                          uintptr_t end)
{
    return any_within(marks->loader, marks->loader_count, start, end);
}

size_t process_marks_image_bytes(const struct process_marks *marks, uintptr_t start,
                                 uintptr_t end)
{
    size_t bytes = 0;
    for (size_t i = 0; i < marks->segment_count; ++i) {
        const uintptr_t from =
            marks->segments[i].start > start ? marks->segments[i].start : start;
        const uintptr_t to =
            marks->segments[i].end < end ? marks->segments[i].end : end;
        if (from < to) bytes += to - from;
    }
    return bytes;
}

/* The memory is read through the kernel: another thread may unmap it meanwhile. */
size_t process_marks_chunk_bytes(const struct process_marks *marks, uintptr_t start,
                                 uintptr_t end)
{
    const size_t page = region_page_bytes();
    const size_t mapped_flag = 2, flags = 7;
    uintptr_t at = start;
    while (marks->memory_descriptor >= 0 && at < end) {
        size_t head[2] = {0};
        if (pread(marks->memory_descriptor, head, sizeof head, (off_t)at) !=
            (ssize_t)sizeof head)
            break;
        const size_t bytes = head[1] & ~flags;
        if ((head[1] & flags) != mapped_flag || bytes == 0 || bytes % page != 0 ||
            bytes > end - at)
            break;
        at += bytes;
    }
    return at - start;
}
