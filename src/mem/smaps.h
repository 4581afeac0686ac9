/* smaps — reads the kernel's list of a process's mappings, one entry at a time.
 *
 *     struct smaps smaps;
 *     if (!smaps_open(&smaps, "/proc/self/smaps")) ...
 *     for (struct smaps_entry entry; smaps_next(&smaps, &entry);) ...
 *     const int failed = smaps_close(&smaps);
 *
 * Reads through a fixed buffer and allocates nothing. Entries come with ascending addresses.
 * smaps_rollup has the same form, with one entry, and may be read with this too; and so may maps,
 * which has no figures: they are 0.
 *
 * Source: Documentation/filesystems/proc.rst, sections 3.1 (maps) and smaps.
 */
#ifndef MEM_SMAPS_H
#define MEM_SMAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/line_reader.h"

struct smaps_entry {
    uintptr_t start;
    uintptr_t end;
    char permissions[5]; /* "rw-p" */
    bool has_inode;
    bool on_device; /* its file lies on a block device */
    char name[96];  /* path or [name], cut where longer; "" for unnamed memory */
    size_t rss_bytes;
    size_t pss_bytes;
    size_t pss_anonymous_bytes; /* in a rollup only, as is the next */
    size_t pss_shmem_bytes;
    bool has_pss_anonymous; /* kernels before 5.4 do not write the two */
    size_t anonymous_bytes;
    bool has_anonymous; /* kernels before 2.6.36 do not write it */
    size_t swap_bytes;
};

struct smaps {
    struct line_reader lines; /* private */
    struct smaps_entry next;  /* its first line has been read */
    bool has_next;
    bool malformed;
};

bool smaps_open(struct smaps *smaps, const char *path); /* false: errno */

/* The next mapping with its figures; false at the end, on a failed read, and on text that is
 * not smaps. */
bool smaps_next(struct smaps *smaps, struct smaps_entry *entry);

/* 0; or an errno value: of the failed read, or EBADMSG for text that is not smaps. */
int smaps_close(struct smaps *smaps);

#endif
