/* prompt_cache — encoded prompts, kept exactly, so that the text encoders may be released.
 *
 * One small region of CAPACITY rows of float32 (conditioning.h says what lies in one). A row is
 * found by its token ids and clip skip; model and precision are the pipeline's, with which the
 * cache lives and dies. A hit is the very bytes that the encoders wrote. Each of them writes a
 * part, and a row that still lacks one, since the job was stopped in between, is never found.
 * The least recently used row is replaced.
 */
#ifndef PIPELINE_PROMPT_CACHE_H
#define PIPELINE_PROMPT_CACHE_H

#include "mem/region.h"
#include "model/tokenizer.h"

enum {
    PROMPT_CACHE_CAPACITY = 8,
    PROMPT_CACHE_TEXTS = 2 /* encoders at most */
};

struct prompt_cache_key {
    int32_t ids[PROMPT_CACHE_TEXTS][TOKENIZER_POSITIONS]; /* zeros where it has none */
    int32_t clip_skip;
};

struct prompt_cache {
    struct region rows; /* closed: empty */
    size_t row_bytes;
    int32_t part_count;                    /* of a whole row */
    unsigned parts[PROMPT_CACHE_CAPACITY]; /* written: a bit each */
    struct prompt_cache_key keys[PROMPT_CACHE_CAPACITY];
    uint64_t used[PROMPT_CACHE_CAPACITY]; /* 0: empty; else the clock of its last use */
    uint64_t clock;
};

/* A zeroed cache is empty. */

/* Whole pages that prompt_cache_open will map for this row size. */
size_t prompt_cache_bytes(size_t row_bytes);

enum dr_code prompt_cache_open(struct prompt_cache *cache, struct ledger *ledger,
                               size_t row_bytes, int32_t part_count,
                               struct dr_error *err) DR_MUST_CHECK;

/* The row of this key where it is whole, or NULL. Counts as a use. */
const float *prompt_cache_find(struct prompt_cache *cache,
                               const struct prompt_cache_key *key);

/* Has this part of the key's row been written? Counts as a use: what a job found is not what
 * its next prompt pushes out. */
bool prompt_cache_has(struct prompt_cache *cache, const struct prompt_cache_key *key,
                      int32_t part);

/* A row to write this part into, which counts as written: the key's own, else the least recently
 * used one. */
float *prompt_cache_add(struct prompt_cache *cache, const struct prompt_cache_key *key,
                        int32_t part);

/* Forget all and unmap. */
void prompt_cache_close(struct prompt_cache *cache);

#endif
