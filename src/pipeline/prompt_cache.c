#include "pipeline/prompt_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

struct prompt_cache_entry {
    struct prompt_cache_key key;
    uint64_t used; /* 0: empty; else the clock of its last use */
};

static_assert(sizeof(struct prompt_cache_key) ==
                  DIGEST_BYTES + sizeof(struct prompt_chunk) + sizeof(int32_t) +
                      sizeof(enum dtype),
              "keys are compared by their bytes");

static size_t table_bytes(const struct prompt_cache_shape *shape, int32_t text_idx)
{
    return (size_t)shape->row_count * shape->row_bytes[text_idx];
}

size_t prompt_cache_bytes(const struct prompt_cache_shape *shape)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < shape->text_count; ++i)
        bytes += table_bytes(shape, i);
    return size_align(bytes, region_page_bytes());
}

static struct prompt_cache_entry *table_of(const struct prompt_cache *cache,
                                           int32_t text_idx)
{
    assert(text_idx >= 0 && text_idx < cache->shape.text_count);
    return cache->entries + (size_t)text_idx * (size_t)cache->shape.row_count;
}

static float *row_at(const struct prompt_cache *cache, int32_t text_idx, int32_t idx)
{
    unsigned char *data = cache->rows.data;
    assert(text_idx >= 0 && text_idx < PROMPT_CACHE_TEXTS);
    for (int32_t i = 0; i < text_idx; ++i)
        data += table_bytes(&cache->shape, i);
    return (float *)(void *)(data + (size_t)idx * cache->shape.row_bytes[text_idx]);
}

static int32_t oldest_row(const struct prompt_cache *cache, int32_t text_idx)
{
    const struct prompt_cache_entry *const table = table_of(cache, text_idx);
    int32_t oldest = 0;
    for (int32_t i = 1; i < cache->shape.row_count; ++i)
        if (table[i].used < table[oldest].used) oldest = i;
    return oldest;
}

/* The rows of one table that are newer than what their place in the target holds. */
static void copy_rows(struct prompt_cache *target, const struct prompt_cache *source,
                      int32_t text_idx)
{
    const struct prompt_cache_entry *const from = table_of(source, text_idx);
    struct prompt_cache_entry *const to = table_of(target, text_idx);
    for (int32_t i = 0; i < source->shape.row_count; ++i) {
        const int32_t idx = oldest_row(target, text_idx);
        if (from[i].used <= to[idx].used) continue;
        to[idx] = from[i];
        memcpy(row_at(target, text_idx, idx), row_at(source, text_idx, i),
               target->shape.row_bytes[text_idx]);
    }
}

static bool has_shape(const struct prompt_cache *cache,
                      const struct prompt_cache_shape *shape)
{
    return cache->rows.data && cache->shape.row_count == shape->row_count;
}

enum dr_code prompt_cache_open(struct prompt_cache *cache, struct ledger *ledger,
                               const struct prompt_cache_shape *shape,
                               struct dr_error *err)
{
    if (has_shape(cache, shape)) return DR_OK;
    struct prompt_cache fresh = {.shape = *shape, .clock = cache->clock};
    const struct region_options options = {.bytes = prompt_cache_bytes(shape),
                                           .tag = REGION_EMBEDDINGS,
                                           .component = "prompts"};
    const size_t count = (size_t)shape->text_count * (size_t)shape->row_count;
    fresh.entries = calloc(count, sizeof *fresh.entries);
    if (!fresh.entries)
        return error_set(err, DR_NOMEM, "no memory for %zu keys of encoded prompts",
                         count);
    const enum dr_code code = region_open(&fresh.rows, ledger, &options, err);
    if (code != DR_OK) {
        free(fresh.entries);
        return code;
    }
    for (int32_t i = 0; cache->rows.data && i < shape->text_count; ++i) {
        assert(cache->shape.row_bytes[i] == shape->row_bytes[i]);
        copy_rows(&fresh, cache, i);
    }
    prompt_cache_close(cache);
    cache->shape = fresh.shape;
    cache->entries = fresh.entries;
    cache->clock = fresh.clock;
    region_move(&cache->rows, &fresh.rows);
    return DR_OK;
}

static int32_t find_row(const struct prompt_cache *cache, int32_t text_idx,
                        const struct prompt_cache_key *key)
{
    if (!cache->rows.data) return -1;
    const struct prompt_cache_entry *const table = table_of(cache, text_idx);
    for (int32_t i = 0; i < cache->shape.row_count; ++i)
        if (table[i].used && memcmp(&table[i].key, key, sizeof *key) == 0) return i;
    return -1;
}

const float *prompt_cache_find(struct prompt_cache *cache, int32_t text_idx,
                               const struct prompt_cache_key *key)
{
    const int32_t idx = find_row(cache, text_idx, key);
    if (idx < 0) return NULL;
    table_of(cache, text_idx)[idx].used = ++cache->clock;
    return row_at(cache, text_idx, idx);
}

float *prompt_cache_add(struct prompt_cache *cache, int32_t text_idx,
                        const struct prompt_cache_key *key)
{
    assert(find_row(cache, text_idx, key) < 0);
    const int32_t idx = oldest_row(cache, text_idx);
    table_of(cache, text_idx)[idx] =
        (struct prompt_cache_entry){.key = *key, .used = ++cache->clock};
    return row_at(cache, text_idx, idx);
}

void prompt_cache_close(struct prompt_cache *cache)
{
    region_close(&cache->rows);
    free(cache->entries);
    memset(cache, 0, sizeof *cache);
}
