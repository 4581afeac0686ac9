/* Attention in blocks of queries and keys; no score leaves the cache (Rabe and Staats, arXiv
 * 2112.05682; Dao et al., arXiv 2205.14135, without their GPU's tiling).
 *
 *   pack   a head's keys are copied to one place, its values transposed, block of keys by block
 *   task   one block of queries of one head: for each block of keys
 *              scores [keys][queries]  = keys [keys][dim] x queries [dim][queries]
 *              probabilities           = kernels.softmax(scores), in the plan's type
 *              sums [dim][queries]    += values [dim][keys] x probabilities [keys][queries]
 *          and at the end sums / total, transposed back and rounded, is the result.
 *
 * If there are enough heads for the threads, one thread computes a head, including its packing,
 * and the threads are synchronised once. Else they share a few heads at a time: first they pack them,
 * then they compute the blocks of queries. The numbers do not depend on which thread does what.
 *
 * Queries are columns for two reasons: a vector of the processor holds the scores of 16
 * queries, so softmax never adds or compares within a vector; and the head's dimension, 40 in
 * SD1.5's largest level, becomes a number of rows. As columns it would fill 40 of 48 vector lanes, and
 * the GEMMs would run at 0.8 of this rate.
 *
 * Blocks are equal pieces of the tokens, so that one GEMM of each kind serves all of them: missing
 * queries are zeros, missing keys have probability 0.
 */
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "compute/compute.h"
#include "compute/plan_private.h"
#include "compute/team.h"

#define MOST_QUERIES   128
#define TASKS_A_THREAD 4
#define HEADS_A_THREAD 8

enum {
    ATTENTION_Q,
    ATTENTION_K,
    ATTENTION_V
};

struct attention {
    struct attention_options options;
    enum dtype type;
    int32_t query_tokens, key_tokens;
    int32_t queries, query_blocks; /* of a block, of a head */
    int32_t keys, key_blocks;
    int32_t heads;      /* over all images */
    bool whole_heads;   /* a head is one thread's work; else waves of */
    int32_t wave_heads; /* this many */
    int32_t lanes;
    struct weight_layout query_layout,
        probability_layout; /* [dim, queries], [keys, queries] */
    struct layout_lines query_lines, probability_lines;
    bool query_has_lines;
    bool in_place; /* probabilities take the place of the scores */
    const struct product *score_product, *sum_product;
    /* scratch: packed heads, one for each lane or of a wave; then the lanes' own */
    size_t key_bytes, head_bytes, packed_bytes;
    size_t query_bytes, score_bytes, probability_bytes, sum_bytes, row_bytes,
        lane_bytes;
};

struct run {
    const struct plan *plan;
    const struct op *op;
    const struct attention *attention;
    unsigned char *packed, *lanes;
    int32_t first_head; /* of the wave */
    atomic_bool failed;
};

/* ---- making ------------------------------------------------------------------------- */

/* So many that a block's scores and probabilities stay in a core's own cache. */
static int32_t most_keys(enum dtype type)
{
    return type == DTYPE_F32 ? 256 : 512;
}

static void choose_blocks(struct attention *a)
{
    a->query_blocks = (int32_t)divide_up(a->query_tokens, MOST_QUERIES);
    const int64_t queries = divide_up(a->query_tokens, a->query_blocks);
    a->queries = (int32_t)divide_up(queries, 16) * 16;
    a->query_blocks = (int32_t)divide_up(a->query_tokens, a->queries);
    a->key_blocks = (int32_t)divide_up(a->key_tokens, most_keys(a->type));
    a->keys = (int32_t)divide_up(a->key_tokens, a->key_blocks);
    a->key_blocks = (int32_t)divide_up(a->key_tokens, a->keys);
    const int32_t threads = compute_thread_count();
    a->whole_heads = a->heads % threads == 0 || a->heads >= HEADS_A_THREAD * threads;
    const int32_t wanted = TASKS_A_THREAD * threads;
    a->wave_heads = (wanted + a->query_blocks - 1) / a->query_blocks;
    if (a->wave_heads > a->heads) a->wave_heads = a->heads;
}

/* The library's, but plain rows instead of panels: those are for weights whose rows are far apart, and would make
 * two calls of one. */
static enum dr_code choose_layout(struct weight_layout *layout, enum dtype type,
                                  int32_t in, int32_t out, struct dr_error *err)
{
    const enum dr_code code = layout_choose(layout, type, in, out, err);
    if (code != DR_OK || !layout->by_panels) return code;
    return layout_plain(layout, type, in, out, err);
}

static enum dr_code choose_layouts(struct attention *a, struct dr_error *err)
{
    struct weight_layout *const p = &a->probability_layout;
    enum dr_code code =
        choose_layout(&a->query_layout, a->type, a->options.head_dim, a->queries, err);
    if (code == DR_OK) code = choose_layout(p, a->type, a->keys, a->queries, err);
    if (code != DR_OK) return code;
    a->query_has_lines = layout_lines(&a->query_layout, &a->query_lines);
    if (layout_lines(p, &a->probability_lines)) return DR_OK;
    code = layout_plain(p, a->type, a->keys, a->queries, err);
    if (code == DR_OK && !layout_lines(p, &a->probability_lines))
        code = error_set(err, DR_UNSUPPORTED, "no layout for probabilities");
    return code;
}

static enum dr_code get_products(struct plan *plan, struct attention *a,
                                 struct dr_error *err)
{
    const struct product_shape scores = {.rows = a->keys, .result = DTYPE_F32};
    const struct product_shape sums = {.rows = a->options.head_dim,
                                       .result = DTYPE_F32,
                                       .add = true};
    enum dr_code code =
        product_get(&plan->products, &scores, &a->query_layout, &a->score_product, err);
    if (code == DR_OK)
        code = product_get(&plan->products, &sums, &a->probability_layout,
                           &a->sum_product, err);
    return code;
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct attention *const a = op->state;
    choose_blocks(a);
    enum dr_code code = choose_layouts(a, err);
    if (code == DR_OK) code = get_products(plan, a, err);
    if (code != DR_OK) return code;
    const size_t queries = (size_t)a->queries, keys = (size_t)a->keys;
    const size_t dim = (size_t)a->options.head_dim;
    a->in_place = a->type == DTYPE_F32 && !a->probability_layout.padded &&
                  a->probability_lines.in_step == queries &&
                  a->probability_lines.panel_out == queries;
    a->key_bytes = size_align(keys * dim * dtype_bytes(a->type), 64);
    a->head_bytes = 2 * a->key_bytes * (size_t)a->key_blocks;
    a->query_bytes = size_align(a->query_layout.bytes, 64);
    a->score_bytes = size_align(queries * keys * sizeof(float), 64);
    a->probability_bytes =
        a->in_place ? 0 : size_align(a->probability_layout.bytes, 64);
    a->sum_bytes = size_align(queries * dim * sizeof(float), 64);
    a->row_bytes = size_align(queries * sizeof(float), 64); /* peak, total */
    size_t product_bytes = a->score_product->scratch_bytes;
    if (a->sum_product->scratch_bytes > product_bytes)
        product_bytes = a->sum_product->scratch_bytes;
    a->lane_bytes = a->query_bytes + a->score_bytes + a->probability_bytes +
                    a->sum_bytes + 2 * a->row_bytes + product_bytes;
    const size_t bytes = a->lane_bytes + (a->whole_heads ? a->head_bytes : 0);
    const int64_t tasks = (int64_t)a->wave_heads * a->query_blocks;
    a->lanes = team_lanes(a->whole_heads ? a->heads : tasks, bytes);
    const size_t lanes = (size_t)a->lanes;
    a->packed_bytes = a->head_bytes * (a->whole_heads ? lanes : (size_t)a->wave_heads);
    op->scratch_bytes = a->packed_bytes + a->lane_bytes * lanes;
    op->flop = 4.0 * a->heads * a->query_tokens * a->key_tokens * a->options.head_dim;
    return DR_OK;
}

/* ---- packing ------------------------------------------------------------------------ */

/* The first number of a token's head in value `which`. */
static const unsigned char *head_of(const struct run *run, int which, int32_t image,
                                    int32_t token, int32_t head)
{
    const struct attention_options *const o = &run->attention->options;
    const int32_t columns[] = {o->q_column, o->k_column, o->v_column};
    const struct plan_value *const v = &run->plan->values[run->op->inputs[which].id];
    const int64_t row = (int64_t)image * v->shape.h * v->shape.w + token;
    const size_t at = (size_t)row * (size_t)v->shape.c +
                      (size_t)(columns[which] + head * o->head_dim);
    return (const unsigned char *)plan_address(run->plan, run->op->inputs[which]) +
           at * dtype_bytes(v->dtype);
}

static size_t token_step(const struct run *run, int which)
{
    return (size_t)run->plan->values[run->op->inputs[which].id].shape.c;
}

static unsigned char *packed_keys(const struct run *run, int32_t slot, int32_t block)
{
    const struct attention *const a = run->attention;
    return run->packed + (size_t)slot * a->head_bytes +
           (size_t)block * 2 * a->key_bytes;
}

/* One block of keys of a head (counted over all images) into a slot: [keys][dim], then the
 * values [dim][keys]. */
static void pack_block(const struct run *run, int32_t whole, int32_t slot,
                       int32_t block)
{
    const struct attention *const a = run->attention;
    const int32_t image = whole / a->options.heads, head = whole % a->options.heads;
    const int32_t first = block * a->keys, left = a->key_tokens - first;
    const size_t count = (size_t)(left < a->keys ? left : a->keys),
                 keys = (size_t)a->keys;
    const size_t dim = (size_t)a->options.head_dim, element = dtype_bytes(a->type);
    unsigned char *const packed = packed_keys(run, slot, block);
    unsigned char *const turned = packed + a->key_bytes;
    for (size_t i = 0; i < count; ++i)
        memcpy(packed + i * dim * element,
               head_of(run, ATTENTION_K, image, first + (int32_t)i, head),
               dim * element);
    memset(packed + count * dim * element, 0, (keys - count) * dim * element);
    if (count < keys) memset(turned, 0, keys * dim * element);
    const struct kernel_turn turn = {
        .target = turned,
        .source = head_of(run, ATTENTION_V, image, first, head),
        .target_type = a->type,
        .source_type = a->type,
        .rows = count,
        .columns = dim,
        .target_stride = keys * element,
        .source_stride = token_step(run, ATTENTION_V) * element,
    };
    run->plan->kernels->turn(&turn);
}

/* ---- a block of queries ------------------------------------------------------------- */

struct task {
    int32_t image, head, slot;
    int32_t first, count; /* queries */
    unsigned char *query, *scores, *probabilities, *sums, *scratch;
    float *peak, *total;
};

static struct task task_of(const struct run *run, int32_t whole, int32_t slot,
                           int32_t block, int lane)
{
    const struct attention *const a = run->attention;
    const int32_t first = block * a->queries, left = a->query_tokens - first;
    unsigned char *at = run->lanes + (size_t)lane * a->lane_bytes;
    struct task task = {
        .image = whole / a->options.heads,
        .head = whole % a->options.heads,
        .slot = slot,
        .first = first,
        .count = left < a->queries ? left : a->queries,
        .query = at,
    };
    task.scores = at += a->query_bytes;
    at += a->score_bytes;
    task.probabilities = a->in_place ? task.scores : at;
    task.sums = at += a->probability_bytes;
    task.peak = (void *)(at += a->sum_bytes);
    task.total = (void *)(at += a->row_bytes);
    task.scratch = at + a->row_bytes;
    return task;
}

/* Queries as the operand [dim][queries]. Where that lies in lines it is a turned copy: of
 * float32 numbers, or of pairs of bfloat16, which move like one. */
static void pack_queries(const struct run *run, const struct task *task)
{
    const struct attention *const a = run->attention;
    const struct layout_lines *const lines = &a->query_lines;
    const size_t dim = (size_t)a->options.head_dim, element = dtype_bytes(a->type);
    const size_t count = (size_t)task->count, side = lines->paired ? 2 : 1;
    if (a->query_layout.padded || task->count < a->queries)
        memset(task->query, 0, a->query_layout.bytes);
    if (!a->query_has_lines || side * element != sizeof(float) || dim % side != 0) {
        const struct layout_part part = {
            .source = head_of(run, ATTENTION_Q, task->image, task->first, task->head),
            .in_step = 1,
            .out_step = token_step(run, ATTENTION_Q),
            .in_count = a->options.head_dim,
            .out_count = task->count,
        };
        layout_pack(&a->query_layout, &part, task->query);
        return;
    }
    for (size_t query = 0; query < count; query += lines->panel_out) {
        const size_t left = count - query;
        const struct kernel_turn turn = {
            .target =
                task->query + query / lines->panel_out * lines->panel_step * element,
            .source = head_of(run, ATTENTION_Q, task->image,
                              task->first + (int32_t)query, task->head),
            .target_type = DTYPE_F32,
            .source_type = DTYPE_F32,
            .rows = left < lines->panel_out ? left : lines->panel_out,
            .columns = dim / side,
            .target_stride = lines->in_step * element,
            .source_stride = token_step(run, ATTENTION_Q) * element,
        };
        run->plan->kernels->turn(&turn);
    }
}

static void begin_task(const struct run *run, const struct task *task)
{
    const struct attention *const a = run->attention;
    pack_queries(run, task);
    if (a->probability_layout.padded)
        memset(task->probabilities, 0, a->probability_layout.bytes);
    memset(task->sums, 0, a->sum_bytes);
    for (int32_t i = 0; i < a->queries; ++i) {
        task->peak[i] = -INFINITY;
        task->total[i] = 0;
    }
}

static void weigh_keys(const struct run *run, const struct task *task,
                       int32_t first_key)
{
    const struct attention *const a = run->attention;
    const struct layout_lines *const lines = &a->probability_lines;
    const int32_t left = a->key_tokens - first_key;
    const struct kernel_softmax softmax = {
        .scores = (const void *)task->scores,
        .probabilities = task->probabilities,
        .type = a->type,
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
        .peak = task->peak,
        .total = task->total,
        .sums = (void *)task->sums,
    };
    run->plan->kernels->softmax(&softmax);
}

static bool run_keys(const struct run *run, const struct task *task, int32_t block,
                     int lane)
{
    const struct attention *const a = run->attention;
    const int32_t first_key = block * a->keys;
    if (a->options.causal && first_key >= task->first + task->count) return true;
    const unsigned char *const keys = packed_keys(run, task->slot, block);
    const struct product_call score_call = {.source = keys,
                                            .operand = task->query,
                                            .result = task->scores,
                                            .scratch = task->scratch};
    if (!product_run(a->score_product, lane, &score_call)) return false;
    weigh_keys(run, task, first_key);
    const struct product_call sum_call = {.source = keys + a->key_bytes,
                                          .operand = task->probabilities,
                                          .result = task->sums,
                                          .scratch = task->scratch};
    return product_run(a->sum_product, lane, &sum_call);
}

static void end_task(const struct run *run, const struct task *task)
{
    const struct attention *const a = run->attention;
    const struct plan_value *const result = &run->plan->values[run->op->result.id];
    const size_t dim = (size_t)a->options.head_dim,
                 element = dtype_bytes(result->dtype);
    const int64_t row = (int64_t)task->image * a->query_tokens + task->first;
    const size_t at = (size_t)row * (size_t)result->shape.c + (size_t)task->head * dim;
    for (int32_t i = 0; i < task->count; ++i)
        task->total[i] = 1.0f / task->total[i];
    const struct kernel_turn turn = {
        .target =
            (unsigned char *)plan_address(run->plan, run->op->result) + at * element,
        .source = task->sums,
        .target_type = result->dtype,
        .source_type = DTYPE_F32,
        .rows = dim,
        .columns = (size_t)task->count,
        .target_stride = (size_t)result->shape.c * element,
        .source_stride = (size_t)a->queries * sizeof(float),
        .factor = task->total,
    };
    run->plan->kernels->turn(&turn);
}

/* One block of queries of a head whose keys lie packed in the slot. */
static void run_queries(struct run *run, int32_t whole, int32_t slot, int32_t block,
                        int lane)
{
    const struct task task = task_of(run, whole, slot, block, lane);
    begin_task(run, &task);
    for (int32_t keys = 0; keys < run->attention->key_blocks; ++keys)
        if (!run_keys(run, &task, keys, lane)) {
            atomic_store(&run->failed, true);
            return;
        }
    end_task(run, &task);
}

/* ---- sharing the work ---------------------------------------------------------------- */

static void whole_head_task(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    const struct attention *const a = run->attention;
    for (int32_t block = 0; block < a->key_blocks; ++block)
        pack_block(run, (int32_t)task_idx, lane, block);
    for (int32_t block = 0; block < a->query_blocks; ++block)
        run_queries(run, (int32_t)task_idx, lane, block, lane);
}

static void pack_task(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const int32_t blocks = run->attention->key_blocks;
    const int32_t slot = (int32_t)(task_idx / blocks),
                  block = (int32_t)(task_idx % blocks);
    pack_block(run, run->first_head + slot, slot, block);
}

static void query_task(void *context, int64_t task_idx, int lane)
{
    struct run *const run = context;
    const int32_t blocks = run->attention->query_blocks;
    const int32_t slot = (int32_t)(task_idx / blocks),
                  block = (int32_t)(task_idx % blocks);
    run_queries(run, run->first_head + slot, slot, block, lane);
}

static void run_waves(struct run *run)
{
    const struct attention *const a = run->attention;
    for (int32_t head = 0; head < a->heads; head += a->wave_heads) {
        const int32_t left = a->heads - head;
        const int32_t count = left < a->wave_heads ? left : a->wave_heads;
        run->first_head = head;
        team_run((int64_t)count * a->key_blocks, pack_task, run);
        team_run_on(a->lanes, (int64_t)count * a->query_blocks, query_task, run);
    }
}

static bool run_attention(const struct plan *plan, const struct op *op,
                          struct rows rows)
{
    (void)rows;
    const struct attention *const a = op->state;
    struct run run = {
        .plan = plan, .op = op, .attention = a, .packed = plan_scratch(plan, op)};
    run.lanes = run.packed + a->packed_bytes;
    if (a->whole_heads)
        team_run_on(a->lanes, a->heads, whole_head_task, &run);
    else
        run_waves(&run);
    return !atomic_load(&run.failed);
}

static const struct op_class attention_class = {.kind = "attention",
                                                .prepare = prepare,
                                                .run = run_attention};

/* ---- building ----------------------------------------------------------------------- */

static bool check(struct plan *plan, const struct attention_options *options)
{
    if (!plan_has(plan, options->q, "attention's q") ||
        !plan_has(plan, options->k, "attention's k") ||
        !plan_has(plan, options->v, "attention's v"))
        return false;
    const struct shape q = plan_shape(plan, options->q),
                       k = plan_shape(plan, options->k);
    const struct shape v = plan_shape(plan, options->v);
    const int64_t width = (int64_t)options->heads * options->head_dim;
    if (options->heads < 1 || options->head_dim < 1 || options->q_column < 0 ||
        options->k_column < 0 || options->v_column < 0 ||
        options->q_column + width > q.c || options->k_column + width > k.c ||
        options->v_column + width > v.c) {
        plan_fail(plan, DR_BAD_INPUT,
                  "attention of %d heads of %d in values of %d, %d and %d channels",
                  options->heads, options->head_dim, q.c, k.c, v.c);
        return false;
    }
    if (k.n != q.n || v.n != q.n || k.h * k.w != v.h * v.w) {
        plan_fail(plan, DR_BAD_INPUT,
                  "attention of %d x %d queries, %d x %d keys and %d x %d values", q.n,
                  q.h * q.w, k.n, k.h * k.w, v.n, v.h * v.w);
        return false;
    }
    if (plan_dtype(plan, options->q) != plan->dtype ||
        plan_dtype(plan, options->k) != plan->dtype ||
        plan_dtype(plan, options->v) != plan->dtype) {
        plan_fail(plan, DR_BAD_INPUT, "attention's values must be in the plan's %s",
                  dtype_name(plan->dtype));
        return false;
    }
    return true;
}

struct value plan_attention(struct plan *plan, const struct attention_options *options)
{
    if (!check(plan, options)) return VALUE_NONE;
    struct attention *const a = plan_record(plan, sizeof *a);
    struct shape shape = plan_shape(plan, options->q);
    const struct shape k = plan_shape(plan, options->k);
    const int32_t query_tokens = shape.h * shape.w;
    shape.c = options->heads * options->head_dim;
    const struct value result = plan_value_new(plan, shape, plan->dtype);
    if (plan_failed(plan)) return VALUE_NONE;
    *a = (struct attention){
        .options = *options,
        .type = plan->dtype,
        .query_tokens = query_tokens,
        .key_tokens = k.h * k.w,
        .heads = shape.n * options->heads,
    };
    return plan_add_op(plan, &(struct op){
                                 .class = &attention_class,
                                 .inputs = {[ATTENTION_Q] = options->q,
                                            [ATTENTION_K] = options->k,
                                            [ATTENTION_V] = options->v},
                                 .result = result,
                                 .state = a,
                                 .inplace = NOT_INPLACE,
    });
}
