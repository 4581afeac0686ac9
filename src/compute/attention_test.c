#include "compute/plan_fixture.h"

struct one {
    struct reference_attention shape;
    bool fused; /* q, k and v are columns of one value */
    float spread;
};

/* Columns [first, first + width) of rows of a wider array. */
static float *columns(const float *wide, size_t rows, int32_t row_width, int32_t first,
                      int32_t width)
{
    float *const part = malloc(rows * (size_t)width * sizeof *part);
    for (size_t r = 0; r < rows; ++r)
        memcpy(part + r * (size_t)width, wide + r * (size_t)row_width + first,
               (size_t)width * sizeof *part);
    return part;
}

static void try_one(const struct one *c, enum dtype dtype)
{
    if (fixture_lacks(dtype)) return;
    struct fixture f;
    fixture_begin(&f, dtype);
    const struct reference_attention *const s = &c->shape;
    const int32_t width = s->heads * s->head_dim;
    const int32_t q_width = c->fused ? 3 * width + 2 : width;
    const int32_t k_width = c->fused ? q_width : 2 * width;
    const struct shape q_shape = {s->n, 1, s->query_tokens, q_width};
    const struct shape k_shape = {s->n, 1, s->key_tokens, k_width};
    const struct value q = plan_input(f.plan, q_shape, dtype);
    const struct value k = c->fused ? q : plan_input(f.plan, k_shape, dtype);
    const struct attention_options options = {.q = q,
                                              .k = k,
                                              .v = k,
                                              .q_column = c->fused ? 1 : 0,
                                              .k_column = c->fused ? 1 + width : 0,
                                              .v_column =
                                                  c->fused ? 1 + 2 * width : width,
                                              .heads = s->heads,
                                              .head_dim = s->head_dim,
                                              .scale = s->scale,
                                              .causal = s->causal};
    const struct value out =
        plan_output(f.plan, plan_attention(f.plan, &options), dtype);
    fixture_seal(&f);
    float *const q_numbers = fixture_reals(shape_count(q_shape), c->spread, dtype);
    float *const k_numbers =
        c->fused ? q_numbers : fixture_reals(shape_count(k_shape), c->spread, dtype);
    fixture_fill(&f, q, q_numbers);
    if (!c->fused) fixture_fill(&f, k, k_numbers);
    fixture_run(&f);

    const size_t q_rows = (size_t)(s->n * s->query_tokens);
    const size_t k_rows = (size_t)(s->n * s->key_tokens);
    float *const qs = columns(q_numbers, q_rows, q_width, options.q_column, width);
    float *const ks = columns(k_numbers, k_rows, k_width, options.k_column, width);
    float *const vs = columns(k_numbers, k_rows, k_width, options.v_column, width);
    float *const want = malloc(q_rows * (size_t)width * sizeof *want);
    reference_attention(s, qs, ks, vs, want);
    char what[160];
    (void)snprintf(what, sizeof what,
                   "%s n %d, %d x %d tokens, %d heads of %d, causal %d, %d",
                   dtype_name(dtype), s->n, s->query_tokens, s->key_tokens, s->heads,
                   s->head_dim, s->causal, c->fused);
    /* Probabilities are rounded as well; of many keys the errors average out more slowly
     * than the values themselves do. */
    const double tolerance = 2.5 * fixture_tolerance(dtype) * (c->spread > 1 ? 4 : 1);
    fixture_compare(&f, out, want, tolerance, what);
    if (!c->fused) free(k_numbers);
    free(q_numbers);
    free(qs);
    free(ks);
    free(vs);
    free(want);
    fixture_end(&f);
}

static void equals_the_reference(void)
{
    static const int32_t dims[] = {1, 3, 4, 8, 17, 32, 40, 64, 80, 160};
    for (int i = 0; i < 150; ++i) {
        struct one c = {.fused = fixture_int(0, 1), .spread = 1};
        const int32_t tokens =
            fixture_int(0, 3) ? fixture_int(1, 90) : fixture_int(100, 700);
        c.shape = (struct reference_attention){
            .n = fixture_int(1, 2),
            .query_tokens = tokens,
            .key_tokens = c.fused ? tokens : fixture_int(1, 150),
            .heads = fixture_int(1, 3),
            .head_dim = dims[fixture_int(0, 9)],
            .causal = c.fused && fixture_int(0, 2) == 0,
        };
        c.shape.scale = 1.0f / sqrtf((float)c.shape.head_dim);
        try_one(&c, i % 2 ? DTYPE_BF16 : DTYPE_F32);
    }
}

static void serves_the_networks_shapes(void)
{
    const struct one cases[] = {
        {.shape = {1, 1024, 1024, 2, 80, 0.11f, false}, .fused = true, .spread = 1},
        {.shape = {2, 256, 77, 8, 160, 0.08f, false},   .spread = 1  },
        {.shape = {1, 99, 99, 8, 40, 0.16f, false},                                .fused = true,   .spread = 1           },
        {.shape = {2, 77, 77, 12, 64, 0.125f, true},                                .fused = true,   .spread = 1},
        {.shape = {1, 700, 700, 1, 512, 0.044f, false},                                .fused = true,   .spread = 1           },
        {.shape = {1, 1300, 1300, 1, 4, 0.5f, true},                                .fused = true,   .spread = 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        try_one(&cases[i], DTYPE_F32);
        try_one(&cases[i], DTYPE_BF16);
    }
}

/* Scores of +-hundreds: one key takes all; exp must not overflow, the peak must be exact. */
static void bears_large_scores(void)
{
    const struct one c = {
        .shape = {1, 130, 1030, 2, 40, 1.0f, false},
          .spread = 8
    };
    try_one(&c, DTYPE_F32);
}

/* A NaN in a key reaches every query that sees it. */
static void hands_on_nan(void)
{
    if (fixture_lacks(DTYPE_BF16)) return;
    struct fixture f;
    fixture_begin(&f, DTYPE_BF16);
    const struct shape shape = {1, 1, 600, 3 * 16};
    const struct value qkv = plan_input(f.plan, shape, DTYPE_BF16);
    const struct attention_options options = {.q = qkv,
                                              .k = qkv,
                                              .v = qkv,
                                              .k_column = 16,
                                              .v_column = 32,
                                              .heads = 1,
                                              .head_dim = 16,
                                              .scale = 0.25f};
    const struct value out =
        plan_output(f.plan, plan_attention(f.plan, &options), DTYPE_F32);
    fixture_seal(&f);
    float *const numbers = fixture_reals(shape_count(shape), 1, DTYPE_BF16);
    numbers[555 * 48 + 20] = NAN; /* in the second block of keys */
    fixture_fill(&f, qkv, numbers);
    fixture_run(&f);
    const float *const got = fixture_data(f.plan, out);
    size_t finite = 0;
    for (size_t i = 0; i < 600 * 16; ++i)
        finite += isfinite(got[i]) != 0;
    check_int(finite, ==, 0);
    free(numbers);
    fixture_end(&f);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3004);
    check_run(equals_the_reference);
    check_run(serves_the_networks_shapes);
    check_run(bears_large_scores);
    check_run(hands_on_nan);
    return check_done();
}
