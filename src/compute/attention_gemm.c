/* Attention in bfloat16 by the library's GEMMs, with softmax between them: where the library has AMX, or emulates
 * bfloat16.
 *
 *   scores [keys][queries]  = keys [keys][dim] x queries [dim][queries]
 *   probabilities           = kernels.softmax(scores), in bfloat16
 *   sums [dim][queries]    += values [dim][keys] x probabilities [keys][queries]
 *
 * A block's keys are copied to one place and its values transposed. Blocks are equal pieces of the tokens, so that one
 * GEMM of each kind serves all of them: missing queries are zeros, missing keys have probability 0.
 */
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "compute/attention_private.h"

/* So many that a block's scores and probabilities stay in a core's own cache. */
#define MOST_KEYS 512

/* ---- making ------------------------------------------------------------------------- */

static void choose_blocks(struct attention *a)
{
    a->query_blocks = (int32_t)divide_up(a->query_tokens, ATTENTION_MOST_QUERIES);
    const int64_t queries = divide_up(a->query_tokens, a->query_blocks);
    a->queries = (int32_t)divide_up(queries, 16) * 16;
    a->query_blocks = (int32_t)divide_up(a->query_tokens, a->queries);
    a->key_blocks = (int32_t)divide_up(a->key_tokens, MOST_KEYS);
    a->keys = (int32_t)divide_up(a->key_tokens, a->key_blocks);
    a->key_blocks = (int32_t)divide_up(a->key_tokens, a->keys);
}

static enum dr_code choose_layouts(struct attention *a, struct dr_error *err)
{
    struct attention_gemm *const g = &a->gemm;
    struct weight_layout *const p = &g->probability_layout;
    enum dr_code code =
        layout_choose(&g->query_layout, a->type, a->options.head_dim, a->queries, err);
    if (code == DR_OK) code = layout_choose(p, a->type, a->keys, a->queries, err);
    if (code != DR_OK) return code;
    g->query_has_lines = layout_lines(&g->query_layout, &g->query_lines);
    if (layout_lines(p, &g->probability_lines)) return DR_OK;
    code = layout_plain(p, a->type, a->keys, a->queries, err);
    if (code == DR_OK && !layout_lines(p, &g->probability_lines))
        code = error_set(err, DR_UNSUPPORTED, "no layout for probabilities");
    return code;
}

static enum dr_code get_products(struct plan *plan, struct attention *a,
                                 struct dr_error *err)
{
    struct attention_gemm *const g = &a->gemm;
    const struct product_shape scores = {.rows = a->keys, .result = DTYPE_F32};
    const struct product_shape sums = {.rows = a->options.head_dim,
                                       .result = DTYPE_F32,
                                       .add = true};
    enum dr_code code =
        product_get(&plan->products, &scores, &g->query_layout, &g->score_product, err);
    if (code == DR_OK)
        code = product_get(&plan->products, &sums, &g->probability_layout,
                           &g->sum_product, err);
    return code;
}

static enum dr_code prepare(struct plan *plan, struct attention *a,
                            struct dr_error *err)
{
    choose_blocks(a);
    enum dr_code code = choose_layouts(a, err);
    if (code == DR_OK) code = get_products(plan, a, err);
    if (code != DR_OK) return code;
    struct attention_gemm *const g = &a->gemm;
    const size_t queries = (size_t)a->queries, keys = (size_t)a->keys;
    const size_t dim = (size_t)a->options.head_dim;
    g->key_bytes = size_align(keys * dim * dtype_bytes(a->type), 64);
    g->query_bytes = size_align(g->query_layout.bytes, 64);
    g->score_bytes = size_align(queries * keys * sizeof(float), 64);
    g->probability_bytes = size_align(g->probability_layout.bytes, 64);
    g->sum_bytes = size_align(queries * dim * sizeof(float), 64);
    g->row_bytes = size_align(queries * sizeof(float), 64); /* peak, total */
    size_t product_bytes = g->score_product->scratch_bytes;
    if (g->sum_product->scratch_bytes > product_bytes)
        product_bytes = g->sum_product->scratch_bytes;
    a->block_bytes = 2 * g->key_bytes;
    a->lane_bytes = g->query_bytes + g->score_bytes + g->probability_bytes +
                    g->sum_bytes + 2 * g->row_bytes + product_bytes;
    return DR_OK;
}

/* ---- packing ------------------------------------------------------------------------ */

/* [keys][dim], then the values [dim][keys]. */
static void pack(const struct attention_run *run, int32_t whole, int32_t block,
                 unsigned char *packed)
{
    const struct attention *const a = run->attention;
    const int32_t image = whole / a->options.heads, head = whole % a->options.heads;
    const int32_t first = block * a->keys, left = a->key_tokens - first;
    const size_t count = (size_t)(left < a->keys ? left : a->keys),
                 keys = (size_t)a->keys;
    const size_t dim = (size_t)a->options.head_dim, element = dtype_bytes(a->type);
    unsigned char *const turned = packed + a->gemm.key_bytes;
    for (size_t i = 0; i < count; ++i)
        memcpy(packed + i * dim * element,
               attention_head(run, ATTENTION_K, image, first + (int32_t)i, head),
               dim * element);
    memset(packed + count * dim * element, 0, (keys - count) * dim * element);
    if (count < keys) memset(turned, 0, keys * dim * element);
    const struct kernel_turn turn = {
        .target = turned,
        .source = attention_head(run, ATTENTION_V, image, first, head),
        .target_type = a->type,
        .source_type = a->type,
        .rows = count,
        .columns = dim,
        .target_stride = keys * element,
        .source_stride = attention_step(run, ATTENTION_V) * element,
    };
    run->plan->kernels->turn(&turn);
}

/* ---- a block of queries ------------------------------------------------------------- */

/* The lane's memory. */
struct lane {
    unsigned char *query, *scores, *probabilities, *sums, *scratch;
    float *peak, *total;
};

static struct lane lane_of(const struct attention_run *run,
                           const struct attention_task *task)
{
    const struct attention_gemm *const g = &run->attention->gemm;
    unsigned char *at = task->scratch;
    struct lane lane = {.query = at};
    lane.scores = at += g->query_bytes;
    lane.probabilities = at += g->score_bytes;
    lane.sums = at += g->probability_bytes;
    lane.peak = (void *)(at += g->sum_bytes);
    lane.total = (void *)(at += g->row_bytes);
    lane.scratch = at + g->row_bytes;
    return lane;
}

/* Queries as the operand [dim][queries]. Where that lies in lines of pairs it is a transposed copy: a pair moves like a
 * float32 number. */
static void pack_queries(const struct attention_run *run,
                         const struct attention_task *task, unsigned char *target)
{
    const struct attention *const a = run->attention;
    const struct attention_gemm *const g = &a->gemm;
    const struct layout_lines *const lines = &g->query_lines;
    const size_t dim = (size_t)a->options.head_dim, element = dtype_bytes(a->type);
    const size_t count = (size_t)task->count;
    if (g->query_layout.padded || task->count < a->queries)
        memset(target, 0, g->query_layout.bytes);
    if (!g->query_has_lines || !lines->paired || dim % 2 != 0) {
        const struct layout_part part = {
            .source =
                attention_head(run, ATTENTION_Q, task->image, task->first, task->head),
            .in_step = 1,
            .out_step = attention_step(run, ATTENTION_Q),
            .in_count = a->options.head_dim,
            .out_count = task->count,
        };
        layout_pack(&g->query_layout, &part, target);
        return;
    }
    for (size_t query = 0; query < count; query += lines->panel_out) {
        const size_t left = count - query;
        const struct kernel_turn turn = {
            .target = target + query / lines->panel_out * lines->panel_step * element,
            .source = attention_head(run, ATTENTION_Q, task->image,
                                     task->first + (int32_t)query, task->head),
            .target_type = DTYPE_F32,
            .source_type = DTYPE_F32,
            .rows = left < lines->panel_out ? left : lines->panel_out,
            .columns = dim / 2,
            .target_stride = lines->in_step * element,
            .source_stride = attention_step(run, ATTENTION_Q) * element,
        };
        run->plan->kernels->turn(&turn);
    }
}

static void begin(const struct attention_run *run, const struct attention_task *task,
                  const struct lane *lane)
{
    const struct attention *const a = run->attention;
    pack_queries(run, task, lane->query);
    if (a->gemm.probability_layout.padded)
        memset(lane->probabilities, 0, a->gemm.probability_layout.bytes);
    memset(lane->sums, 0, a->gemm.sum_bytes);
    for (int32_t i = 0; i < a->queries; ++i) {
        lane->peak[i] = -INFINITY;
        lane->total[i] = 0;
    }
}

static void weigh_keys(const struct attention_run *run,
                       const struct attention_task *task, const struct lane *lane,
                       int32_t first_key)
{
    const struct attention *const a = run->attention;
    const struct layout_lines *const lines = &a->gemm.probability_lines;
    const int32_t left = a->key_tokens - first_key;
    const struct kernel_softmax softmax = {
        .scores = (const void *)lane->scores,
        .probabilities = lane->probabilities,
        .paired = lines->paired,
        .key_step = lines->in_step,
        .panel_queries = lines->panel_out,
        .panel_step = lines->panel_step,
        .keys = (size_t)a->keys,
        .queries = (size_t)a->queries,
        .dim = (size_t)a->options.head_dim,
        .seen = left < a->keys ? left : a->keys,
        .causal = a->options.causal,
        .first_seen = task->first + 1 - first_key,
        .factor = a->options.scale * 1.44269504f,
        .peak = lane->peak,
        .total = lane->total,
        .sums = (void *)lane->sums,
    };
    run->plan->kernels->softmax(&softmax);
}

static bool attend_keys(const struct attention_run *run,
                        const struct attention_task *task, const struct lane *lane,
                        int32_t block)
{
    const struct attention *const a = run->attention;
    const int32_t first_key = block * a->keys;
    if (a->options.causal && first_key >= task->first + task->count) return true;
    const unsigned char *const keys = task->packed + (size_t)block * a->block_bytes;
    const struct product_call score_call = {.source = keys,
                                            .operand = lane->query,
                                            .result = lane->scores,
                                            .scratch = lane->scratch};
    if (!product_run(a->gemm.score_product, task->lane, &score_call)) return false;
    weigh_keys(run, task, lane, first_key);
    const struct product_call sum_call = {.source = keys + a->gemm.key_bytes,
                                          .operand = lane->probabilities,
                                          .result = lane->sums,
                                          .scratch = lane->scratch};
    return product_run(a->gemm.sum_product, task->lane, &sum_call);
}

static bool attend(const struct attention_run *run, const struct attention_task *task)
{
    const struct attention *const a = run->attention;
    const struct lane lane = lane_of(run, task);
    begin(run, task, &lane);
    for (int32_t block = 0; block < a->key_blocks; ++block)
        if (!attend_keys(run, task, &lane, block)) return false;
    attention_finish(run, task, 0, task->count, (void *)lane.sums, (size_t)a->queries,
                     lane.total);
    return true;
}

const struct attention_core attention_gemm = {.prepare = prepare,
                                              .pack = pack,
                                              .attend = attend};
