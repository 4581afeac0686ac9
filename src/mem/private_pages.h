/* private_pages — this process's private bytes, counted without visiting its mapped files.
 *
 *     size_t bytes;
 *     if (!private_pages_count(&bytes)) ...  the rollup has to tell
 *
 * smaps_rollup visits every mapped page, including those of files: 25 ms per call with the weights of
 * an SD1.5 model in packs. No page of a shared file mapping is private; so this reads the page table
 * (pagemap) of all other mappings, which are small. A page counts if it is present, is not a file
 * page, and is mapped by this process only.
 *
 * The count is exact, or the function fails: if a page is shared with a child, is in swap or being
 * moved there, if shared memory is mapped, or if too much address space is reserved to be searched.
 *
 * Allocates nothing. Threads: as kernel_view.h.
 *
 * Source: Documentation/admin-guide/mm/pagemap.rst (bits 56, 61, 62, 63).
 */
#ifndef MEM_PRIVATE_PAGES_H
#define MEM_PRIVATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* False: it cannot be counted this way; *bytes is 0 then. Otherwise what smaps_rollup
 * calls Pss_Anon + Pss_Shmem. */
bool private_pages_count(size_t *bytes);

#endif
