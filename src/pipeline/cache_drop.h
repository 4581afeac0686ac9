/* cache_drop — the page cache of files that the engine lets go of (mem/page_cache.h).
 *
 * One call of the engine is one cache_drop: begun with the receipt, told of each file that is let
 * go, described at the receipt's end. A file that the engine goes on using keeps its pages: the
 * next read of it should not come from the disk. What is dropped costs a read when it is used
 * again, so nothing of this happens unless it was asked for.
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
    int32_t file_count; /* looked at; a shard is a file */
    int32_t used_count; /* of those, still in use: not touched */
    bool is_unknown;    /* of some file the kernel did not tell what was dropped */
    char problem[160];  /* the first of those, in words */
};

/* What "in use" means: named by the model or its VAE; or some component's weights in memory are
 * from it. */
enum cache_keep {
    CACHE_KEEP_NAMED,
    CACHE_KEEP_RESIDENT
};

/* The file is let go: drop its pages, unless `after`, the pipeline as it is now (NULL: none), uses
 * it. Does nothing where it is not wanted. */
void cache_drop_file(struct cache_drop *drop, const struct tensor_file *file,
                     const struct pipeline *after, enum cache_keep keep);

/* DR_UNKNOWN_BYTES where the kernel did not tell. */
uint64_t cache_drop_bytes(const struct cache_drop *drop);

/* "" or a clause for the receipt: "; page cache: 1.9 GiB of 1.9 GiB dropped". */
void cache_drop_describe(const struct cache_drop *drop, char *text, size_t text_bytes);

#endif
