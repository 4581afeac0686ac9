/* cache_drop — dropping released files from the kernel's page cache (mem/page_cache.h).
 *
 * Each call of the engine has one cache_drop. It begins with the receipt, is given each file that
 * the engine releases, and its result is described at the receipt's end. A file that the engine still
 * uses keeps its pages, so that the next read does not come from the disk. A dropped file must be
 * read from the disk when it is used again: so nothing is dropped unless the caller asked for it.
 *
 * Threads: of the call that is running.
 */
#ifndef PIPELINE_CACHE_DROP_H
#define PIPELINE_CACHE_DROP_H

#include "mem/page_cache.h"
#include "pipeline/pipeline.h"

struct cache_drop {
    bool is_wanted;
    struct page_cache_count count;
    int32_t file_count; /* examined; each shard counts as a file */
    int32_t used_count; /* of those, still in use: their pages were kept */
    bool is_unknown;    /* for some file the kernel did not report what it dropped */
    char problem[160];  /* why, for the first of those */
};

/* Is the file in use? It is if the model or its VAE names it, or if the weights of a component in memory
 * were read from it. */
enum cache_keep {
    CACHE_KEEP_NAMED,
    CACHE_KEEP_RESIDENT
};

/* The engine released the file: drop its pages, unless `after`, the pipeline as it is now (NULL: none),
 * still uses it. Does nothing if the caller did not ask for dropping. */
void cache_drop_file(struct cache_drop *drop, const struct tensor_file *file,
                     const struct pipeline *after, enum cache_keep keep);

/* DR_UNKNOWN_BYTES if the kernel did not report it. */
uint64_t cache_drop_bytes(const struct cache_drop *drop);

/* "" or a clause for the receipt: "; page cache: 1.9 GiB of 1.9 GiB dropped". */
void cache_drop_describe(const struct cache_drop *drop, char *text, size_t text_bytes);

#endif
