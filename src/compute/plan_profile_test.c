/* Profiles: FLOP and bytes of one run by hand, times where they were asked for and nowhere else. */
#include "compute/plan_fixture.h"

static const struct weight *matrix(struct fixture *f, enum weight_kind kind, int32_t in,
                                   int32_t out, int32_t kernel)
{
    return fixture_weight(
        f, (struct weight_shape){kind, f->dtype, out, in, kernel, kernel}, 0.1f, 0);
}

static const struct plan_op_profile *profile_of(const struct plan *plan,
                                                const char *kind)
{
    static const struct plan_op_profile none = {.kind = "none"};
    size_t count = 0;
    const struct plan_op_profile *const all = plan_profile(plan, &count);
    for (size_t i = 0; i < count; ++i)
        if (strcmp(all[i].kind, kind) == 0) return &all[i];
    check_fail_at("no operator is a %s", kind);
    return &none;
}

static void counts_a_convolution(void)
{
    struct fixture f;
    fixture_begin(&f, DTYPE_F32);
    const struct weight *const kernel = matrix(&f, WEIGHT_CONV, 64, 128, 3);
    const struct value x = plan_input(f.plan, (struct shape){2, 8, 6, 64}, DTYPE_F32);
    const struct value residual =
        plan_input(f.plan, (struct shape){2, 8, 6, 128}, DTYPE_F32);
    (void)plan_output(f.plan,
                      plan_conv(f.plan, x,
                                &(struct conv_options){.weight = kernel,
                                                       .bias =
                                                           fixture_vector(&f, 128, 0),
                                                       .pad_top = 1,
                                                       .pad_left = 1,
                                                       .pad_bottom = 1,
                                                       .pad_right = 1,
                                                       .residual = residual}),
                      DTYPE_F32);
    fixture_seal(&f);
    const struct plan_op_profile *const conv = profile_of(f.plan, "conv 3x3 Winograd");
    check_real(conv->flop, ==, 2.0 * 2 * 8 * 6 * 128 * 64 * 9);
    check_int(conv->bytes, ==, 4 * (2 * 8 * 6 * (64 + 128 + 128) + 64 * 128 * 9 + 128));
    check_int(conv->in, ==, 64);
    check_int(conv->shape.c, ==, 128);
    fixture_end(&f);
}

/* The queries, keys and values of one projection are one input, read once. */
static void counts_a_shared_input_once(void)
{
    struct fixture f;
    fixture_begin(&f, DTYPE_F32);
    const struct value x = plan_input(f.plan, (struct shape){1, 1, 10, 48}, DTYPE_F32);
    const struct value context =
        plan_input(f.plan, (struct shape){1, 1, 7, 32}, DTYPE_F32);
    struct attention_options options = {.q = x,
                                        .k = x,
                                        .v = x,
                                        .k_column = 16,
                                        .v_column = 32,
                                        .heads = 2,
                                        .head_dim = 8,
                                        .scale = 0.35f};
    const struct value own = plan_attention(f.plan, &options);
    options = (struct attention_options){.q = own,
                                         .k = context,
                                         .v = context,
                                         .v_column = 16,
                                         .heads = 2,
                                         .head_dim = 8,
                                         .scale = 0.35f};
    (void)plan_output(f.plan, plan_attention(f.plan, &options), DTYPE_F32);
    fixture_seal(&f);
    size_t count = 0;
    const struct plan_op_profile *const all = plan_profile(f.plan, &count);
    check_int(count, ==, 2);
    check_int(all[0].bytes, ==, 4 * 10 * (48 + 16));
    check_int(all[1].bytes, ==, 4 * (10 * (16 + 16) + 7 * 32));
    fixture_end(&f);
}

static void counts_norms_and_tables(void)
{
    struct fixture f;
    fixture_begin(&f, DTYPE_F32);
    const struct weight *const table = matrix(&f, WEIGHT_TABLE, 32, 50, 1);
    const struct weight *const position = matrix(&f, WEIGHT_TABLE, 32, 9, 1);
    const struct value ids = plan_input(f.plan, (struct shape){1, 1, 9, 1}, DTYPE_I32);
    const struct value x =
        plan_embed(f.plan, ids,
                   &(struct embed_options){.table = table, .position = position});
    const struct value y =
        plan_layer_norm(f.plan, x,
                        &(struct layer_norm_options){.scale = fixture_vector(&f, 32, 1),
                                                     .bias = fixture_vector(&f, 32, 0),
                                                     .epsilon = 1e-5f});
    const struct value z =
        plan_group_norm(f.plan, y,
                        &(struct group_norm_options){.scale = fixture_vector(&f, 32, 1),
                                                     .bias = fixture_vector(&f, 32, 0),
                                                     .groups = 4,
                                                     .epsilon = 1e-5f});
    (void)plan_output(f.plan, z, DTYPE_F32);
    fixture_seal(&f);
    /* Of a table the rows that are read, not all. */
    check_int(profile_of(f.plan, "embedding")->bytes, ==, 4 * (9 + 3 * 9 * 32));
    check_int(profile_of(f.plan, "layer norm")->bytes, ==, 4 * (2 * 9 * 32 + 2 * 32));
    check_int(profile_of(f.plan, "group norm")->bytes, ==, 4 * (2 * 9 * 32 + 2 * 32));
    check_real(profile_of(f.plan, "layer norm")->flop, ==, 0.0);
    fixture_end(&f);
}

/* The same plan with and without: the same bytes, and only one has times. */
static void times_where_it_is_asked_to(void)
{
    float got[2][16 * 96];
    for (int profile = 0; profile < 2; ++profile) {
        struct fixture f;
        struct dr_error err = {0};
        fixture_seed(11);
        fixture_begin(&f, DTYPE_F32);
        plan_destroy(&f.plan);
        const struct plan_options options = {.name = "test",
                                             .dtype = DTYPE_F32,
                                             .profile = profile == 1};
        check_int(plan_create(&f.plan, &options, &err), ==, DR_OK);
        const struct value x =
            plan_input(f.plan, (struct shape){1, 1, 16, 64}, DTYPE_F32);
        const struct linear_options linear = {.weight =
                                                  matrix(&f, WEIGHT_LINEAR, 64, 96, 1)};
        const struct value y =
            plan_output(f.plan, plan_linear(f.plan, x, &linear), DTYPE_F32);
        fixture_seal(&f);
        float *const numbers = fixture_reals(16 * 64, 1, DTYPE_F32);
        fixture_fill(&f, x, numbers);
        for (int run = 0; run < 3; ++run)
            fixture_run(&f);
        memcpy(got[profile], fixture_data(f.plan, y), sizeof got[profile]);
        const struct plan_op_profile *const op = profile_of(f.plan, "linear");
        check_int(op->runs, ==, profile ? 3 : 0);
        check(profile ? op->seconds > 0 : op->seconds == 0);
        free(numbers);
        fixture_end(&f);
    }
    check(memcmp(got[0], got[1], sizeof got[0]) == 0);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3011);
    check_run(counts_a_convolution);
    check_run(counts_a_shared_input_once);
    check_run(counts_norms_and_tables);
    check_run(times_where_it_is_asked_to);
    return check_done();
}
