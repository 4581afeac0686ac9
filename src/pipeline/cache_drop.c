#include "pipeline/cache_drop.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"

static bool has_shard(const struct tensor_file *file, const struct file_identity *shard)
{
    for (size_t i = 0; i < file->shard_count; ++i)
        if (file->shards[i].identity.device == shard->device &&
            file->shards[i].identity.inode == shard->inode)
            return true;
    return false;
}

static bool is_resident_from(const struct pipeline *pipeline,
                             const struct file_identity *shard)
{
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct source *const source = pipeline->slots[i].resident;
        if (source && has_shard(source->spec->index->file, shard)) return true;
    }
    return false;
}

static bool is_named_by(const struct pipeline *pipeline,
                        const struct file_identity *shard)
{
    return has_shard(&pipeline->checkpoint.file, shard) ||
           has_shard(&pipeline->base.file, shard) ||
           (pipeline->override &&
            has_shard(&pipeline->override->checkpoint.file, shard));
}

static bool is_used(const struct pipeline *pipeline, const struct file_identity *shard,
                    enum cache_keep keep)
{
    if (!pipeline) return false;
    return keep == CACHE_KEEP_NAMED ? is_named_by(pipeline, shard)
                                    : is_resident_from(pipeline, shard);
}

void cache_drop_file(struct cache_drop *drop, const struct tensor_file *file,
                     const struct pipeline *after, enum cache_keep keep)
{
    if (!drop->is_wanted) return;
    for (size_t i = 0; i < file->shard_count; ++i) {
        struct dr_error problem;
        const struct tensor_shard *const shard = &file->shards[i];
        ++drop->file_count;
        if (is_used(after, &shard->identity, keep)) {
            ++drop->used_count;
            continue;
        }
        if (page_cache_drop(shard->descriptor, &drop->count, &problem) == DR_OK)
            continue;
        drop->is_unknown = true;
        if (!drop->problem[0])
            (void)snprintf(drop->problem, sizeof drop->problem, "%.150s",
                           problem.message);
    }
}

uint64_t cache_drop_bytes(const struct cache_drop *drop)
{
    const struct page_cache_count *const count = &drop->count;
    if (drop->is_unknown) return DR_UNKNOWN_BYTES;
    return count->resident_before > count->resident_after
               ? count->resident_before - count->resident_after
               : 0;
}

void cache_drop_describe(const struct cache_drop *drop, char *text, size_t text_bytes)
{
    char dropped[16], before[16], after[16], stays[80] = "";
    const struct page_cache_count *const count = &drop->count;
    text[0] = '\0';
    if (!drop->is_wanted || drop->file_count == 0) return;
    if (count->resident_after > 0)
        (void)snprintf(stays, sizeof stays,
                       ", %s stay (dirty, mapped by a process, or unknown)",
                       size_format((size_t)count->resident_after, after));
    if (drop->used_count == drop->file_count)
        (void)snprintf(text, text_bytes,
                       "; page cache: kept, the file is still in use");
    else if (drop->is_unknown)
        (void)snprintf(
            text, text_bytes,
            "; page cache: the kernel was asked to drop it; how much it dropped is "
            "unknown; %s",
            drop->problem);
    else
        (void)snprintf(text, text_bytes, "; page cache: %s of %s dropped%s%s",
                       size_format((size_t)cache_drop_bytes(drop), dropped),
                       size_format((size_t)count->resident_before, before), stays,
                       drop->used_count ? ", files still in use stay in it" : "");
}
