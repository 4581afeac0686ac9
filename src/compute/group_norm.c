/* Group normalisation in three steps, each over all threads:
 *
 *   1. pieces of PIECE_NUMBERS or so of an image: mean and squares of every channel, by two
 *      passes over the piece (kernels.h), the second from the cache;
 *   2. one group of one image: pieces and channels are combined in double (Chan, Golub
 *      and LeVeque 1979) and give one factor and one offset for each channel;
 *   3. the same pieces: x * factor + offset, SiLU, rounding.
 *
 * A number that is added to all pixels of a channel (the time embedding) changes only that channel's mean,
 * so step 1 does not need it. The pieces depend only on the shape.
 *
 * With bands (plan_band.h) steps 1 and 2 are done first, for the complete image, and step 3 is done for
 * some rows each time they are needed.
 */
#include "compute/group_norm.h"

#include <math.h>

#include "base/size.h"
#include "compute/merge.h"
#include "compute/team.h"

#define PIECE_NUMBERS 65536

enum {
    NORM_X,
    NORM_SECOND,
    NORM_SHIFT
};

struct group_norm {
    struct group_norm_options options;
    int32_t channels[2]; /* of x and second */
    int32_t total;
    int32_t images;
    int32_t width;                /* of an image */
    int64_t pixels;               /* of an image */
    int64_t piece_pixels, pieces; /* of an image */
    size_t mean_bytes, factor_bytes;
};

struct run {
    const struct plan *plan;
    const struct op *op;
    const struct group_norm *norm;
    float *mean, *squares;  /* [image][piece][total] */
    float *factor, *offset; /* [image][total] */
    int64_t first_piece;    /* to measure */
    struct rows rows;       /* to normalise */
};

static enum dr_code prepare(struct plan *plan, struct op *op, struct dr_error *err)
{
    (void)plan;
    (void)err;
    struct group_norm *const norm = op->state;
    norm->piece_pixels = PIECE_NUMBERS / norm->total;
    if (norm->piece_pixels < 16) norm->piece_pixels = 16;
    if (norm->piece_pixels > 1024) norm->piece_pixels = 1024;
    norm->pieces = (norm->pixels + norm->piece_pixels - 1) / norm->piece_pixels;
    const size_t image_numbers = (size_t)norm->images * (size_t)norm->total;
    norm->factor_bytes = size_align(image_numbers * sizeof(float), 64);
    norm->mean_bytes =
        size_align(image_numbers * (size_t)norm->pieces * sizeof(float), 64);
    op->scratch_bytes = 2 * norm->mean_bytes + 2 * norm->factor_bytes;
    op->weight_bytes = norm->options.scale->bytes + norm->options.bias->bytes;
    return DR_OK;
}

struct piece {
    int64_t image, first, pixels; /* first: of all images' */
};

static struct piece piece_of(const struct group_norm *norm, int64_t task_idx)
{
    const int64_t image = task_idx / norm->pieces, i = task_idx % norm->pieces;
    const int64_t start = i * norm->piece_pixels, left = norm->pixels - start;
    return (struct piece){
        .image = image,
        .first = image * norm->pixels + start,
        .pixels = left < norm->piece_pixels ? left : norm->piece_pixels,
    };
}

static const unsigned char *pixels_of(const struct run *run, struct value value,
                                      int64_t first)
{
    return plan_row(run->plan, value, first);
}

static void measure_piece(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct group_norm *const norm = run->norm;
    const int64_t piece_idx = run->first_piece + task_idx;
    const struct piece piece = piece_of(norm, piece_idx);
    size_t at = (size_t)piece_idx * (size_t)norm->total;
    for (int k = 0; k < 2; ++k) {
        const struct value value = run->op->inputs[k];
        if (value.id == 0) continue;
        const size_t channels = (size_t)norm->channels[k];
        run->plan->kernels->channel_stats(pixels_of(run, value, piece.first),
                                          run->plan->values[value.id].dtype,
                                          (size_t)piece.pixels, channels,
                                          run->mean + at, run->squares + at);
        at += channels;
    }
}

static double shift_of(const struct run *run, int64_t image, int32_t channel)
{
    const struct value value = run->op->inputs[NORM_SHIFT];
    if (value.id == 0 || channel >= run->norm->channels[0]) return 0;
    const int32_t rows = run->plan->values[value.id].shape.n;
    const float *const shift = plan_address(run->plan, value);
    return (double)shift[(rows > 1 ? image : 0) * run->norm->channels[0] + channel];
}

struct moments {
    double count, mean, squares;
};

static struct moments join(struct moments a, struct moments b)
{
    const double count = a.count + b.count, away = b.mean - a.mean;
    return (struct moments){
        .count = count,
        .mean = a.mean + away * (b.count / count),
        .squares = a.squares + b.squares + away * away * (a.count * b.count / count),
    };
}

static struct moments channel_moments(const struct run *run, int64_t image,
                                      int32_t channel)
{
    const struct group_norm *const norm = run->norm;
    struct moments sum = {0, 0, 0};
    for (int64_t i = 0; i < norm->pieces; ++i) {
        const int64_t task = image * norm->pieces + i;
        const size_t at = (size_t)task * (size_t)norm->total + (size_t)channel;
        const struct moments piece = {(double)piece_of(norm, task).pixels,
                                      (double)run->mean[at], (double)run->squares[at]};
        sum = i == 0 ? piece : join(sum, piece);
    }
    sum.mean += shift_of(run, image, channel);
    return sum;
}

static void settle_group(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct group_norm *const norm = run->norm;
    const int32_t size = norm->total / norm->options.groups;
    const int64_t image = task_idx / norm->options.groups;
    const int32_t start = (int32_t)(task_idx % norm->options.groups) * size;
    struct moments sum = channel_moments(run, image, start);
    for (int32_t c = start + 1; c < start + size; ++c)
        sum = join(sum, channel_moments(run, image, c));
    const double variance = sum.squares / sum.count;
    const double by = 1.0 / sqrt(variance + (double)norm->options.epsilon);
    const float *const scale = plan_weight(run->plan, norm->options.scale);
    const float *const bias = plan_weight(run->plan, norm->options.bias);
    for (int32_t c = start; c < start + size; ++c) {
        const size_t at = (size_t)image * (size_t)norm->total + (size_t)c;
        const double factor = by * (double)scale[c];
        const double moved = shift_of(run, image, c) - sum.mean;
        run->factor[at] = (float)factor;
        run->offset[at] = (float)((double)bias[c] + moved * factor);
    }
}

/* A task of step 3: rows of the one image that is done by lines, or a piece. */
static struct piece rows_of(const struct run *run, int64_t task_idx)
{
    const struct group_norm *const norm = run->norm;
    if (!run->op->in_bands) return piece_of(norm, task_idx);
    const int64_t start = task_idx * norm->piece_pixels;
    const int64_t left = run->rows.count - start;
    return (struct piece){
        .image = 0,
        .first = run->rows.first + start,
        .pixels = left < norm->piece_pixels ? left : norm->piece_pixels,
    };
}

static void normalise_piece(void *context, int64_t task_idx, int lane)
{
    (void)lane;
    const struct run *const run = context;
    const struct group_norm *const norm = run->norm;
    const struct piece piece = rows_of(run, task_idx);
    const struct plan_value *const result = &run->plan->values[run->op->result.id];
    const size_t element = dtype_bytes(result->dtype), total = (size_t)norm->total;
    unsigned char *const target = plan_row(run->plan, run->op->result, piece.first);
    size_t channel = 0;
    for (int k = 0; k < 2; ++k) {
        const struct value value = run->op->inputs[k];
        if (value.id == 0) continue;
        const size_t at = (size_t)piece.image * total + channel;
        const struct kernel_affine arguments = {
            .target = target + channel * element,
            .source = pixels_of(run, value, piece.first),
            .target_type = result->dtype,
            .source_type = run->plan->values[value.id].dtype,
            .pixels = (size_t)piece.pixels,
            .channels = (size_t)norm->channels[k],
            .target_stride = total,
            .source_stride = (size_t)norm->channels[k],
            .scale = run->factor + at,
            .offset = run->offset + at,
            .silu = norm->options.silu,
        };
        run->plan->kernels->affine(&arguments);
        channel += (size_t)norm->channels[k];
    }
}

static struct run begin(const struct plan *plan, const struct op *op)
{
    const struct group_norm *const norm = op->state;
    unsigned char *const scratch = plan_scratch(plan, op);
    return (struct run){
        .plan = plan,
        .op = op,
        .norm = norm,
        .mean = (void *)scratch,
        .squares = (void *)(scratch + norm->mean_bytes),
        .factor = (void *)(scratch + 2 * norm->mean_bytes),
        .offset = (void *)(scratch + 2 * norm->mean_bytes + norm->factor_bytes),
    };
}

void group_norm_measure(const struct plan *plan, const struct op *op, int64_t first,
                        int64_t end)
{
    struct run run = begin(plan, op);
    run.first_piece = first;
    team_run(end - first, measure_piece, &run);
}

void group_norm_settle(const struct plan *plan, const struct op *op)
{
    struct run run = begin(plan, op);
    team_run((int64_t)run.norm->images * run.norm->options.groups, settle_group, &run);
}

static bool run_norm(const struct plan *plan, const struct op *op, struct rows rows)
{
    struct run run = begin(plan, op);
    const struct group_norm *const norm = run.norm;
    run.rows = rows;
    if (op->in_bands) {
        team_run((rows.count + norm->piece_pixels - 1) / norm->piece_pixels,
                 normalise_piece, &run);
        return true;
    }
    group_norm_measure(plan, op, 0, norm->images * norm->pieces);
    group_norm_settle(plan, op);
    team_run(norm->images * norm->pieces, normalise_piece, &run);
    return true;
}

static const struct op_class group_norm_class = {
    .kind = "group norm", .prepare = prepare, .run = run_norm, .by_rows = true};

bool group_norm_is(const struct op *op)
{
    return op->class == &group_norm_class;
}

int64_t group_norm_pieces(const struct op *op, int32_t lines)
{
    const struct group_norm *const norm = op->state;
    const int64_t pixels = (int64_t)lines * norm->width;
    return pixels == norm->pixels ? norm->pieces : pixels / norm->piece_pixels;
}

int32_t group_norm_line(const struct op *op, int64_t piece)
{
    const struct group_norm *const norm = op->state;
    return (int32_t)(piece * norm->piece_pixels / norm->width);
}

static bool check(struct plan *plan, struct value x,
                  const struct group_norm_options *options, int32_t total)
{
    const struct shape shape = plan_shape(plan, x);
    if (options->groups < 1 || total % options->groups != 0) {
        plan_fail(plan, DR_BAD_INPUT, "a group norm of %d channels in %d groups", total,
                  options->groups);
        return false;
    }
    if (options->second.id) {
        const struct shape second = plan_shape(plan, options->second);
        if (second.n != shape.n || second.h != shape.h || second.w != shape.w)
            plan_fail(plan, DR_BAD_INPUT,
                      "a group norm joins %d x %d x %d and %d x %d x %d", shape.n,
                      shape.h, shape.w, second.n, second.h, second.w);
    }
    if (options->shift.id) {
        const struct shape shift = plan_shape(plan, options->shift);
        if ((shift.n != 1 && shift.n != shape.n) || shift.h != 1 || shift.w != 1 ||
            shift.c != shape.c || plan_dtype(plan, options->shift) != DTYPE_F32)
            plan_fail(
                plan, DR_BAD_INPUT,
                "a group norm of %d x %d channels got a shift of %d x %d x %d x %d in %s",
                shape.n, shape.c, shift.n, shift.h, shift.w, shift.c,
                dtype_name(plan_dtype(plan, options->shift)));
    }
    return plan_has_vector(plan, options->scale, total, "a group norm's scale") &&
           plan_has_vector(plan, options->bias, total, "a group norm's bias");
}

struct value plan_group_norm(struct plan *plan, struct value x,
                             const struct group_norm_options *given)
{
    struct group_norm_options merged = *given;
    merged.scale = merge_take(plan, given->scale);
    merged.bias = merge_take(plan, given->bias);
    const struct group_norm_options *const options = &merged;
    if (!plan_has(plan, x, "a group norm")) return VALUE_NONE;
    struct shape shape = plan_shape(plan, x);
    const int32_t own = shape.c, other = plan_shape(plan, options->second).c;
    const int32_t total = own + other;
    if (!check(plan, x, options, total)) return VALUE_NONE;
    struct group_norm *const norm = plan_record(plan, sizeof *norm);
    shape.c = total;
    const struct value result = plan_value_new(plan, shape, plan->dtype);
    plan_uses(plan, options->scale);
    plan_uses(plan, options->bias);
    if (plan_failed(plan)) return VALUE_NONE;
    *norm = (struct group_norm){
        .options = *options,
        .channels = {own, other},
        .total = total,
        .images = shape.n,
        .width = shape.w,
        .pixels = (int64_t)shape.h * shape.w,
    };
    return plan_add_op(plan, &(struct op){
                                 .class = &group_norm_class,
                                 .inputs = {[NORM_X] = x,
                                            [NORM_SECOND] = options->second,
                                            [NORM_SHIFT] = options->shift},
                                 .result = result,
                                 .state = norm,
                                 .inplace = options->second.id ? NOT_INPLACE : NORM_X,
    });
}
