#include "compute/plan_fixture.h"

#include "compute/weight_delta.h"

/* A network of one operator, with deltas, against the same sums in double. */

enum {
    KINDS = 9,
    MOST_DELTAS = 4
};

enum kind {
    KIND_LORA,
    KIND_CORE,
    KIND_LOHA,
    KIND_LOHA_CORE,
    KIND_LOKR,
    KIND_LOKR_LOW,
    KIND_FULL,
    KIND_DORA_OUT,
    KIND_DORA_IN
};

struct shape_of {
    int32_t out, in, taps;
};

static int32_t some_rank(void)
{
    return fixture_int(1, 40);
}

/* A table of an adapter. */
static const struct weight *table(struct fixture *f, int32_t rows, int32_t columns)
{
    const struct weight_shape shape = {WEIGHT_TABLE, f->dtype, rows, columns, 1, 1};
    return fixture_weight(f, shape, 0.3F, 0);
}

static struct delta_term low_rank(struct fixture *f, struct shape_of s, bool core,
                                  bool turned)
{
    const int32_t rank = some_rank(), inner = core ? some_rank() : rank;
    return (struct delta_term){
        .up = turned ? table(f, rank, s.out) : table(f, s.out, rank),
        .down = table(f, inner, core ? s.in : s.in * s.taps),
        .core = core ? table(f, rank, inner * s.taps) : NULL,
        .up_is_turned = turned,
        .has_taps = true,
        .out = {1, s.out},
        .in = {1, s.in },
    };
}

static struct delta_term full(struct fixture *f, struct shape_of s, bool has_taps)
{
    return (struct delta_term){
        .full = table(f, s.out, s.in * (has_taps ? s.taps : 1)),
        .has_taps = has_taps,
        .out = {1, s.out},
        .in = {1, s.in },
    };
}

static int32_t divisor_of(int32_t n)
{
    int32_t d = fixture_int(1, n < 8 ? n : 8);
    while (n % d != 0)
        --d;
    return d;
}

static void kron(struct fixture *f, struct weight_delta *delta, struct shape_of s,
                 bool low)
{
    const int32_t o1 = divisor_of(s.out), i1 = divisor_of(s.in);
    const struct shape_of large = {s.out / o1, s.in / i1, s.taps};
    delta->terms[0] = full(f, (struct shape_of){o1, i1, 1}, false);
    delta->terms[0].out.step = large.out;
    delta->terms[0].in.step = large.in;
    delta->terms[1] =
        low ? low_rank(f, large, fixture_int(0, 1), false) : full(f, large, true);
    delta->term_count = 2;
}

static void make_kind(struct fixture *f, struct weight_delta *delta, enum kind kind,
                      struct shape_of s)
{
    delta->term_count = 1;
    switch (kind) {
    case KIND_LORA: delta->terms[0] = low_rank(f, s, false, false); break;
    case KIND_CORE: delta->terms[0] = low_rank(f, s, true, false); break;
    case KIND_LOHA:
    case KIND_LOHA_CORE:
        delta->terms[0] =
            low_rank(f, s, kind == KIND_LOHA_CORE, kind == KIND_LOHA_CORE);
        delta->terms[1] =
            low_rank(f, s, kind == KIND_LOHA_CORE, kind == KIND_LOHA_CORE);
        delta->term_count = 2;
        break;
    case KIND_LOKR:
    case KIND_LOKR_LOW: kron(f, delta, s, kind == KIND_LOKR_LOW); break;
    case KIND_FULL: delta->terms[0] = full(f, s, true); break;
    case KIND_DORA_OUT:
    case KIND_DORA_IN:
        delta->terms[0] = low_rank(f, s, false, false);
        delta->norm =
            kind == KIND_DORA_OUT ? DELTA_NORM_OF_OUTPUT : DELTA_NORM_OF_INPUT;
        delta->magnitude = table(f, 1, kind == KIND_DORA_OUT ? s.out : s.in);
        break;
    }
}

/* ---- what it should be --------------------------------------------------------------- */

static double number(const struct fixture *f, const struct weight *weight, int32_t row,
                     int32_t column)
{
    return (double)fixture_plain(
        f, weight)[(size_t)row * (size_t)weight->in + (size_t)column];
}

static double term_number(const struct fixture *f, const struct delta_term *term,
                          int32_t o, int32_t i, int32_t tap, int32_t taps)
{
    const int32_t row = o / term->out.step % term->out.count;
    const int32_t input = i / term->in.step % term->in.count;
    const int32_t column = term->has_taps ? input * taps + tap : input;
    if (term->full) return number(f, term->full, row, column);
    const int32_t rank = delta_term_rank(term);
    double sum = 0;
    for (int32_t a = 0; a < rank; ++a) {
        const double up = term->up_is_turned ? number(f, term->up, a, row)
                                             : number(f, term->up, row, a);
        double down = 0;
        if (!term->core) down = number(f, term->down, a, column);
        for (int32_t b = 0; term->core && b < term->down->out; ++b)
            down += number(f, term->core, a, b * taps + tap) *
                    number(f, term->down, b, input);
        sum += up * down;
    }
    return sum;
}

/* Add a delta to merged [out][in][taps]; base: of the same target. */
static void add_delta(const struct fixture *f, const struct weight_delta *delta,
                      const float *base, double *merged)
{
    const struct weight *const target = delta->target;
    const int32_t taps = target->kernel_height * target->kernel_width;
    const int32_t in = target->in;
    const size_t row = (size_t)in * (size_t)taps;
    double *const made = calloc((size_t)delta->row_count * row, sizeof *made);
    for (int32_t o = 0; o < delta->row_count; ++o)
        for (int32_t i = 0; i < in; ++i)
            for (int32_t tap = 0; tap < taps; ++tap) {
                double d = 1;
                for (int32_t k = 0; k < delta->term_count; ++k)
                    d *= term_number(f, &delta->terms[k], o, delta->first_column + i,
                                     tap, taps);
                made[(size_t)o * row + (size_t)(i * taps + tap)] =
                    (double)delta->scale * d;
            }
    const size_t first = (size_t)delta->first_row * row;
    const size_t count = (size_t)delta->row_count * row;
    const bool of_output = delta->norm == DELTA_NORM_OF_OUTPUT;
    double squares[2048] = {0};
    for (size_t at = 0; at < count; ++at) {
        const double whole = (double)base[first + at] + made[at];
        squares[of_output ? at / row : at % row / (size_t)taps] += whole * whole;
    }
    for (size_t at = 0; at < count; ++at) {
        const double away = (double)base[first + at];
        const size_t which = of_output ? at / row : at % row / (size_t)taps;
        double change = made[at];
        if (delta->norm != DELTA_NO_NORM)
            change = number(f, delta->magnitude, 0, (int32_t)which) /
                         sqrt(squares[which]) * (away + made[at]) -
                     away;
        merged[first + at] += (double)delta->strength * change;
    }
    free(made);
}

/* ---- cases --------------------------------------------------------------------------- */

struct one {
    struct shape_of shape;
    int32_t parts; /* of a stack: the delta is of the last */
    int32_t delta_count;
    enum kind kinds[MOST_DELTAS];
    bool bias;
    enum dtype stored; /* of the weight and the deltas, where it can be */
};

static struct value add_operator(struct fixture *f, const struct one *c, struct value x,
                                 const struct weight *weight, const struct weight *bias)
{
    if (c->shape.taps == 1)
        return plan_linear(f->plan, x,
                           &(struct linear_options){.weight = weight, .bias = bias});
    return plan_conv(f->plan, x,
                     &(struct conv_options){.weight = weight,
                                            .bias = bias,
                                            .pad_top = 1,
                                            .pad_left = 1,
                                            .pad_bottom = 1,
                                            .pad_right = 1});
}

static void reference(const struct one *c, struct shape in, const float *numbers,
                      const float *weight, const float *bias, float *want)
{
    const int32_t out = c->shape.out * c->parts;
    if (c->shape.taps == 1) {
        reference_linear((int64_t)in.h * in.w, in.c, out, numbers, weight, bias, want);
        return;
    }
    for (int32_t y = 0; y < in.h; ++y)
        for (int32_t x = 0; x < in.w; ++x)
            for (int32_t o = 0; o < out; ++o) {
                double sum = bias ? (double)bias[o] : 0;
                for (int32_t tap = 0; tap < 9; ++tap) {
                    const int32_t sy = y + tap / 3 - 1, sx = x + tap % 3 - 1;
                    if (sy < 0 || sx < 0 || sy >= in.h || sx >= in.w) continue;
                    for (int32_t i = 0; i < in.c; ++i)
                        sum += (double)numbers[(sy * in.w + sx) * in.c + i] *
                               (double)weight[((int64_t)o * in.c + i) * 9 + tap];
                }
                want[(y * in.w + x) * out + o] = (float)sum;
            }
}

static void try_one(const struct one *c, enum dtype dtype, int break_it)
{
    if (fixture_lacks(dtype)) return;
    struct fixture f;
    struct weight_delta items[MOST_DELTAS + 1];
    struct weight_deltas deltas = {.items = items};
    fixture_begin_with(
        &f, &(struct plan_options){.name = "test", .dtype = dtype, .deltas = &deltas});
    f.stored = c->stored;
    const int32_t out = c->shape.out * c->parts, side = c->shape.taps == 9 ? 3 : 1;
    const struct weight *const weight =
        fixture_weight(&f,
                       (struct weight_shape){side == 3 ? WEIGHT_CONV : WEIGHT_LINEAR,
                                             dtype, out, c->shape.in, side, side},
                       1.0F / sqrtf((float)(c->shape.in * c->shape.taps)), 0);
    const struct weight *const bias = c->bias ? fixture_vector(&f, out, 0) : NULL;
    const float strength[] = {0.8F, -0.5F, 1.0F, 2.0F};
    for (int32_t i = 0; i < c->delta_count; ++i) {
        items[i] = (struct weight_delta){.target = weight,
                                         .first_row = (c->parts - 1) * c->shape.out,
                                         .row_count = c->shape.out,
                                         .scale = 0.25F,
                                         .strength = strength[i]};
        make_kind(&f, &items[i], c->kinds[i], c->shape);
    }
    deltas.count = (size_t)c->delta_count;
    if (bias) {
        struct weight_delta *const added = &items[deltas.count++];
        *added = (struct weight_delta){.target = bias,
                                       .row_count = out,
                                       .scale = 1,
                                       .strength = 0.7F,
                                       .term_count = 1};
        added->terms[0] = (struct delta_term){
            .full = table(&f, 1, out), .out = {1, 1  },
                   .in = {1, out}
        };
    }
    const struct shape in_shape = {1, c->shape.taps == 9 ? 11 : 1, 17, c->shape.in};
    const struct value x = plan_input(f.plan, in_shape, dtype);
    const struct value y =
        plan_output(f.plan, add_operator(&f, c, x, weight, bias), DTYPE_F32);
    fixture_seal(&f);
    float *const numbers = fixture_reals(shape_count(in_shape), 1, dtype);
    fixture_fill(&f, x, numbers);
    fixture_run(&f);
    fixture_run(&f); /* a second time from the same base */

    const size_t count = (size_t)out * (size_t)c->shape.in * (size_t)c->shape.taps;
    double *const merged = malloc(count * sizeof *merged);
    float *const rounded = malloc(count * sizeof *rounded);
    float shifted[2048] = {0};
    const float *const base = fixture_plain(&f, weight);
    for (size_t i = 0; i < count; ++i)
        merged[i] = (double)base[i];
    for (int32_t i = 0; i < c->delta_count - break_it; ++i)
        add_delta(&f, &items[i], base, merged);
    for (size_t i = 0; i < count; ++i)
        rounded[i] = (float)merged[i];
    for (int32_t i = 0; bias && i < out; ++i)
        shifted[i] = fixture_plain(&f, bias)[i] +
                     0.7F * fixture_plain(&f, items[deltas.count - 1].terms[0].full)[i];
    const struct shape out_shape = plan_shape(f.plan, y);
    float *const want = malloc(shape_count(out_shape) * sizeof *want);
    reference(c, in_shape, numbers, rounded, bias ? shifted : NULL, want);
    char what[160];
    (void)snprintf(what, sizeof what,
                   "%s %d x %d x %d, %d parts, kinds %d %d, %d of them",
                   dtype_name(dtype), c->shape.out, c->shape.in, c->shape.taps,
                   c->parts, (int)c->kinds[0], (int)c->kinds[1], c->delta_count);
    const double tolerance = dtype == DTYPE_BF16 ? 1.2e-2 : 1e-5;
    if (break_it) {
        const double away = fixture_distance(fixture_data(f.plan, y), DTYPE_F32, want,
                                             shape_count(out_shape));
        check(away > tolerance);
    } else {
        fixture_compare(&f, y, want, tolerance, what);
    }
    free(numbers);
    free(merged);
    free(rounded);
    free(want);
    fixture_end(&f);
}

static int32_t some_width(void)
{
    static const int32_t often[] = {8, 32, 64, 128, 320};
    return fixture_int(0, 1) ? often[fixture_int(0, 4)] : fixture_int(1, 150);
}

static void equals_the_reference(void)
{
    static const enum dtype stored[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16,
                                        DTYPE_F8_E5M2};
    for (int i = 0; i < 120; ++i) {
        struct one c = {
            .shape = {some_width(), some_width(), i % 3 == 0 ? 9 : 1},
            .parts = i % 4 == 1 ? 3 : 1,
            .delta_count = fixture_int(1, 3),
            .bias = fixture_int(0, 1),
            .stored = stored[i / 2 % 4],
        };
        c.kinds[0] = (enum kind)(i % KINDS);
        for (int k = 1; k < MOST_DELTAS; ++k)
            c.kinds[k] = (enum kind)fixture_int(0, KINDS - 1);
        if (c.shape.taps == 9 && c.shape.in > 70) c.shape.in = 70;
        if (c.shape.taps == 9 && c.shape.out > 70) c.shape.out = 70;
        if (c.shape.out > 160) c.shape.out = 160;
        try_one(&c, i % 2 ? DTYPE_BF16 : DTYPE_F32, 0);
    }
}

/* A delta that is not applied shows. */
static void a_missing_delta_is_noticed(void)
{
    for (int i = 0; i < KINDS; ++i) {
        const struct one c = {
            .shape = {32, 48, 1},
            .parts = 1,
            .delta_count = 1,
            .kinds = {(enum kind)i}
        };
        try_one(&c, DTYPE_F32, 1);
    }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(19);
    check_run(equals_the_reference);
    check_run(a_missing_delta_is_noticed);
    return check_done();
}
