/* Lays out the arena for a list of operators.
 *
 * Time is the index of the operator. The live range of a buffer is from the operator that writes it to the
 * last one that reads it; that of inputs and outputs is the complete run; that of scratch memory is one
 * operator. If an operator works element by element and is the last reader of its input, the
 * result uses the input's buffer ("in place"): one pass over memory and one buffer less.
 *
 * Values in bands (plan_band.h) are computed within a step, at the time of the step's operator.
 * Their operators share one scratch buffer, because only one runs at a time; a group norm has its own, because
 * its statistics are used long after they were measured.
 *
 * Steady values that are kept from run to run (plan_keep_steady) live over the complete run, as outputs do.
 *
 * With most_bytes, the layout is repeated with one banded value after another kept completely, until none saves
 * enough work or fits. Operators are prepared only once.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "compute/group_norm.h"
#include "compute/linear.h"
#include "compute/merge.h"
#include "compute/plan_band.h"
#include "compute/pointwise.h"

/* The share of a run's FLOP that keeping a value must save; for less, its memory is not used. */
#define LEAST_GAIN 0.02

static struct plan_buffer *buffer_of(const struct plan *plan, struct value value)
{
    return &plan->buffers[plan->values[value.id].buffer];
}

/* ---- joining ------------------------------------------------------------------------ */

static size_t count_reads(const struct plan *plan, const struct plan_buffer *buffer)
{
    size_t reads = 0;
    for (size_t i = 0; i < plan->op_count; ++i)
        for (int k = 0; k < OP_INPUTS; ++k)
            reads += plan->ops[i].inputs[k].id != 0 &&
                     buffer_of(plan, plan->ops[i].inputs[k]) == buffer;
    return reads;
}

/* A GEGLU that alone reads the result of a linear is done in the linear's cache: its wide
 * input, the largest value of a transformer, then never exists. */
static bool join_gate(struct plan *plan, size_t gate)
{
    const struct value wide = plan->ops[gate].inputs[0];
    struct plan_buffer *const buffer = buffer_of(plan, wide);
    if (buffer->pinned || count_reads(plan, buffer) != 1) return false;
    for (size_t i = 0; i < gate; ++i) {
        if (buffer_of(plan, plan->ops[i].result) != buffer) continue;
        if (!linear_gate(&plan->ops[i], plan->ops[gate].result)) return false;
        buffer->bytes = 0;
        return true;
    }
    return false;
}

static void join_gates(struct plan *plan)
{
    for (size_t i = 0; i < plan->op_count; ++i)
        if (pointwise_is_gate(&plan->ops[i]) && join_gate(plan, i)) {
            memmove(&plan->ops[i], &plan->ops[i + 1],
                    (plan->op_count - i - 1) * sizeof *plan->ops);
            --plan->op_count;
            --i;
        }
}

/* ---- lives -------------------------------------------------------------------------- */

static void use(struct plan_buffer *buffer, int32_t time)
{
    if (buffer->first < 0 && !buffer->given) buffer->first = time;
    if (buffer->last < time) buffer->last = time;
}

/* An operator that works in the step of the operator `time`. */
static void find_lives_of(struct plan *plan, struct op *op, int32_t time, bool writes)
{
    for (int k = 0; k < OP_INPUTS; ++k) {
        if (op->inputs[k].id == 0) continue;
        struct plan_buffer *const buffer = buffer_of(plan, op->inputs[k]);
        assert(buffer->given || buffer->first >= 0); /* written before it is read */
        use(buffer, time);
    }
    if (writes) use(buffer_of(plan, op->result), time);
    if (op->scratch_first < 0) op->scratch_first = time;
    op->scratch_last = time;
}

/* Over the complete run, and beyond it. */
static bool stays(const struct plan *plan, const struct plan_buffer *buffer)
{
    return buffer->pinned || (plan->keeps_steady && buffer->wanted);
}

static void find_lives(struct plan *plan)
{
    for (size_t i = 0; i < plan->buffer_count; ++i)
        plan->buffers[i].first = plan->buffers[i].last = -1;
    for (size_t i = 0; i < plan->op_count; ++i)
        plan->ops[i].scratch_first = -1;
    for (size_t i = 0; i < plan->step_count; ++i) {
        const struct plan_step *const step = &plan->steps[i];
        for (int32_t k = 0; k < step->chain_count; ++k)
            find_lives_of(plan, &plan->ops[step->chain[k]], step->op, true);
        find_lives_of(plan, &plan->ops[step->op], step->op, step->kind != STEP_MEASURE);
    }
    const int32_t end = plan->op_count > 0 ? (int32_t)plan->op_count - 1 : 0;
    for (size_t i = 0; i < plan->buffer_count; ++i) {
        struct plan_buffer *const buffer = &plan->buffers[i];
        if (stays(plan, buffer) || buffer->first < 0) {
            buffer->first = 0;
            buffer->last = end;
        }
    }
}

/* May the result of operator i use the memory of its input k? Not if the input is needed later,
 * if it is an input or output of the plan, or if another input of the operator has the same memory. */
static bool may_take(const struct plan *plan, size_t i, int k)
{
    const struct op *const op = &plan->ops[i];
    const struct value input = op->inputs[k];
    const struct plan_buffer *const from = buffer_of(plan, input);
    const struct plan_buffer *const to = buffer_of(plan, op->result);
    if (plan->values[input.id].dtype != plan->values[op->result.id].dtype) return false;
    if (from->bytes != to->bytes || stays(plan, to) || from == to) return false;
    const struct plan_buffer *const owner = &plan->buffers[from->owner];
    if (stays(plan, owner) || owner->last != (int32_t)i) return false;
    for (int other = 0; other < OP_INPUTS; ++other)
        if (other != k && op->inputs[other].id != 0 &&
            buffer_of(plan, op->inputs[other])->owner == from->owner)
            return false;
    return true;
}

static void take_over(struct plan *plan)
{
    for (size_t i = 0; i < plan->buffer_count; ++i)
        plan->buffers[i].owner = (int32_t)i;
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        op->taken = false;
        if (op->in_bands || op->inplace == NOT_INPLACE ||
            op->inputs[op->inplace].id == 0)
            continue;
        if (!may_take(plan, i, op->inplace)) continue;
        struct plan_buffer *const to = buffer_of(plan, op->result);
        to->owner = buffer_of(plan, op->inputs[op->inplace])->owner;
        plan->buffers[to->owner].last = to->last;
        op->taken = true;
    }
}

/* ---- layout ------------------------------------------------------------------------- */

static enum dr_code prepare_ops(struct plan *plan, struct dr_error *err)
{
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        enum dr_code code = op->class->prepare(plan, op, err);
        if (code == DR_OK) code = merge_prepare(plan, op, err);
        if (code != DR_OK) {
            error_prefix(err, "%s: %s", plan->name, op->class->kind);
            return code;
        }
        plan->whole_flop += op->flop;
    }
    return DR_OK;
}

static bool shares_scratch(const struct op *op)
{
    return op->in_bands && !group_norm_is(op);
}

/* One for all operators that work by lines, over all of their lives. */
static struct arena_item shared_scratch(const struct plan *plan)
{
    struct arena_item shared = {.first = INT32_MAX};
    for (size_t i = 0; i < plan->op_count; ++i) {
        const struct op *const op = &plan->ops[i];
        if (!shares_scratch(op) || op->scratch_first < 0) continue;
        if (op->scratch_bytes > shared.bytes) shared.bytes = op->scratch_bytes;
        if (op->scratch_first < shared.first) shared.first = op->scratch_first;
        if (op->scratch_last > shared.last) shared.last = op->scratch_last;
    }
    if (shared.first > shared.last) shared.first = shared.last;
    return shared;
}

static void place_scratch(struct plan *plan)
{
    const size_t shared = plan->item_count++;
    plan->items[shared] = shared_scratch(plan);
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        const bool unused = op->scratch_first < 0;
        op->scratch_item = shared;
        if (shares_scratch(op) || unused) continue;
        op->scratch_item = plan->item_count;
        plan->items[plan->item_count++] = (struct arena_item){
            .bytes = op->scratch_bytes,
            .first = op->scratch_first,
            .last = op->scratch_last,
        };
    }
}

static enum dr_code place(struct plan *plan, size_t *scratch, struct dr_error *err)
{
    plan->item_count = 0;
    for (size_t i = 0; i < plan->buffer_count; ++i) {
        struct plan_buffer *const buffer = &plan->buffers[i];
        if (buffer->owner != (int32_t)i) continue;
        buffer->item = plan->item_count;
        plan->items[plan->item_count++] = (struct arena_item){.bytes = buffer->bytes,
                                                              .first = buffer->first,
                                                              .last = buffer->last};
    }
    place_scratch(plan);
    return arena_plan_place(plan->items, plan->item_count, scratch, &plan->bytes, err);
}

/* Steps and lives, of what is in bands now. */
static enum dr_code order(struct plan *plan, struct dr_error *err)
{
    const enum dr_code code = plan_band_steps(plan, err);
    if (code != DR_OK) return code;
    find_lives(plan);
    take_over(plan);
    return DR_OK;
}

static enum dr_code arrange(struct plan *plan, size_t *scratch, struct dr_error *err)
{
    const enum dr_code code = order(plan, err);
    if (code != DR_OK) return code;
    plan_band_measure(plan);
    return place(plan, scratch, err);
}

/* FLOP with the values that are kept now; infinite if they do not fit, or if it is not less.
 * Measuring bands takes long: first whether there would be room if they took nothing. */
static enum dr_code try_kept(struct plan *plan, double least, size_t *scratch,
                             double *flop, struct dr_error *err)
{
    *flop = INFINITY;
    enum dr_code code = order(plan, err);
    if (code != DR_OK) return code;
    const double made = plan_band_flop(plan);
    if (made >= least) return DR_OK;
    plan_band_forget(plan);
    code = place(plan, scratch, err);
    if (code == DR_OK && plan->bytes <= plan->most_bytes)
        code = arrange(plan, scratch, err);
    if (code == DR_OK && plan->bytes <= plan->most_bytes) *flop = made;
    return code;
}

/* The operator whose result saves most if it is whole too; as many as there are: none does. */
static enum dr_code find_best(struct plan *plan, size_t *scratch, size_t *best,
                              struct dr_error *err)
{
    double least = plan_band_flop(plan) * (1 - LEAST_GAIN);
    *best = plan->op_count;
    for (size_t i = 0; i < plan->op_count; ++i) {
        double flop = INFINITY;
        if (!plan_band_can_keep(plan, i)) continue;
        plan_band_keep(plan, i);
        const enum dr_code code = try_kept(plan, least, scratch, &flop, err);
        plan_band_let_go(plan, i);
        if (code != DR_OK) return code;
        if (flop >= least) continue;
        least = flop;
        *best = i;
    }
    return DR_OK;
}

/* Values are kept while there is room, each time the one that saves most. */
static enum dr_code keep_values(struct plan *plan, size_t *scratch,
                                struct dr_error *err)
{
    for (;;) {
        size_t best = 0;
        enum dr_code code = arrange(plan, scratch, err);
        if (code == DR_OK) code = find_best(plan, scratch, &best, err);
        if (code != DR_OK || best == plan->op_count) return code;
        plan_band_keep(plan, best);
    }
}

/* With as much kept and bands as tall as most_bytes allows. */
enum dr_code plan_lay_out(struct plan *plan, struct dr_error *err)
{
    const size_t most = plan->buffer_count + plan->op_count + 2;
    plan->items = pool_alloc(&plan->pool, most * sizeof *plan->items);
    size_t *const scratch = pool_alloc(&plan->pool, most * sizeof *scratch);
    if (!plan->items || !scratch)
        return error_set(err, DR_NOMEM, "%s: no memory for the arena's table",
                         plan->name);
    enum dr_code code = DR_OK;
    if (plan->most_bytes > 0 && plan->band_rows > 0) {
        code = keep_values(plan, scratch, err);
        plan_band_heighten(plan);
    }
    if (code != DR_OK) return code;
    do
        code = arrange(plan, scratch, err);
    while (code == DR_OK && plan->bytes > plan->most_bytes && plan_band_lower(plan));
    return code;
}

static enum dr_code make_profiles(struct plan *plan, struct dr_error *err)
{
    plan->profiles =
        pool_alloc(&plan->pool, (plan->op_count + 1) * sizeof *plan->profiles);
    if (!plan->profiles)
        return error_set(err, DR_NOMEM, "%s: no memory for the profile", plan->name);
    for (size_t i = 0; i < plan->op_count; ++i) {
        const struct op *const op = &plan->ops[i];
        plan->profiles[i] = (struct plan_op_profile){
            .kind = op->class->kind,
            .shape = plan->values[op->result.id].shape,
            .in = plan->values[op->inputs[0].id].shape.c,
            .flop = op->run_flop,
            .bytes = plan_touched_bytes(plan, op),
        };
    }
    return DR_OK;
}

enum dr_code plan_seal(struct plan *plan, struct dr_error *err)
{
    assert(plan->phase == PLAN_BUILDING);
    if (plan_failed(plan)) {
        if (err) *err = plan->error;
        return plan->error.code;
    }
    struct dr_error failure = {.code = DR_OK};
    join_gates(plan);
    plan_find_steady(plan);
    plan_band_choose(plan);
    enum dr_code code = prepare_ops(plan, &failure);
    if (code == DR_OK) code = plan_lay_out(plan, &failure);
    if (code == DR_OK) code = make_profiles(plan, &failure);
    if (code != DR_OK) {
        plan->error = failure;
        if (err) *err = failure;
        return code;
    }
    plan->phase = PLAN_SEALED;
    plan_check(plan);
    return DR_OK;
}

size_t plan_bytes(const struct plan *plan)
{
    assert(plan->phase != PLAN_BUILDING);
    return plan->bytes;
}

double plan_flop(const struct plan *plan)
{
    return plan->flop;
}

double plan_whole_flop(const struct plan *plan)
{
    return plan->whole_flop;
}

void plan_check(const struct plan *plan)
{
    assert(plan->phase != PLAN_BUILDING);
    arena_plan_check(plan->items, plan->item_count, plan->bytes);
    for (size_t i = 0; i < plan->buffer_count; ++i) {
        const struct plan_buffer *const buffer = &plan->buffers[i];
        const struct plan_buffer *const owner = &plan->buffers[buffer->owner];
        assert(owner->owner == buffer->owner); /* owners own themselves */
        assert(owner->bytes == buffer->bytes);
        assert(owner->first <= buffer->first && owner->last >= buffer->last);
        assert(plan->items[owner->item].bytes == buffer->bytes);
    }
}
