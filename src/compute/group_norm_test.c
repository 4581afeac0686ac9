#include "compute/plan_fixture.h"

struct one {
    struct shape shape;
    int32_t second, groups;
    int32_t shift_rows; /* 0: none */
    bool silu;
    float centre; /* added to x */
};

static void try_one(const struct one *c, enum dtype dtype)
{
    struct fixture f;
    fixture_begin(&f, dtype);
    const int32_t total = c->shape.c + c->second;
    const struct weight *const scale = fixture_vector(&f, total, 1);
    const struct weight *const bias = fixture_vector(&f, total, 0);
    const struct value x = plan_input(f.plan, c->shape, dtype);
    struct shape other = c->shape, shift = {c->shift_rows, 1, 1, c->shape.c};
    other.c = c->second;
    struct group_norm_options options = {.scale = scale,
                                         .bias = bias,
                                         .groups = c->groups,
                                         .epsilon = 1e-5f,
                                         .silu = c->silu};
    if (c->second) options.second = plan_input(f.plan, other, dtype);
    if (c->shift_rows) options.shift = plan_input(f.plan, shift, DTYPE_F32);
    const struct value y =
        plan_group_norm(f.plan, plan_activate(f.plan, x, ACTIVATION_NONE, dtype),
                        &options);
    const struct value out =
        plan_output(f.plan, plan_activate(f.plan, y, ACTIVATION_NONE, DTYPE_F32),
                    DTYPE_F32);
    fixture_seal(&f);
    const size_t pixels = (size_t)(c->shape.n * c->shape.h * c->shape.w);
    float *const a = fixture_reals(shape_count(c->shape), 1, dtype);
    float *const b = fixture_reals(shape_count(other), 1, dtype);
    float *const s = fixture_reals(shape_count(shift), 1, DTYPE_F32);
    if (dtype == DTYPE_F32)
        for (size_t i = 0; i < shape_count(c->shape); ++i)
            a[i] += c->centre;
    fixture_fill(&f, x, a);
    if (c->second) fixture_fill(&f, options.second, b);
    if (c->shift_rows) fixture_fill(&f, options.shift, s);
    fixture_run(&f);

    float *const joined = malloc(pixels * (size_t)total * sizeof *joined);
    float *const want = malloc(pixels * (size_t)total * sizeof *want);
    for (size_t p = 0; p < pixels; ++p) {
        const size_t image = p / (size_t)(c->shape.h * c->shape.w);
        const size_t row = c->shift_rows > 1 ? image : 0;
        for (size_t k = 0; k < (size_t)c->shape.c; ++k)
            joined[p * (size_t)total + k] =
                a[p * (size_t)c->shape.c + k] +
                (c->shift_rows ? s[row * (size_t)c->shape.c + k] : 0.0f);
        for (size_t k = 0; k < (size_t)c->second; ++k)
            joined[p * (size_t)total + (size_t)c->shape.c + k] =
                b[p * (size_t)c->second + k];
    }
    struct shape whole = c->shape;
    whole.c = total;
    reference_group_norm(whole, c->groups, 1e-5f, joined, fixture_plain(&f, scale),
                         fixture_plain(&f, bias), want);
    if (c->silu)
        for (size_t i = 0; i < shape_count(whole); ++i)
            want[i] = reference_activation(ACTIVATION_SILU, want[i]);
    char what[160];
    (void)snprintf(what, sizeof what,
                   "%s %dx%dx%dx%d + %d, %d groups, shift %d, silu %d, %g",
                   dtype_name(dtype), c->shape.n, c->shape.h, c->shape.w, c->shape.c,
                   c->second, c->groups, c->shift_rows, c->silu, (double)c->centre);
    fixture_compare(&f, out, want, fixture_tolerance(dtype) * (c->centre > 0 ? 30 : 1),
                    what);
    free(a);
    free(b);
    free(s);
    free(joined);
    free(want);
    fixture_end(&f);
}

static void equals_the_reference(void)
{
    for (int i = 0; i < 200; ++i) {
        const int32_t groups = fixture_int(0, 1) ? 32 : fixture_int(1, 5);
        const int32_t size = fixture_int(1, 6);
        const int32_t total = groups * size;
        struct one c = {.groups = groups, .silu = fixture_int(0, 1)};
        c.second = fixture_int(0, 1) && total > 1 ? fixture_int(1, total - 1) : 0;
        c.shape = (struct shape){fixture_int(1, 2), fixture_int(1, 17),
                                 fixture_int(2, 17), total - c.second};
        if (size == 1 && c.shape.h * c.shape.w == 1) c.shape.h = 2;
        if (fixture_int(0, 1)) c.shift_rows = fixture_int(0, 1) ? 1 : c.shape.n;
        try_one(&c, i % 2 ? DTYPE_BF16 : DTYPE_F32);
    }
}

static void serves_the_networks_shapes(void)
{
    const struct one cases[] = {
        {.shape = {2, 64, 64, 320},  .groups = 32, .silu = true},
        {.shape = {2, 16, 16, 1280},
         .second = 640,
         .groups = 32,
         .silu = true,
         .shift_rows = 2},
        {.shape = {1, 128, 96, 128},            .groups = 32,                        .silu = true          },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        try_one(&cases[i], DTYPE_F32);
        try_one(&cases[i], DTYPE_BF16);
    }
}

/* Numbers of spread 1 around 1000: a sum of squares in float32 would lose the spread. What is
 * left is the rounding of the input itself, 1000 * 2^-24 = 6e-5. */
static void keeps_a_small_spread_around_a_large_mean(void)
{
    const struct one c = {
        .shape = {1, 64, 48, 64},
          .groups = 32, .centre = 1000.0f, .silu = false
    };
    try_one(&c, DTYPE_F32);
}

static void hands_on_nan(void)
{
    for (int k = 0; k < 2; ++k) {
        const enum dtype dtype = k ? DTYPE_BF16 : DTYPE_F32;
        struct fixture f;
        fixture_begin(&f, dtype);
        const struct shape shape = {1, 5, 7, 64};
        const struct weight *const scale = fixture_vector(&f, 64, 1);
        const struct weight *const bias = fixture_vector(&f, 64, 0);
        const struct value x = plan_input(f.plan, shape, dtype);
        const struct value y =
            plan_group_norm(f.plan, x,
                            &(struct group_norm_options){.scale = scale,
                                                         .bias = bias,
                                                         .groups = 1,
                                                         .epsilon = 1e-5f,
                                                         .silu = true});
        const struct value out = plan_output(f.plan, y, DTYPE_F32);
        fixture_seal(&f);
        float *const numbers = fixture_reals(shape_count(shape), 1, dtype);
        numbers[100] = NAN;
        fixture_fill(&f, x, numbers);
        fixture_run(&f);
        const float *const got = fixture_data(f.plan, out);
        size_t nan_count = 0;
        for (size_t i = 0; i < shape_count(shape); ++i)
            nan_count += isnan(got[i]) != 0;
        check_int(nan_count, ==, shape_count(shape)); /* one group: all of them */
        free(numbers);
        fixture_end(&f);
    }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3003);
    check_run(equals_the_reference);
    check_run(serves_the_networks_shapes);
    check_run(keeps_a_small_spread_around_a_large_mean);
    check_run(hands_on_nan);
    return check_done();
}
