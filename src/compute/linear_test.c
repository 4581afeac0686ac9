#include "compute/plan_fixture.h"

#include "compute/layout.h"

struct one {
    int32_t n, h, w, in, out;
    enum activation activation;
    bool bias, residual, residual_is_input, multiply, wide; /* wide: a float32 result */
};

static void try_one(const struct one *c, enum dtype dtype)
{
    if (fixture_lacks(dtype)) return;
    struct fixture f;
    fixture_begin(&f, dtype);
    const struct weight *const weight =
        fixture_weight(&f,
                       (struct weight_shape){WEIGHT_LINEAR, dtype, c->out, c->in, 1, 1},
                       1.0f / sqrtf((float)c->in), 0);
    const struct weight *const bias = c->bias ? fixture_vector(&f, c->out, 0) : NULL;
    const struct shape in_shape = {c->n, c->h, c->w, c->in};
    const struct shape out_shape = {c->n, c->h, c->w, c->out};
    const struct value x = plan_input(f.plan, in_shape, dtype);
    const struct value given = plan_input(f.plan, out_shape, dtype);
    const struct value factor = plan_input(f.plan, out_shape, dtype);
    struct linear_options options = {.weight = weight,
                                     .bias = bias,
                                     .activation = c->activation,
                                     .dtype = DTYPE_F32,
                                     .dtype_set = c->wide};
    if (c->residual)
        options.residual =
            c->residual_is_input ? given : plan_add(f.plan, given, given);
    if (c->multiply) options.multiply = factor;
    const struct value y = plan_linear(f.plan, x, &options);
    const struct value out =
        plan_output(f.plan, plan_activate(f.plan, y, ACTIVATION_NONE, dtype),
                    DTYPE_F32);
    fixture_seal(&f);
    const size_t count = shape_count(out_shape);
    float *const numbers = fixture_reals(shape_count(in_shape), 1, dtype);
    float *const added = fixture_reals(count, 1, dtype);
    float *const times = fixture_reals(count, 1, dtype);
    fixture_fill(&f, x, numbers);
    fixture_fill(&f, given, added);
    fixture_fill(&f, factor, times);
    fixture_run(&f);

    float *const want = malloc(count * sizeof *want);
    reference_linear((int64_t)c->n * c->h * c->w, c->in, c->out, numbers,
                     fixture_plain(&f, weight), fixture_plain(&f, bias), want);
    for (size_t i = 0; i < count; ++i) {
        want[i] = reference_activation(c->activation, want[i]);
        if (c->multiply) want[i] *= times[i];
        if (c->residual) want[i] += (c->residual_is_input ? 1.0f : 2.0f) * added[i];
    }
    char what[160];
    (void)snprintf(what, sizeof what,
                   "%s %dx%dx%d %d -> %d act %d res %d mul %d wide %d",
                   dtype_name(dtype), c->n, c->h, c->w, c->in, c->out,
                   (int)c->activation, c->residual, c->multiply, c->wide);
    fixture_compare(&f, out, want, 1.5 * fixture_tolerance(dtype), what);
    free(numbers);
    free(added);
    free(times);
    free(want);
    fixture_end(&f);
}

static int32_t some_width(void)
{
    static const int32_t often[] = {4, 8, 32, 64, 128, 320, 512, 768, 1280};
    return fixture_int(0, 1) ? often[fixture_int(0, 8)] : fixture_int(1, 70);
}

static void equals_the_reference(void)
{
    for (int i = 0; i < 200; ++i) {
        const struct one c = {.n = fixture_int(1, 2),
                              .h = fixture_int(1, 6),
                              .w = fixture_int(1, 17),
                              .in = some_width(),
                              .out = some_width(),
                              .activation = (enum activation)fixture_int(0, 3),
                              .bias = fixture_int(0, 1),
                              .residual = fixture_int(0, 1),
                              .residual_is_input = fixture_int(0, 1),
                              .multiply = fixture_int(0, 3) == 0,
                              .wide = fixture_int(0, 3) == 0};
        try_one(&c, i % 2 ? DTYPE_BF16 : DTYPE_F32);
    }
}

/* A single row: the time embedding. Rows that end inside the last block. */
static void serves_few_and_odd_rows(void)
{
    static const int32_t rows[] = {1, 2, 3, 77, 154, 257, 300};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const struct one c = {
            .n = 1, .h = 1, .w = rows[i], .in = 320, .out = 1280, .bias = true};
        try_one(&c, DTYPE_F32);
        try_one(&c, DTYPE_BF16);
    }
}

/* GEGLU joined to its linear, and not joined where the wide value is looked at. */
static void gates(enum dtype dtype, int32_t in, int32_t half, bool looked_at)
{
    if (fixture_lacks(dtype)) return;
    struct fixture f;
    fixture_begin(&f, dtype);
    const int32_t rows = 70;
    const struct weight *const weight =
        fixture_weight(&f,
                       (struct weight_shape){WEIGHT_LINEAR, dtype, 2 * half, in, 1, 1},
                       1.0f / sqrtf((float)in), 0);
    const struct weight *const bias = fixture_vector(&f, 2 * half, 0);
    const struct value x = plan_input(f.plan, (struct shape){1, 1, rows, in}, dtype);
    const struct value wide =
        plan_linear(f.plan, x,
                    &(struct linear_options){.weight = weight, .bias = bias});
    const struct value y = plan_geglu(f.plan, wide);
    if (looked_at) (void)plan_output(f.plan, wide, dtype);
    const struct value out = plan_output(f.plan, y, DTYPE_F32);
    fixture_seal(&f);
    float *const numbers = fixture_reals((size_t)(rows * in), 1, dtype);
    fixture_fill(&f, x, numbers);
    fixture_run(&f);
    float *const both = malloc((size_t)(rows * 2 * half) * sizeof *both);
    float *const want = malloc((size_t)(rows * half) * sizeof *want);
    reference_linear(rows, in, 2 * half, numbers, fixture_plain(&f, weight),
                     fixture_plain(&f, bias), both);
    for (int32_t r = 0; r < rows; ++r)
        for (int32_t i = 0; i < half; ++i)
            want[r * half + i] =
                both[r * 2 * half + i] *
                reference_activation(ACTIVATION_GELU, both[r * 2 * half + half + i]);
    fixture_compare(&f, out, want, 2 * fixture_tolerance(dtype), "geglu");
    size_t count = 0;
    (void)plan_profile(f.plan, &count);
    struct weight_layout slice;
    size_t offset = 0;
    const bool joined =
        !looked_at && layout_slice(weight->layout, half, half, &slice, &offset);
    check_int(count, ==,
              (joined ? 1 : 2) + (dtype == DTYPE_BF16)); /* the output's too */
    free(numbers);
    free(both);
    free(want);
    fixture_end(&f);
}

static void joins_geglu(void)
{
    static const int32_t halves[] = {64, 128, 1280, 5, 33, 40};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; ++i)
        for (int looked_at = 0; looked_at < 2; ++looked_at) {
            gates(DTYPE_F32, 48, halves[i], looked_at);
            gates(DTYPE_BF16, 64, halves[i], looked_at);
        }
}

/* The time embedding: float32 weights inside a bfloat16 network, and results in either type. */
static void keeps_float32_inside_a_bfloat16_network(void)
{
    struct fixture f;
    const int32_t rows = 2, in = 320, out = 1280;
    fixture_begin(&f, DTYPE_BF16);
    const struct weight *const one = fixture_weight(
        &f, (struct weight_shape){WEIGHT_LINEAR, DTYPE_F32, out, in, 1, 1}, 0.05f, 0);
    const struct weight *const two = fixture_weight(
        &f, (struct weight_shape){WEIGHT_LINEAR, DTYPE_F32, out, out, 1, 1}, 0.03f, 0);
    const struct weight *const bias = fixture_vector(&f, out, 0);
    const struct value x =
        plan_input(f.plan, (struct shape){rows, 1, 1, in}, DTYPE_F32);
    const struct value hidden =
        plan_linear(f.plan, x,
                    &(struct linear_options){.weight = one,
                                             .bias = bias,
                                             .activation = ACTIVATION_SILU,
                                             .dtype = DTYPE_F32,
                                             .dtype_set = true});
    const struct value y =
        plan_linear(f.plan, hidden, &(struct linear_options){.weight = two});
    check_int(plan_dtype(f.plan, y), ==, DTYPE_BF16);
    const struct value wide = plan_output(f.plan, hidden, DTYPE_F32);
    const struct value narrow = plan_output(f.plan, y, DTYPE_BF16);
    fixture_seal(&f);
    float *const numbers = fixture_reals((size_t)(rows * in), 1, DTYPE_F32);
    float *const first = malloc((size_t)(rows * out) * sizeof *first);
    float *const second = malloc((size_t)(rows * out) * sizeof *second);
    fixture_fill(&f, x, numbers);
    fixture_run(&f);
    reference_linear(rows, in, out, numbers, fixture_plain(&f, one),
                     fixture_plain(&f, bias), first);
    for (int32_t i = 0; i < rows * out; ++i)
        first[i] = reference_activation(ACTIVATION_SILU, first[i]);
    reference_linear(rows, out, out, first, fixture_plain(&f, two), NULL, second);
    fixture_compare(&f, wide, first, ROUNDING_F32, "float32 in a bfloat16 network");
    fixture_compare(&f, narrow, second, ROUNDING_BF16, "rounded once, at the end");
    free(numbers);
    free(first);
    free(second);
    fixture_end(&f);
}

static void refuses_what_does_not_go(void)
{
    if (fixture_lacks(DTYPE_BF16)) return;
    struct fixture f;
    struct dr_error err = {0};
    fixture_begin(&f, DTYPE_BF16);
    const struct weight *const weight = fixture_weight(
        &f, (struct weight_shape){WEIGHT_LINEAR, DTYPE_BF16, 64, 32, 1, 1}, 1, 0);
    const struct value x = plan_input(f.plan, (struct shape){1, 1, 7, 40}, DTYPE_BF16);
    const struct value y =
        plan_linear(f.plan, x, &(struct linear_options){.weight = weight});
    check_int(y.id, ==, 0);
    /* sticky: what follows does nothing, and the first error stays */
    check_int(plan_geglu(f.plan, y).id, ==, 0);
    check_int(plan_seal(f.plan, &err), ==, DR_BAD_INPUT);
    check_has(err.message,
              "test: a linear of 32 inputs and 64 outputs got 40 channels");
    fixture_end(&f);

    fixture_begin(&f, DTYPE_BF16);
    const struct weight *const other = fixture_weight(
        &f, (struct weight_shape){WEIGHT_LINEAR, DTYPE_F32, 64, 40, 1, 1}, 1, 0);
    const struct value z = plan_input(f.plan, (struct shape){1, 1, 7, 40}, DTYPE_BF16);
    (void)plan_linear(f.plan, z, &(struct linear_options){.weight = other});
    check_int(plan_seal(f.plan, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "a weight in F32 got an input in BF16");
    fixture_end(&f);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3002);
    check_run(equals_the_reference);
    check_run(serves_few_and_odd_rows);
    check_run(joins_geglu);
    check_run(keeps_float32_inside_a_bfloat16_network);
    check_run(refuses_what_does_not_go);
    return check_done();
}
