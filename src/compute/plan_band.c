#include "compute/plan_band.h"

#include <assert.h>
#include <string.h>

#include "base/fault.h"
#include "compute/group_norm.h"

/* A band has rows (lines) with this many pixels in total for each thread. The minimum is two blocks of
 * a GEMM: most of the band's memory is for rows that the next band needs again. The maximum is about
 * the size of the caches: in taller bands threads wait for each other less often, which matters most
 * if other programs use the cores too. */
#define LEAST_BAND_ROWS 256
#define MOST_BAND_ROWS  4096
/* An activation with narrower rows is divided into blocks that cross rows, of the best size for the
 * library, and is never in bands. */
#define LEAST_WIDTH 128
/* Computing a normalised value again costs almost nothing: so it is put in bands at a size that much
 * smaller. */
#define NORM_SHARE 8

static struct plan_buffer *buffer_of(const struct plan *plan, struct value value)
{
    return &plan->buffers[plan->values[value.id].buffer];
}

static struct shape shape_of(const struct plan *plan, struct value value)
{
    return plan->values[value.id].shape;
}

static bool is_banded(const struct plan *plan, struct value value)
{
    return value.id != 0 && buffer_of(plan, value)->banded;
}

/* ---- which ---------------------------------------------------------------------------- */

/* Is it seen in one shape only, and read only by operators that take some lines of it? */
static bool is_read_by_lines(const struct plan *plan, struct value value)
{
    const int32_t buffer = plan->values[value.id].buffer;
    for (size_t i = 1; i < plan->value_count; ++i)
        if ((int32_t)i != value.id && plan->values[i].buffer == buffer) return false;
    for (size_t i = 0; i < plan->op_count; ++i) {
        const struct op *const op = &plan->ops[i];
        for (int k = 0; k < OP_INPUTS; ++k)
            if (op->inputs[k].id == value.id && !op->by_lines) return false;
    }
    return true;
}

static bool can_be_banded(const struct plan *plan, const struct op *op)
{
    return op->by_lines && !buffer_of(plan, op->result)->pinned &&
           is_read_by_lines(plan, op->result);
}

static void find_in_bands(struct plan *plan)
{
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        op->in_bands = is_banded(plan, op->result);
        for (int k = 0; k < OP_INPUTS; ++k)
            op->in_bands = op->in_bands || is_banded(plan, op->inputs[k]);
    }
}

void plan_band_choose(struct plan *plan)
{
    if (!plan->by_lines) return;
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        const struct shape shape = shape_of(plan, op->result);
        op->by_lines = op->class->by_rows && shape.n == 1 && shape.w >= LEAST_WIDTH;
    }
    if (plan->whole_bytes == 0) return;
    plan->band_rows = LEAST_BAND_ROWS;
    for (size_t i = 0; i < plan->op_count; ++i) {
        const struct op *const op = &plan->ops[i];
        struct plan_buffer *const buffer = buffer_of(plan, op->result);
        const size_t share = group_norm_is(op) ? NORM_SHARE : 1;
        buffer->banded =
            buffer->bytes > plan->whole_bytes / share && can_be_banded(plan, op);
    }
    find_in_bands(plan);
}

static size_t line_bytes(const struct plan *plan, struct value value)
{
    const struct plan_value *const v = &plan->values[value.id];
    return (size_t)v->shape.w * (size_t)v->shape.c * dtype_bytes(v->dtype);
}

bool plan_band_can_keep(const struct plan *plan, size_t i)
{
    const struct op *const op = &plan->ops[i];
    return is_banded(plan, op->result) && !group_norm_is(op);
}

void plan_band_keep(struct plan *plan, size_t i)
{
    const struct value result = plan->ops[i].result;
    struct plan_buffer *const buffer = buffer_of(plan, result);
    buffer->banded = false;
    buffer->kept = true;
    buffer->bytes = line_bytes(plan, result) * (size_t)shape_of(plan, result).h;
    find_in_bands(plan);
}

void plan_band_let_go(struct plan *plan, size_t i)
{
    struct plan_buffer *const buffer = buffer_of(plan, plan->ops[i].result);
    buffer->banded = true;
    buffer->kept = false;
    find_in_bands(plan);
}

size_t plan_whole_bytes(const struct plan *plan)
{
    return plan->whole_bytes;
}

size_t plan_next_whole_bytes(const struct plan *plan)
{
    assert(plan->phase != PLAN_BUILDING);
    size_t largest = 0;
    for (size_t i = 0; i < plan->op_count; ++i) {
        const struct op *const op = &plan->ops[i];
        const struct plan_buffer *const buffer = buffer_of(plan, op->result);
        if (!buffer->banded && !buffer->kept && !group_norm_is(op) &&
            buffer->bytes > largest && can_be_banded(plan, op))
            largest = buffer->bytes;
    }
    if (largest == 0 || plan->whole_bytes == 0) return largest;
    return largest < plan->whole_bytes ? largest : largest - 1;
}

/* ---- steps ------------------------------------------------------------------------------ */

/* Mark the operators that make the banded values which operator i reads. They come before it. */
static int32_t mark_chain(const struct plan *plan, size_t i, bool *marked)
{
    int32_t count = 0;
    memset(marked, 0, plan->op_count * sizeof *marked);
    marked[i] = true;
    for (size_t reader = i + 1; reader-- > 0;) {
        if (!marked[reader]) continue;
        for (int k = 0; k < OP_INPUTS; ++k) {
            const struct value input = plan->ops[reader].inputs[k];
            if (!is_banded(plan, input)) continue;
            size_t maker = reader;
            while (plan->ops[--maker].result.id != input.id)
                assert(maker > 0);
            count += !marked[maker];
            marked[maker] = true;
        }
    }
    return count;
}

static enum dr_code add_step(struct plan *plan, const struct plan_step *step,
                             bool *marked, struct dr_error *err)
{
    struct plan_step *const added = &plan->steps[plan->step_count++];
    *added = *step;
    added->chain_count = mark_chain(plan, (size_t)step->op, marked);
    if (added->chain_count == 0) return DR_OK;
    int32_t *const chain =
        pool_alloc(&plan->step_pool, (size_t)added->chain_count * sizeof *chain);
    if (!chain)
        return error_set(err, DR_NOMEM, "%s: no memory for its steps", plan->name);
    int32_t count = 0;
    for (int32_t i = 0; i < step->op; ++i)
        if (marked[i]) chain[count++] = i;
    assert(count == added->chain_count);
    added->chain = chain;
    return DR_OK;
}

static bool reads(const struct op *op, struct value value)
{
    for (int k = 0; k < OP_INPUTS; ++k)
        if (op->inputs[k].id == value.id) return true;
    return false;
}

static enum dr_code find_readers(struct plan *plan, struct dr_error *err)
{
    int32_t *readers =
        pool_alloc(&plan->step_pool, plan->op_count * OP_INPUTS * sizeof *readers + 1);
    if (!readers)
        return error_set(err, DR_NOMEM, "%s: no memory for its steps", plan->name);
    for (size_t i = 0; i < plan->op_count; ++i) {
        struct op *const op = &plan->ops[i];
        op->readers = readers;
        for (size_t reader = i + 1; reader < plan->op_count; ++reader)
            if (reads(&plan->ops[reader], op->result)) *readers++ = (int32_t)reader;
        op->reader_count = (int32_t)(readers - op->readers);
    }
    return DR_OK;
}

enum dr_code plan_band_steps(struct plan *plan, struct dr_error *err)
{
    pool_finish(&plan->step_pool);
    plan->step_count = 0;
    plan->steps =
        pool_alloc(&plan->step_pool, (2 * plan->op_count + 1) * sizeof *plan->steps);
    bool *const marked =
        pool_alloc(&plan->step_pool, plan->op_count * sizeof *marked + 1);
    if (!plan->steps || !marked)
        return error_set(err, DR_NOMEM, "%s: no memory for its steps", plan->name);
    enum dr_code code = find_readers(plan, err);
    for (size_t i = 0; i < plan->op_count && code == DR_OK; ++i) {
        const struct op *const op = &plan->ops[i];
        struct plan_step step = {.kind = STEP_WHOLE, .op = (int32_t)i};
        if (op->in_bands && group_norm_is(op)) {
            step.kind = STEP_MEASURE;
            code = add_step(plan, &step, marked, err);
        }
        step.kind = op->in_bands ? STEP_FILL : STEP_WHOLE;
        if (code == DR_OK && !is_banded(plan, op->result))
            code = add_step(plan, &step, marked, err);
    }
    return code;
}

/* ---- the walk --------------------------------------------------------------------------- */

static struct rows rows_of(const struct plan *plan, struct value value,
                           struct lines lines)
{
    const int64_t width = shape_of(plan, value).w;
    return (struct rows){lines.first * width, (lines.end - lines.first) * width};
}

/* Up to a whole step of what the operator makes at once. */
static int32_t whole_steps(const struct plan *plan, const struct op *op, int32_t lines)
{
    const int32_t step = op->class->line_step > 0 ? op->class->line_step : 1;
    const int32_t height = shape_of(plan, op->result).h;
    const int32_t whole = (lines + step - 1) / step * step;
    return whole < height ? whole : height;
}

/* Of a map of this shape. */
static int32_t band_lines(const struct plan *plan, struct shape shape)
{
    const int32_t rows = plan->band_rows * plan->thread_count;
    return rows > shape.w ? rows / shape.w : 1;
}

static struct lines needs_of(const struct op *op, int k, struct lines lines)
{
    return op->class->needs ? op->class->needs(op, k, lines) : lines;
}

/* An operator that has yet to make lines which these lines of operator i are made of: it is asked for them. -1: there is
 * none. */
static int32_t ask_for_inputs(const struct plan *plan, int32_t i, struct lines lines)
{
    const struct op *const op = &plan->ops[i];
    for (int k = 0; k < OP_INPUTS; ++k) {
        if (!is_banded(plan, op->inputs[k])) continue;
        struct plan_buffer *const buffer = buffer_of(plan, op->inputs[k]);
        const struct lines need = needs_of(op, k, lines);
        if (need.end <= need.first || need.end <= buffer->window.end) continue;
        buffer->asked_end = need.end;
        buffer->asked_by = i;
        int32_t maker = i;
        while (plan->ops[--maker].result.id != op->inputs[k].id)
            assert(maker > 0);
        return maker;
    }
    return -1;
}

/* The first line that an operator of the step will still read of the result of operator i. */
static int32_t first_read(const struct plan *plan, const struct plan_step *step,
                          int32_t i, int32_t step_line)
{
    const struct value result = plan->ops[i].result;
    int32_t first = shape_of(plan, result).h;
    for (int32_t n = 0; n < plan->ops[i].reader_count; ++n) {
        const int32_t reader = plan->ops[i].readers[n];
        const struct op *const op = &plan->ops[reader];
        if (!op->in_step) continue;
        const int32_t line =
            reader == step->op ? step_line : buffer_of(plan, op->result)->window.end;
        if (line >= shape_of(plan, op->result).h) continue;
        for (int k = 0; k < OP_INPUTS; ++k) {
            if (op->inputs[k].id != result.id) continue;
            const struct lines need = needs_of(op, k, (struct lines){line, line + 1});
            if (need.end > need.first && need.first < first) first = need.first;
        }
    }
    return first;
}

static bool make_rows(struct plan *plan, int32_t i, struct rows rows,
                      struct plan_runner *runner)
{
    struct op *const op = &plan->ops[i];
    if (runner) return plan_run_rows(plan, i, rows, runner);
    op->run_flop += op_flop_of(plan, op, rows);
    return true;
}

/* Lines before this are not needed any more: the others move to the buffer's begin. */
static void drop_lines(const struct plan *plan, struct value value, int32_t first,
                       bool moves)
{
    struct lines *const window = &buffer_of(plan, value)->window;
    if (first >= window->end) {
        *window = (struct lines){first, first};
    } else if (first > window->first) {
        const size_t line = line_bytes(plan, value);
        unsigned char *const base = moves ? plan_address(plan, value) : NULL;
        if (base && !fault_is_sabotaged(SABOTAGE_UNMOVED_BAND))
            memmove(base, base + (size_t)(first - window->first) * line,
                    (size_t)(window->end - first) * line);
        window->first = first;
    }
}

/* The next lines of operator i: of those that it was asked for, as many as a band has. */
static struct lines next_lines(const struct plan *plan, int32_t i)
{
    const struct op *const op = &plan->ops[i];
    const struct plan_buffer *const buffer = buffer_of(plan, op->result);
    struct lines next = {buffer->window.end, buffer->asked_end};
    const int32_t most = band_lines(plan, shape_of(plan, op->result));
    if (next.end - next.first > most) next.end = next.first + most;
    next.end = whole_steps(plan, op, next.end);
    return next;
}

static bool make_next(struct plan *plan, const struct plan_step *step, int32_t i,
                      int32_t step_line, struct plan_runner *runner)
{
    const struct value result = plan->ops[i].result;
    struct plan_buffer *const buffer = buffer_of(plan, result);
    const struct lines next = next_lines(plan, i);
    const int32_t first = first_read(plan, step, i, step_line);
    drop_lines(plan, result, first < next.first ? first : next.first, runner != NULL);
    buffer->window.end = next.end;
    if (next.end - buffer->window.first > buffer->capacity) {
        assert(!runner);
        buffer->capacity = next.end - buffer->window.first;
    }
    return make_rows(plan, i, rows_of(plan, result, next), runner);
}

/* Make all that lines of the step's operator are made of. Lines are made when they are asked for, so that each operator
 * is only as far ahead as the next one needs: it goes up to an operator that has all inputs, and back. */
static bool make_chain(struct plan *plan, const struct plan_step *step,
                       struct lines lines, struct plan_runner *runner)
{
    for (int32_t i = step->op;;) {
        const int32_t maker =
            ask_for_inputs(plan, i, i == step->op ? lines : next_lines(plan, i));
        if (maker >= 0) {
            i = maker;
            continue;
        }
        if (i == step->op) return true;
        if (!make_next(plan, step, i, lines.first, runner)) return false;
        i = buffer_of(plan, plan->ops[i].result)->asked_by;
    }
}

static int32_t step_lines(const struct plan *plan, const struct plan_step *step,
                          struct shape shape)
{
    return step->chain_count == 0 ? shape.h : band_lines(plan, shape);
}

static int32_t later(int32_t end, int32_t lines, int32_t height)
{
    return lines < height - end ? end + lines : height;
}

static bool fill(struct plan *plan, const struct plan_step *step,
                 struct plan_runner *runner)
{
    const struct value result = plan->ops[step->op].result;
    const struct shape shape = shape_of(plan, result);
    const int32_t count =
        whole_steps(plan, &plan->ops[step->op], step_lines(plan, step, shape));
    for (struct lines band = {0, 0}; band.end < shape.h; band.first = band.end) {
        band.end = later(band.end, count, shape.h);
        if (!make_chain(plan, step, band, runner) ||
            !make_rows(plan, step->op, rows_of(plan, result, band), runner))
            return false;
    }
    return true;
}

/* A band begins with the first piece that was not complete in the bands before. */
static bool measure(struct plan *plan, const struct plan_step *step,
                    struct plan_runner *runner)
{
    const struct op *const op = &plan->ops[step->op];
    const struct shape shape = shape_of(plan, op->result);
    const int32_t count = step_lines(plan, step, shape);
    int64_t measured = 0;
    for (int32_t end = 0; end < shape.h;) {
        end = later(end, count, shape.h);
        const int64_t pieces = group_norm_pieces(op, end);
        const struct lines band = {group_norm_line(op, measured), end};
        if (!make_chain(plan, step, band, runner)) return false;
        if (runner) plan_run_measure(plan, step->op, measured, pieces);
        measured = pieces;
    }
    if (runner) group_norm_settle(plan, op);
    return true;
}

static bool walk(struct plan *plan, const struct plan_step *step,
                 struct plan_runner *runner)
{
    const struct op *const op = &plan->ops[step->op];
    for (size_t i = 0; i < plan->op_count; ++i)
        plan->ops[i].in_step = (int32_t)i == step->op;
    for (int32_t i = 0; i < step->chain_count; ++i) {
        struct op *const maker = &plan->ops[step->chain[i]];
        maker->in_step = true;
        buffer_of(plan, maker->result)->window = (struct lines){0, 0};
    }
    switch (step->kind) {
    case STEP_WHOLE: {
        const struct rows all = {0, shape_rows(shape_of(plan, op->result))};
        return make_rows(plan, step->op, all, runner);
    }
    case STEP_FILL: return fill(plan, step, runner);
    case STEP_MEASURE: return measure(plan, step, runner);
    }
    return false;
}

void plan_band_measure(struct plan *plan)
{
    plan->flop = 0;
    for (size_t i = 0; i < plan->op_count; ++i) {
        plan->ops[i].run_flop = 0;
        buffer_of(plan, plan->ops[i].result)->capacity = 0;
    }
    for (size_t i = 0; i < plan->step_count; ++i) {
        const bool walked = walk(plan, &plan->steps[i], NULL);
        assert(walked);
        (void)walked;
    }
    for (size_t i = 0; i < plan->op_count; ++i) {
        const struct value result = plan->ops[i].result;
        struct plan_buffer *const buffer = buffer_of(plan, result);
        plan->flop += plan->ops[i].run_flop;
        if (buffer->banded)
            buffer->bytes = (size_t)buffer->capacity * line_bytes(plan, result);
    }
}

void plan_band_forget(struct plan *plan)
{
    for (size_t i = 0; i < plan->buffer_count; ++i)
        if (plan->buffers[i].banded) plan->buffers[i].bytes = 0;
}

double plan_band_flop(const struct plan *plan)
{
    double flop = 0;
    for (size_t i = 0; i < plan->step_count; ++i) {
        const struct plan_step *const step = &plan->steps[i];
        if (step->kind != STEP_MEASURE) flop += plan->ops[step->op].flop;
        for (int32_t k = 0; k < step->chain_count; ++k)
            flop += plan->ops[step->chain[k]].flop;
    }
    return flop;
}

void plan_band_heighten(struct plan *plan)
{
    plan->band_rows = MOST_BAND_ROWS;
}

bool plan_band_lower(struct plan *plan)
{
    if (plan->band_rows <= LEAST_BAND_ROWS) return false;
    plan->band_rows /= 2;
    return true;
}

bool plan_band_run(struct plan *plan, const struct plan_step *step,
                   struct plan_runner *runner)
{
    return walk(plan, step, runner);
}
