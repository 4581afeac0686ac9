/* private_pages — this process's private bytes, told without a walk over its mapped files.
 *
 *     size_t bytes;
 *     if (!private_pages_count(&bytes)) ...  the rollup has to tell
 *
 * smaps_rollup visits every page that is mapped, those of files too: 25 ms with the weights of an
 * SD1.5 model in packs, at each look. The pages of a file that is mapped shared are the file's, and
 * none of them is private; so this reads the page table (pagemap) of all other mappings, which are
 * small then. A page counts when it is present, is no file's, and is mapped by this process alone.
 *
 * It counts to the page or not at all: where a page is shared with a child, is in swap or on its way,
 * where shared memory is mapped, or where too much is reserved to be looked through, it says so.
 *
 * Allocates nothing. Threads: as kernel_view.h.
 *
 * Source: Documentation/admin-guide/mm/pagemap.rst (bits 56, 61, 62, 63).
 */
#ifndef MEM_PRIVATE_PAGES_H
#define MEM_PRIVATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* False: it cannot be told this way; *bytes is 0 then. Otherwise what smaps_rollup calls
 * Pss_Anon + Pss_Shmem. */
bool private_pages_count(size_t *bytes);

#endif
