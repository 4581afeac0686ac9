/* A weight gives the same results however it is stored. */
#include "compute/plan_fixture.h"

#include "compute/layout.h"

static const enum dtype stored_types[] = {DTYPE_F16, DTYPE_BF16, DTYPE_F8_E4M3,
                                          DTYPE_F8_E5M2};
enum {
    STORED_TYPES = sizeof stored_types / sizeof *stored_types
};

/* ---- pieces ---- */

/* Every piece of every panel, made of the stored weight, is that piece of the operand. */
static void try_pieces(const struct kernels *kernels, enum dtype dtype,
                       enum dtype stored, int32_t out, int32_t in)
{
    if (fixture_lacks(dtype) || !weight_can_store(dtype, stored)) return;
    struct fixture f = {.dtype = dtype, .stored = stored};
    const struct weight_shape shape = {WEIGHT_LINEAR, dtype, out, in, 1, 1};
    const struct weight *const weight = fixture_weight(&f, shape, 0.1f, 0);
    if (!panel_is_made(weight)) { /* no panels in this layout */
        check(!layout_has_panels(weight->layout) || stored == dtype);
        fixture_end(&f);
        return;
    }
    const struct weight_layout *const layout = weight->layout;
    check_int(weight->bytes * dtype_bytes(dtype), ==,
              layout->bytes * dtype_bytes(stored));
    fixture_place_weights(&f);
    struct weight plain;
    struct dr_error err;
    check_int(weight_init(&plain, &shape, &f.pool, &err), ==, DR_OK);
    unsigned char *const operand = aligned_alloc(64, (plain.bytes + 63) / 64 * 64);
    void *const numbers = malloc(weight_plain_bytes(&plain));
    fixture_encode(f.plain[0], dtype, numbers, (size_t)out * (size_t)in);
    weight_store(&plain, numbers, operand);

    const struct panel_source source = {weight, f.regions[0].data, kernels};
    const int32_t step = layout->in_block * fixture_int(1, 3);
    for (int32_t o = 0; o < out; o += layout->out_block)
        for (int32_t i = 0; i < in; i += step) {
            const int32_t count = in - i < step ? in - i : step;
            const size_t bytes = panel_piece_bytes(layout, count);
            struct guarded made = guarded_open(bytes);
            panel_make(&source, &(struct panel_piece){o, i, count}, made.data);
            check_bytes(made.data,
                        operand + (layout_out(layout, o) + layout_in(layout, i)) *
                                      dtype_bytes(dtype),
                        bytes);
            guarded_close(&made);
        }
    free(numbers);
    free(operand);
    fixture_end(&f);
}

static void pieces_are_the_operand(void)
{
    static const int32_t outs[] = {1, 4, 33, 64, 65, 200, 320};
    static const int32_t ins[] = {1, 4, 36, 64, 77, 320};
    for (const struct kernels *const *k = kernels_all(); *k; ++k)
        for (int i = 0; i < STORED_TYPES; ++i)
            for (size_t o = 0; o < sizeof outs / sizeof *outs; ++o)
                for (size_t n = 0; n < sizeof ins / sizeof *ins; ++n)
                    for (int bf16 = 0; bf16 < 2; ++bf16)
                        try_pieces(*k, bf16 ? DTYPE_BF16 : DTYPE_F32, stored_types[i],
                                   outs[o], ins[n]);
}

/* ---- networks ---- */

/* What is made of a weight, on `run`: a linear or a convolution of x. */
struct layer {
    const char *name;
    int32_t height, width, in, out, kernel, stride;
    bool upsample, gated, residual;
    enum activation activation;
};

static struct value add_layer(struct plan *plan, const struct layer *l, struct value x,
                              const struct weight *weight, const struct weight *bias)
{
    struct value residual = {0};
    if (l->residual) residual = plan_activate(plan, x, ACTIVATION_SILU, plan->dtype);
    if (l->kernel == 0) {
        const struct value y =
            plan_linear(plan, x,
                        &(struct linear_options){.weight = weight,
                                                 .bias = bias,
                                                 .residual = residual,
                                                 .activation = l->activation});
        return l->gated ? plan_geglu(plan, y) : y;
    }
    const int32_t pad = l->kernel / 2;
    return plan_conv(plan, x,
                     &(struct conv_options){.weight = weight,
                                            .bias = bias,
                                            .residual = residual,
                                            .stride = l->stride,
                                            .pad_top = pad,
                                            .pad_left = pad,
                                            .pad_bottom = pad,
                                            .pad_right = pad,
                                            .upsample = l->upsample});
}

/* The layer's result, for free(): with its weight stored in this type, of numbers that `exact` holds. */
static float *run_layer(const struct layer *l, enum dtype dtype, enum dtype stored,
                        enum dtype exact, uint64_t seed, size_t *count)
{
    struct fixture f;
    fixture_state = seed;
    fixture_begin(&f, dtype);
    f.stored = stored;
    const struct weight_shape shape = {l->kernel ? WEIGHT_CONV : WEIGHT_LINEAR,
                                       dtype,
                                       l->out,
                                       l->in,
                                       l->kernel ? l->kernel : 1,
                                       l->kernel ? l->kernel : 1};
    const float spread = 1.0f / sqrtf((float)(l->in * shape.kernel_height));
    const struct weight *const weight = fixture_weight(&f, shape, spread, 0);
    const size_t weights = (size_t)l->out * (size_t)l->in *
                           (size_t)(shape.kernel_height * shape.kernel_width);
    fixture_hold(f.plain[0], exact, weights);
    const struct weight *const bias = fixture_vector(&f, l->out, 0);
    const struct shape in_shape = {2, l->height, l->width, l->in};
    const struct value x = plan_input(f.plan, in_shape, dtype);
    const struct value y =
        plan_output(f.plan, add_layer(f.plan, l, x, weight, bias), DTYPE_F32);
    fixture_seal(&f);
    check(panel_is_made(weight) ==
          (stored != dtype && layout_has_panels(weight->layout) &&
           (!dtype_is_block(stored) || grid_fits(weight, stored))));
    float *const numbers = fixture_reals(shape_count(in_shape), 1, dtype);
    fixture_fill(&f, x, numbers);
    fixture_run(&f);
    *count = shape_count(plan_shape(f.plan, y));
    float *const result = malloc(*count * sizeof *result);
    memcpy(result, fixture_data(f.plan, y), *count * sizeof *result);
    free(numbers);
    fixture_end(&f);
    return result;
}

/* clang-format off */
static const struct layer layers[] = {
    {"linear",              5, 77,  320,  320, 0, 1, false, false, false, ACTIVATION_NONE},
    {"narrow linear",       3,  7,   33,    5, 0, 1, false, false, false, ACTIVATION_NONE},
    {"linear of few rows",  1,  1,  320, 1280, 0, 1, false, false, false, ACTIVATION_NONE},
    {"residual",            9, 31,  192,  192, 0, 1, false, false, true,  ACTIVATION_NONE},
    {"deep residual",       2, 40, 2304, 2304, 0, 1, false, false, true,  ACTIVATION_NONE},
    {"activation",          4, 50,  128,  200, 0, 1, false, false, false, ACTIVATION_GELU},
    {"geglu",               8, 40,   64,  512, 0, 1, false, true,  false, ACTIVATION_NONE},
    {"convolution",         6,  7,   36,   68, 3, 1, false, false, false, ACTIVATION_NONE},
    {"deep convolution",    4,  4,  640,   64, 3, 1, false, false, false, ACTIVATION_NONE},
    {"many tiles",         24, 20,   64,  128, 3, 1, false, false, false, ACTIVATION_NONE},
    {"strided",            17, 18,   64,   64, 3, 2, false, false, false, ACTIVATION_NONE},
    {"enlarging",           9, 10,   64,  128, 3, 1, true,  false, false, ACTIVATION_NONE},
};
/* clang-format on */

static void same_bytes(const struct layer *l, enum dtype dtype, enum dtype stored)
{
    if (fixture_lacks(dtype)) return;
    if (!dtype_is_block(stored) && !weight_can_store(dtype, stored)) return;
    const uint64_t seed = fixture_bits();
    size_t count = 0;
    float *const as_stored = run_layer(l, dtype, stored, stored, seed, &count);
    float *const as_converted = run_layer(l, dtype, dtype, stored, seed, &count);
    if (memcmp(as_stored, as_converted, count * sizeof *as_stored) != 0)
        check_fail_at("%s in %s: stored as %s it has other bytes", l->name,
                      dtype_name(dtype), dtype_name(stored));
    free(as_stored);
    free(as_converted);
}

static void results_have_the_same_bytes(void)
{
    for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i)
        for (int k = 0; k < STORED_TYPES; ++k) {
            same_bytes(&layers[i], DTYPE_F32, stored_types[k]);
            same_bytes(&layers[i], DTYPE_BF16, stored_types[k]);
        }
    for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i)
        for (int k = 0; k < 2; ++k) {
            same_bytes(&layers[i], DTYPE_F32, k ? DTYPE_Q8_0 : DTYPE_Q4_0);
            same_bytes(&layers[i], DTYPE_BF16, k ? DTYPE_Q8_0 : DTYPE_Q4_0);
        }
}

/* What the two runs are compared by tells numbers apart that differ in their last place. */
static void other_numbers_have_other_bytes(void)
{
    size_t count = 0;
    const struct layer *const l = &layers[0];
    float *const exact = run_layer(l, DTYPE_F32, DTYPE_F32, DTYPE_F32, 5, &count);
    float *const rounded = run_layer(l, DTYPE_F32, DTYPE_F32, DTYPE_F16, 5, &count);
    check(memcmp(exact, rounded, count * sizeof *exact) != 0);
    free(exact);
    free(rounded);
}

/* Rows of a table, with and without positions. */
static void tables_are_converted_at_the_lookup(void)
{
    enum {
        ROWS = 50,
        WIDTH = 77,
        TOKENS = 6
    };
    for (int k = 0; k < STORED_TYPES; ++k)
        for (int with = 0; with < 2; ++with) {
            struct fixture f;
            fixture_begin(&f, DTYPE_F32);
            const enum dtype stored = f.stored = stored_types[k];
            const struct weight *const table = fixture_weight(
                &f, (struct weight_shape){WEIGHT_TABLE, DTYPE_F32, ROWS, WIDTH, 1, 1},
                1, 0);
            const struct weight *const position = fixture_weight(
                &f, (struct weight_shape){WEIGHT_TABLE, DTYPE_F32, TOKENS, WIDTH, 1, 1},
                1, 0);
            check_int(table->bytes, ==, ROWS * WIDTH * dtype_bytes(stored));
            const struct value ids =
                plan_input(f.plan, (struct shape){1, 1, TOKENS, 1}, DTYPE_I32);
            const struct value y = plan_output(
                f.plan,
                plan_embed(f.plan, ids,
                           &(struct embed_options){.table = table,
                                                   .position = with ? position : NULL}),
                DTYPE_F32);
            fixture_seal(&f);
            int32_t *const at = fixture_data(f.plan, ids);
            for (int32_t i = 0; i < TOKENS; ++i)
                at[i] = fixture_int(0, ROWS - 1);
            fixture_run(&f);
            const float *const got = fixture_data(f.plan, y);
            for (size_t i = 0; i < TOKENS * WIDTH; ++i) {
                const size_t row = (size_t)at[i / WIDTH];
                const float want =
                    f.plain[0][row * WIDTH + i % WIDTH] + (with ? f.plain[1][i] : 0.0f);
                if (memcmp(&got[i], &want, sizeof want) != 0 && !(want == got[i]))
                    check_fail_at("%s: number %zu", dtype_name(stored), i);
            }
            fixture_end(&f);
        }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(2, &err) != DR_OK) return 1;
    fixture_seed(1811);
    check_run(pieces_are_the_operand);
    check_run(results_have_the_same_bytes);
    check_run(other_numbers_have_other_bytes);
    check_run(tables_are_converted_at_the_lookup);
    return check_done();
}
