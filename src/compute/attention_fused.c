/* Attention by a kernel of its own (kernel_attend.h): a block of queries passes over the blocks of keys. */
#include <string.h>

#include "base/size.h"
#include "compute/attention_private.h"

/* So many that a panel's scores stay in the first cache. */
#define MOST_KEYS 120

static size_t round_up(size_t count, size_t step)
{
    return (count + step - 1) / step * step;
}

/* The rows of a tile that waste least; of equal ones the largest. */
static size_t choose_rows(size_t count, size_t unit)
{
    size_t best = 6 * unit;
    for (size_t rows = 5 * unit; rows >= 4 * unit; rows -= unit)
        if (round_up(count, rows) < round_up(count, best)) best = rows;
    return best;
}

static void choose_blocks(struct attention *a, const struct kernels *kernels)
{
    struct attention_fused *const f = &a->fused;
    f->width = kernels->attend_width;
    a->query_blocks = (int32_t)divide_up(a->query_tokens, ATTENTION_MOST_QUERIES);
    const int64_t queries = divide_up(a->query_tokens, a->query_blocks);
    a->queries = (int32_t)round_up((size_t)queries, f->width);
    a->query_blocks = (int32_t)divide_up(a->query_tokens, a->queries);
    a->key_blocks = (int32_t)divide_up(a->key_tokens, MOST_KEYS);
    const size_t keys = (size_t)divide_up(a->key_tokens, a->key_blocks);
    f->key_rows = round_up(keys, 4) < round_up(keys, 6) ? 4 : 6;
    a->keys = (int32_t)round_up(keys, f->key_rows);
    a->key_blocks = (int32_t)divide_up(a->key_tokens, a->keys);
}

static size_t numbers_of_word(const struct attention *a)
{
    return sizeof(uint32_t) / dtype_bytes(a->type);
}

static enum dr_code prepare(struct plan *plan, struct attention *a,
                            struct dr_error *err)
{
    (void)err;
    choose_blocks(a, plan->kernels);
    struct attention_fused *const f = &a->fused;
    const size_t dim = (size_t)a->options.head_dim, each = numbers_of_word(a);
    const size_t queries = (size_t)a->queries, keys = (size_t)a->keys;
    f->dim_words = (dim + each - 1) / each;
    f->value_rows = choose_rows(dim, plan->kernels->attend_unit);
    f->dims = round_up(dim, f->value_rows);
    f->key_bytes = size_align(keys * f->dim_words * sizeof(uint32_t), 64);
    a->block_bytes =
        f->key_bytes +
        size_align((keys + each - 1) / each * f->dims * sizeof(uint32_t), 64);
    f->query_bytes = size_align(queries * f->dim_words * sizeof(uint32_t), 64);
    f->score_bytes = size_align(keys * f->width * sizeof(float), 64);
    f->tile_step = (keys + each - 1) / each * f->value_rows;
    f->sum_bytes = size_align(queries * f->dims * sizeof(float), 64);
    f->row_bytes = size_align(queries * sizeof(float), 64); /* reference, total */
    f->factor_bytes = a->type == DTYPE_F32 ? size_align(dim * sizeof(float), 64) : 0;
    a->lane_bytes = f->query_bytes + f->score_bytes + f->sum_bytes + 2 * f->row_bytes +
                    f->factor_bytes;
    return DR_OK;
}

/* ---- packing ------------------------------------------------------------------------ */

/* Rows of one head lie far apart, in other pages: the processor does not read ahead by itself. */
#define ROWS_AHEAD 24

/* Rows of one head, from a token on. */
struct head_rows {
    const unsigned char *first;
    size_t step, bytes; /* from row to row, of one */
    size_t exist;       /* rows up to the last token */
};

static struct head_rows rows_of(const struct attention_run *run, int which,
                                int32_t image, int32_t token, int32_t head)
{
    const struct attention *const a = run->attention;
    const int32_t tokens = which == ATTENTION_Q ? a->query_tokens : a->key_tokens;
    return (struct head_rows){
        .first = attention_head(run, which, image, token, head),
        .step = attention_step(run, which) * dtype_bytes(a->type),
        .bytes = (size_t)a->options.head_dim * dtype_bytes(a->type),
        .exist = tokens > token ? (size_t)(tokens - token) : 0,
    };
}

/* Inlined always: gcc takes a function that only fetches for one without effects, and leaves its calls out. */
static inline __attribute__((always_inline)) void fetch_row(
    const struct head_rows *rows, size_t i)
{
    if (i >= rows->exist) return;
    const unsigned char *const row = rows->first + i * rows->step;
    for (size_t at = 0; at < rows->bytes; at += 64)
        __builtin_prefetch(row + at);
    __builtin_prefetch(row + rows->bytes - 1);
}

/* Words of `bytes` to words that lie `step` apart. */
static void spread_words(uint32_t *target, size_t step, const unsigned char *source,
                         size_t bytes)
{
    const size_t whole = bytes / sizeof *target;
    for (size_t d = 0; d < whole; ++d)
        memcpy(&target[d * step], source + d * sizeof *target, sizeof *target);
    if (bytes % sizeof *target == 0) return;
    uint16_t last;
    memcpy(&last, source + whole * sizeof *target, sizeof last);
    target[whole * step] = last;
}

static void pack_keys(const struct attention_fused *f, const struct head_rows *keys,
                      size_t count, uint32_t *target)
{
    for (size_t tile = 0; tile < count; tile += f->key_rows)
        for (size_t i = 0; i < f->key_rows; ++i) {
            const size_t key = tile + i < count ? tile + i : count - 1;
            fetch_row(keys, key + ROWS_AHEAD);
            spread_words(target + tile * f->dim_words + i, f->key_rows,
                         keys->first + key * keys->step, keys->bytes);
        }
}

/* Words of two keys' numbers side by side, in bfloat16. */
static void copy_pairs(uint32_t *restrict target, const unsigned char *restrict even,
                       const unsigned char *restrict odd, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        uint16_t low, high;
        memcpy(&low, even + i * sizeof low, sizeof low);
        memcpy(&high, odd + i * sizeof high, sizeof high);
        target[i] = low | (uint32_t)high << 16;
    }
}

static void copy_words(uint32_t *restrict target, const unsigned char *restrict row,
                       size_t count)
{
    for (size_t i = 0; i < count; ++i)
        memcpy(&target[i], row + i * sizeof *target, sizeof *target);
}

/* One word of keys, in all tiles of dimensions. Without a next key its half is 0. */
static void pack_value(const struct attention *a, const unsigned char *row,
                       const unsigned char *next, uint32_t *target)
{
    const struct attention_fused *const f = &a->fused;
    const size_t dim = (size_t)a->options.head_dim, rows = f->value_rows;
    const size_t element = dtype_bytes(a->type), each = numbers_of_word(a);
    for (size_t d = 0; d < dim; d += rows, target += f->tile_step) {
        const size_t count = dim - d < rows ? dim - d : rows;
        if (count < rows) memset(target, 0, rows * sizeof *target);
        if (a->type == DTYPE_F32)
            copy_words(target, row + d * element, count);
        else
            copy_pairs(target, row + d * element, (next ? next : row) + d * element,
                       count);
        for (size_t i = 0; i < count && each == 2 && !next; ++i)
            target[i] &= 0xFFFF;
    }
}

static void pack_values(const struct attention *a, const struct head_rows *values,
                        size_t count, uint32_t *target)
{
    const size_t each = numbers_of_word(a);
    for (size_t k = 0; k < count; k += each, target += a->fused.value_rows) {
        const unsigned char *const row = values->first + k * values->step;
        for (size_t i = 0; i < each; ++i)
            fetch_row(values, k + i + ROWS_AHEAD);
        pack_value(a, row, k + 1 < count ? row + values->step : NULL, target);
    }
}

static void pack(const struct attention_run *run, int32_t whole, int32_t block,
                 unsigned char *packed)
{
    const struct attention *const a = run->attention;
    const int32_t image = whole / a->options.heads, head = whole % a->options.heads;
    const int32_t first = block * a->keys, left = a->key_tokens - first;
    const size_t count = (size_t)(left < a->keys ? left : a->keys);
    const struct head_rows keys = rows_of(run, ATTENTION_K, image, first, head);
    const struct head_rows values = rows_of(run, ATTENTION_V, image, first, head);
    pack_keys(&a->fused, &keys, count, (void *)packed);
    pack_values(a, &values, count, (void *)(packed + a->fused.key_bytes));
}

/* What scores are multiplied by: then 2^score is a probability. */
static float score_factor(const struct attention *a)
{
    return a->options.scale * 1.44269504f;
}

/* Queries of float32 are multiplied instead of scores. */
static const float *query_factors(const struct attention *a, unsigned char *scratch)
{
    if (a->type != DTYPE_F32) return NULL;
    float *const factors = (void *)(scratch + a->lane_bytes - a->fused.factor_bytes);
    for (int32_t d = 0; d < a->options.head_dim; ++d)
        factors[d] = score_factor(a);
    return factors;
}

/* Panel after panel, transposed: [dim_words][width]. Words of bfloat16 move like float32 numbers. */
static void pack_queries(const struct attention_run *run,
                         const struct attention_task *task, unsigned char *target)
{
    const struct attention *const a = run->attention;
    const struct attention_fused *const f = &a->fused;
    const size_t dim = (size_t)a->options.head_dim, count = (size_t)task->count;
    const size_t panel_bytes = f->width * f->dim_words * sizeof(uint32_t);
    const float *const factors = query_factors(a, task->scratch);
    for (size_t query = 0; query < count; query += f->width, target += panel_bytes) {
        const size_t left = count - query, rows = left < f->width ? left : f->width;
        const int32_t first = task->first + (int32_t)query;
        if (rows < f->width) memset(target, 0, panel_bytes);
        if (dim % numbers_of_word(a) != 0) {
            for (size_t i = 0; i < rows; ++i)
                spread_words((uint32_t *)(void *)target + i, f->width,
                             attention_head(run, ATTENTION_Q, task->image,
                                            first + (int32_t)i, task->head),
                             dim * dtype_bytes(a->type));
            continue;
        }
        const struct kernel_turn turn = {
            .target = target,
            .source = attention_head(run, ATTENTION_Q, task->image, first, task->head),
            .target_type = DTYPE_F32,
            .source_type = DTYPE_F32,
            .rows = rows,
            .columns = f->dim_words,
            .target_stride = f->width * sizeof(float),
            .source_stride = attention_step(run, ATTENTION_Q) * dtype_bytes(a->type),
            .factor = factors,
        };
        run->plan->kernels->turn(&turn);
    }
}

/* ---- a block of queries ------------------------------------------------------------- */

/* What is read and written before and after the panel's place in the next block. */
static void fetch_panel(const struct attention_run *run,
                        const struct attention_task *task, int32_t query)
{
    const struct attention *const a = run->attention;
    const size_t bytes = (size_t)a->options.head_dim * dtype_bytes(a->type);
    const int32_t end = query + (int32_t)a->fused.width;
    const struct head_rows next = rows_of(run, ATTENTION_Q, task->image,
                                          task->first + a->queries + query, task->head);
    for (size_t i = 0; i < a->fused.width; ++i)
        fetch_row(&next, i);
    for (int32_t i = query; i < end && i < task->count; ++i) {
        const unsigned char *const row = attention_result(run, task, i);
        for (size_t at = 0; at < bytes; at += 64)
            __builtin_prefetch(row + at, 1);
        __builtin_prefetch(row + bytes - 1, 1);
    }
}

/* All panels of the block, to one block of keys. */
static void attend_block(const struct attention_run *run,
                         const struct attention_task *task, int32_t block)
{
    const struct attention *const a = run->attention;
    const struct attention_fused *const f = &a->fused;
    unsigned char *const queries = task->scratch;
    unsigned char *const scores = queries + f->query_bytes;
    unsigned char *const sums = scores + f->score_bytes;
    unsigned char *const reference = sums + f->sum_bytes;
    const unsigned char *const keys = task->packed + (size_t)block * a->block_bytes;
    const int32_t first_key = block * a->keys, left = a->key_tokens - first_key;
    for (int32_t query = 0; query < task->count; query += (int32_t)f->width) {
        const size_t at = (size_t)query;
        const struct kernel_attend call = {
            .queries = queries + at * f->dim_words * sizeof(uint32_t),
            .keys = keys,
            .values = keys + f->key_bytes,
            .scores = (void *)scores,
            .sums = (float *)(void *)sums + at * f->dims,
            .reference = (float *)(void *)reference + at,
            .total = (float *)(void *)(reference + f->row_bytes) + at,
            .type = a->type,
            .begins = block == 0,
            .dim_words = f->dim_words,
            .key_rows = f->key_rows,
            .value_rows = f->value_rows,
            .dims = f->dims,
            .tile_step = f->tile_step,
            .seen = (size_t)(left < a->keys ? left : a->keys),
            .causal = a->options.causal,
            .first_seen = task->first + query + 1 - first_key,
            .factor = score_factor(a),
        };
        if (block == 0) fetch_panel(run, task, query);
        run->plan->kernels->attend(&call);
    }
}

static bool attend(const struct attention_run *run, const struct attention_task *task)
{
    const struct attention *const a = run->attention;
    const struct attention_fused *const f = &a->fused;
    pack_queries(run, task, task->scratch);
    for (int32_t block = 0; block < a->key_blocks; ++block)
        if (!a->options.causal || block * a->keys < task->first + task->count)
            attend_block(run, task, block);
    unsigned char *const sums = task->scratch + f->query_bytes + f->score_bytes;
    float *const total = (void *)(sums + f->sum_bytes + f->row_bytes);
    for (int32_t query = 0; query < task->count; query += (int32_t)f->width) {
        const int32_t left = task->count - query;
        attention_finish(run, task, query,
                         left < (int32_t)f->width ? left : (int32_t)f->width,
                         (float *)(void *)sums + (size_t)query * f->dims, f->width,
                         total + query);
    }
    return true;
}

const struct attention_core attention_fused = {.prepare = prepare,
                                               .pack = pack,
                                               .attend = attend};
