/* Attention in blocks of queries and keys; no score leaves the cache (Rabe and Staats, arXiv
 * 2112.05682; Dao et al., arXiv 2205.14135, without their GPU's tiling).
 *
 *   pack   a head's keys and values, block of keys by block
 *   task   one block of queries of one head: for each block of keys
 *              scores [keys][queries]  = keys [keys][dim] x queries [dim][queries]
 *              probabilities           = softmax of them, relative to the largest score so far
 *              sums [dim][queries]    += values [dim][keys] x probabilities [keys][queries]
 *          and at the end sums / total, transposed back and rounded, is the result.
 *
 * How a block is packed and computed is a core's (attention_private.h).
 *
 * If there are enough heads for the threads, one thread computes a head, including its packing,
 * and the threads are synchronised once. Else they share a few heads at a time: first they pack them,
 * then they compute the blocks of queries. The numbers do not depend on which thread does what.
 *
 * Queries are columns for two reasons: a vector of the processor holds the scores of 16
 * queries, so softmax never adds or compares within a vector; and the head's dimension, 40 in
 * SD1.5's largest level, becomes a number of rows. As columns it would fill 40 of 48 vector lanes, and
 * the GEMMs would run at 0.8 of this rate.
 */
#include "compute/attention_private.h"
#include "compute/compute.h"
#include "compute/library.h"
#include "compute/team.h"

#define TASKS_A_THREAD 4
#define HEADS_A_THREAD 8

/* ---- making ------------------------------------------------------------------------- */

static const struct attention_core *choose_core(const struct plan *plan,
                                                enum dtype type)
{
    const bool fused =
        type == DTYPE_F32 || library_is_slower_in_bf16(plan->kernels->multiplies_bf16);
    return fused ? &attention_fused : &attention_gemm;
}

static void share_heads(struct attention *a)
{
    const int32_t threads = compute_thread_count();
    a->whole_heads = a->heads % threads == 0 || a->heads >= HEADS_A_THREAD * threads;
    const int32_t wanted = TASKS_A_THREAD * threads;
    a->wave_heads = (wanted + a->query_blocks - 1) / a->query_blocks;
    if (a->wave_heads > a->heads) a->wave_heads = a->heads;
}

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    struct attention *const a = op->state;
    a->core = choose_core(plan, a->type);
    const enum dr_code code = a->core->prepare(plan, a, err);
    if (code != DR_OK) return code;
    share_heads(a);
    a->head_bytes = a->block_bytes * (size_t)a->key_blocks;
    const size_t bytes = a->lane_bytes + (a->whole_heads ? a->head_bytes : 0);
    const int64_t tasks = (int64_t)a->wave_heads * a->query_blocks;
    a->lanes = team_lanes(a->whole_heads ? a->heads : tasks, bytes);
    const size_t lanes = (size_t)a->lanes;
    a->packed_bytes = a->head_bytes * (a->whole_heads ? lanes : (size_t)a->wave_heads);
    op->scratch_bytes = a->packed_bytes + a->lane_bytes * lanes;
    op->flop = 4.0 * a->heads * a->query_tokens * a->key_tokens * a->options.head_dim;
    return DR_OK;
}

/* ---- for the cores ------------------------------------------------------------------- */

const unsigned char *attention_head(const struct attention_run *run, int which,
                                    int32_t image, int32_t token, int32_t head)
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

size_t attention_step(const struct attention_run *run, int which)
{
    return (size_t)run->plan->values[run->op->inputs[which].id].shape.c;
}

unsigned char *attention_result(const struct attention_run *run,
                                const struct attention_task *task, int32_t query)
{
    const struct attention *const a = run->attention;
    const struct plan_value *const result = &run->plan->values[run->op->result.id];
    const int64_t row = (int64_t)task->image * a->query_tokens + task->first + query;
    const size_t at = (size_t)row * (size_t)result->shape.c +
                      (size_t)(task->head * a->options.head_dim);
    return (unsigned char *)plan_address(run->plan, run->op->result) +
           at * dtype_bytes(result->dtype);
}

void attention_finish(const struct attention_run *run,
                      const struct attention_task *task, int32_t first, int32_t count,
                      const float *sums, size_t step, float *total)
{
    const struct plan_value *const result = &run->plan->values[run->op->result.id];
    for (int32_t i = 0; i < count; ++i)
        total[i] = 1.0f / total[i];
    const struct kernel_turn turn = {
        .target = attention_result(run, task, first),
        .source = sums,
        .target_type = result->dtype,
        .source_type = DTYPE_F32,
        .rows = (size_t)run->attention->options.head_dim,
        .columns = (size_t)count,
        .target_stride = (size_t)result->shape.c * dtype_bytes(result->dtype),
        .source_stride = step * sizeof(float),
        .factor = total,
    };
    run->plan->kernels->turn(&turn);
}

/* ---- sharing the work ---------------------------------------------------------------- */

static void pack_block(const struct attention_run *run, int32_t whole, int32_t slot,
                       int32_t block)
{
    const struct attention *const a = run->attention;
    a->core->pack(run, whole, block,
                  run->packed + (size_t)slot * a->head_bytes +
                      (size_t)block * a->block_bytes);
}

/* One block of queries of a head whose keys lie packed in the slot. */
static void run_queries(struct attention_run *run, int32_t whole, int32_t slot,
                        int32_t block, int lane)
{
    const struct attention *const a = run->attention;
    const int32_t first = block * a->queries, left = a->query_tokens - first;
    const struct attention_task task = {
        .image = whole / a->options.heads,
        .head = whole % a->options.heads,
        .first = first,
        .count = left < a->queries ? left : a->queries,
        .lane = lane,
        .packed = run->packed + (size_t)slot * a->head_bytes,
        .scratch = run->lanes + (size_t)lane * a->lane_bytes,
    };
    if (!a->core->attend(run, &task)) atomic_store(&run->failed, true);
}

static void whole_head_task(void *context, int64_t task_idx, int lane)
{
    struct attention_run *const run = context;
    const struct attention *const a = run->attention;
    for (int32_t block = 0; block < a->key_blocks; ++block)
        pack_block(run, (int32_t)task_idx, lane, block);
    for (int32_t block = 0; block < a->query_blocks; ++block)
        run_queries(run, (int32_t)task_idx, lane, block, lane);
}

static void pack_task(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct attention_run *const run = context;
    const int32_t blocks = run->attention->key_blocks;
    const int32_t slot = (int32_t)(task_idx / blocks),
                  block = (int32_t)(task_idx % blocks);
    pack_block(run, run->first_head + slot, slot, block);
}

static void query_task(void *context, int64_t task_idx, int lane)
{
    struct attention_run *const run = context;
    const int32_t blocks = run->attention->query_blocks;
    const int32_t slot = (int32_t)(task_idx / blocks),
                  block = (int32_t)(task_idx % blocks);
    run_queries(run, run->first_head + slot, slot, block, lane);
}

static void run_waves(struct attention_run *run)
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
    struct attention_run run = {
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
