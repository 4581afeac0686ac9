/* prompt_cache — the results of text encoders, kept unchanged, so that the text encoders can be released.
 *
 * One small region: for each text encoder of the pipeline, a table of row_count rows of float32
 * (conditioning.h describes a row). A row is one chunk's result from one encoder, so equal chunks
 * of different prompts share theirs:
 *
 *     encoder 1  [ row ][ row ] ... [ row ]
 *     encoder 2  [ row ][ row ] ... [ row ]
 *
 * The key of a row is everything that its numbers depend on: the digest of the encoder's weights, the chunk,
 * clip skip, and the precision. Weights are not among them: all weights of a key's chunk are 0. So rows of one text encoder are never used for another one. A row that is
 * found has exactly the bytes that the encoder wrote. The least recently used row of a table is replaced.
 *
 * A job opens the cache with as many rows as it needs, at least PROMPT_CACHE_ROWS. It first looks up the
 * rows that exist (which counts as a use) and then adds the others: so no row that it needs is replaced.
 *
 * Memory: the region, and about 700 bytes a row for keys. One thread at a time.
 */
#ifndef PIPELINE_PROMPT_CACHE_H
#define PIPELINE_PROMPT_CACHE_H

#include "base/digest.h"
#include "base/dtype.h"
#include "mem/region.h"
#include "model/prompt_chunks.h"

enum {
    PROMPT_CACHE_ROWS = 8, /* of each table, at least */
    PROMPT_CACHE_TEXTS = 2 /* encoders at most */
};

/* Without padding bytes: keys are compared by their bytes. */
struct prompt_cache_key {
    uint8_t encoder[DIGEST_BYTES]; /* of the encoder's weights (checkpoint.h) */
    struct prompt_chunk chunk;
    int32_t clip_skip;
    enum dtype dtype; /* that the encoder computes in */
};

struct prompt_cache_shape {
    size_t row_bytes[PROMPT_CACHE_TEXTS];
    int32_t text_count; /* encoders */
    int32_t row_count;  /* of each table */
};

struct prompt_cache {
    struct region rows; /* closed: empty */
    struct prompt_cache_shape shape;
    struct prompt_cache_entry *entries; /* [text_count, row_count] */
    uint64_t clock;
};

/* A zeroed cache is empty. */

/* Whole pages that a cache of this shape maps. */
size_t prompt_cache_bytes(const struct prompt_cache_shape *shape);

/* Make the cache one of this shape. Rows that are there are copied, of each table the most recently used
 * that fit; then the region before is closed. row_bytes and text_count do not change while it is
 * open. Does nothing where it has this shape. Errors: region_open's; the cache is then as it was. */
enum dr_code prompt_cache_open(struct prompt_cache *cache, struct ledger *ledger,
                               const struct prompt_cache_shape *shape,
                               struct dr_error *err) DR_MUST_CHECK;

/* The row of this key in an encoder's table, or NULL. Counts as a use. */
const float *prompt_cache_find(struct prompt_cache *cache, int32_t text_idx,
                               const struct prompt_cache_key *key);

/* A row to write, which this key finds from now on: the least recently used one. The key has no row yet. */
float *prompt_cache_add(struct prompt_cache *cache, int32_t text_idx,
                        const struct prompt_cache_key *key);

/* Forget all and unmap. */
void prompt_cache_close(struct prompt_cache *cache);

#endif
