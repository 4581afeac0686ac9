/* process_marks — what this process knows about its own addresses.
 *
 * smaps has no name for most anonymous memory. Three sources tell what it is for:
 *
 *   threads   glibc puts a thread's descriptor at the top of its stack's mapping, and the
 *             kernel tells where its list of robust locks is, which is in the descriptor.
 *             The first thread's descriptor is in the loader's memory instead.
 *   images    the loader lists the segments of the program and its libraries with their
 *             lengths in memory: what lies behind the file's part is zeroed data (bss).
 *             The names in that list lie in memory that the loader took for itself.
 *   chunks    malloc serves large requests with mappings of their own, each of which begins
 *             with two words: padding, and the length with bit 1 set. Neighbours are merged
 *             by the kernel, so one mapping may hold a chain of such chunks.
 *
 * Nothing is guessed from sizes, so memory that was mapped without the ledger stays
 * unexplained. Allocates nothing. The marks of a source that fails are omitted.
 *
 * Source: get_robust_list(2), dl_iterate_phdr(3); glibc malloc/malloc.c, "IS_MMAPPED".
 */
#ifndef MEM_PROCESS_MARKS_H
#define MEM_PROCESS_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROCESS_STACKS_MOST = 256, /* more are left out: their stacks become unexplained */
    PROCESS_SEGMENTS_MOST = 256,
    PROCESS_LOADER_MOST = 128,
};

struct process_marks {
    struct {
        uintptr_t start, end; /* whole pages, writable */
    } segments[PROCESS_SEGMENTS_MOST];
    uintptr_t stacks[PROCESS_STACKS_MOST]; /* one address in each */
    uintptr_t loader[PROCESS_LOADER_MOST]; /* addresses in the loader's own memory */
    size_t segment_count, stack_count, loader_count;
    int memory_descriptor; /* of /proc/self/mem, or -1 */
};

/* open and close: the descriptor is what is held between them. A zeroed struct with
 * memory_descriptor -1 is one without marks. */
void process_marks_open(struct process_marks *marks);
void process_marks_close(struct process_marks *marks);

bool process_marks_stack(const struct process_marks *marks, uintptr_t start,
                         uintptr_t end);
bool process_marks_loader(const struct process_marks *marks, uintptr_t start,
                          uintptr_t end);

/* Bytes of start..end that are in segments of the program and its libraries. */
size_t process_marks_image_bytes(const struct process_marks *marks, uintptr_t start,
                                 uintptr_t end);

/* Bytes of start..end, from start, that are a chain of malloc's own mappings. */
size_t process_marks_chunk_bytes(const struct process_marks *marks, uintptr_t start,
                                 uintptr_t end);

#endif
