#include "pipeline/prompt_cache.h"

#include <string.h>

#include "base/size.h"

size_t prompt_cache_bytes(size_t row_bytes)
{
    return size_align(PROMPT_CACHE_CAPACITY * row_bytes, region_page_bytes());
}

enum dr_code prompt_cache_open(struct prompt_cache *cache, struct ledger *ledger,
                               size_t row_bytes, int32_t part_count,
                               struct dr_error *err)
{
    prompt_cache_close(cache);
    cache->row_bytes = row_bytes;
    cache->part_count = part_count;
    const struct region_options options = {.bytes = prompt_cache_bytes(row_bytes),
                                           .tag = REGION_EMBEDDINGS,
                                           .component = "prompts"};
    return region_open(&cache->rows, ledger, &options, err);
}

static float *row_at(const struct prompt_cache *cache, int idx)
{
    return (float *)(void *)(cache->rows.data + (size_t)idx * cache->row_bytes);
}

static int find_row(const struct prompt_cache *cache,
                    const struct prompt_cache_key *key)
{
    if (!cache->rows.data) return -1;
    for (int i = 0; i < PROMPT_CACHE_CAPACITY; ++i)
        if (cache->used[i] && memcmp(&cache->keys[i], key, sizeof *key) == 0) return i;
    return -1;
}

const float *prompt_cache_find(struct prompt_cache *cache,
                               const struct prompt_cache_key *key)
{
    const int idx = find_row(cache, key);
    if (idx < 0 || cache->parts[idx] != (1U << cache->part_count) - 1) return NULL;
    cache->used[idx] = ++cache->clock;
    return row_at(cache, idx);
}

bool prompt_cache_has(struct prompt_cache *cache, const struct prompt_cache_key *key,
                      int32_t part)
{
    const int idx = find_row(cache, key);
    if (idx < 0 || !(cache->parts[idx] & 1U << part)) return false;
    cache->used[idx] = ++cache->clock;
    return true;
}

static int oldest_row(const struct prompt_cache *cache)
{
    int oldest = 0;
    for (int i = 1; i < PROMPT_CACHE_CAPACITY; ++i)
        if (cache->used[i] < cache->used[oldest]) oldest = i;
    return oldest;
}

float *prompt_cache_add(struct prompt_cache *cache, const struct prompt_cache_key *key,
                        int32_t part)
{
    int idx = find_row(cache, key);
    if (idx < 0) {
        idx = oldest_row(cache);
        cache->keys[idx] = *key;
        cache->parts[idx] = 0;
    }
    cache->parts[idx] |= 1U << part;
    cache->used[idx] = ++cache->clock;
    return row_at(cache, idx);
}

void prompt_cache_close(struct prompt_cache *cache)
{
    region_close(&cache->rows);
    memset(cache, 0, sizeof *cache);
}
