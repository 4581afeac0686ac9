#include "compute/plan_fixture.h"

static struct shape random_shape(int32_t most_channels)
{
    return (struct shape){fixture_int(1, 2), fixture_int(1, 9), fixture_int(1, 17),
                          fixture_int(1, most_channels)};
}

static void normalises_rows(void)
{
    for (int i = 0; i < 100; ++i) {
        const enum dtype dtype = i % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct fixture f;
        fixture_begin(&f, dtype);
        struct shape shape = random_shape(i % 5 ? 90 : 1280);
        shape.c += 3; /* two numbers have no spread to speak of in bfloat16 */
        const struct weight *const scale = fixture_vector(&f, shape.c, 1);
        const struct weight *const bias = fixture_vector(&f, shape.c, 0);
        const struct value x = plan_input(f.plan, shape, dtype);
        const struct value y =
            plan_layer_norm(f.plan, x,
                            &(struct layer_norm_options){
                                .scale = scale, .bias = bias, .epsilon = 1e-5f});
        const struct value out = plan_output(f.plan, y, DTYPE_F32);
        fixture_seal(&f);
        float *const numbers = fixture_reals(shape_count(shape), 1, dtype);
        float *const want = malloc(shape_count(shape) * sizeof *want);
        fixture_fill(&f, x, numbers);
        fixture_run(&f);
        reference_layer_norm((int64_t)shape.n * shape.h * shape.w, shape.c, 1e-5f,
                             numbers, fixture_plain(&f, scale), fixture_plain(&f, bias),
                             want);
        fixture_compare(&f, out, want, fixture_tolerance(dtype), "layer norm");
        free(numbers);
        free(want);
        fixture_end(&f);
    }
}

static void activates_and_converts(void)
{
    for (int i = 0; i < 64; ++i) {
        const enum dtype from = i & 1 ? DTYPE_BF16 : DTYPE_F32;
        const enum dtype to = i & 2 ? DTYPE_BF16 : DTYPE_F32;
        const enum activation activation = (enum activation)((i >> 2) & 3);
        struct fixture f;
        fixture_begin(&f, from);
        const struct shape shape = random_shape(70);
        const struct value x = plan_input(f.plan, shape, from);
        const struct value y = plan_activate(f.plan, x, activation, to);
        const struct value out = plan_output(f.plan, y, to);
        fixture_seal(&f);
        const size_t count = shape_count(shape);
        float *const numbers = fixture_reals(count, 4, from);
        float *const want = malloc(count * sizeof *want);
        fixture_fill(&f, x, numbers);
        fixture_run(&f);
        for (size_t k = 0; k < count; ++k)
            want[k] = reference_activation(activation, numbers[k]);
        fixture_compare(&f, out, want, fixture_tolerance(to), "activation");
        free(numbers);
        free(want);
        fixture_end(&f);
    }
}

static void adds(void)
{
    for (int i = 0; i < 20; ++i) {
        const enum dtype dtype = i & 1 ? DTYPE_BF16 : DTYPE_F32;
        struct fixture f;
        fixture_begin(&f, dtype);
        const struct shape shape = random_shape(70);
        const struct value a = plan_input(f.plan, shape, dtype);
        const struct value b = plan_input(f.plan, shape, dtype);
        const struct value sum = plan_add(f.plan, a, b);
        const struct value out =
            plan_output(f.plan, plan_add(f.plan, sum, sum), DTYPE_F32);
        fixture_seal(&f);
        const size_t count = shape_count(shape);
        float *const one = fixture_reals(count, 1, dtype), *const two =
                                                               fixture_reals(count, 1,
                                                                             dtype);
        fixture_fill(&f, a, one);
        fixture_fill(&f, b, two);
        fixture_run(&f);
        for (size_t k = 0; k < count; ++k)
            one[k] = 2 * (one[k] + two[k]);
        fixture_compare(&f, out, one, fixture_tolerance(dtype), "sum");
        free(one);
        free(two);
        fixture_end(&f);
    }
}

static void embeds(void)
{
    for (int i = 0; i < 20; ++i) {
        const enum dtype dtype = i & 1 ? DTYPE_BF16 : DTYPE_F32;
        struct fixture f;
        fixture_begin(&f, dtype);
        const int32_t rows = 50, vectors = 7, width = fixture_int(9, 70),
                      tokens = fixture_int(1, 20);
        const struct weight *const table = fixture_weight(
            &f, (struct weight_shape){WEIGHT_TABLE, dtype, rows, width, 1, 1}, 1, 0);
        const struct weight *const position =
            i & 2 ? fixture_weight(
                        &f, (struct weight_shape){WEIGHT_TABLE, dtype, 20, width, 1, 1},
                        1, 0)
                  : NULL;
        const struct embed_options from = {
            .table = table,
            .position = position,
            .vectors =
                i & 4 ? fixture_weight(&f,
                                       (struct weight_shape){WEIGHT_TABLE, DTYPE_F32,
                                                             vectors, width, 1, 1},
                                       1, 0)
                      : NULL};
        const struct value ids =
            plan_input(f.plan, (struct shape){2, 1, tokens, 1}, DTYPE_I32);
        const struct value out =
            plan_output(f.plan, plan_embed(f.plan, ids, &from), DTYPE_F32);
        fixture_seal(&f);
        int32_t *const id = fixture_data(f.plan, ids);
        for (int32_t k = 0; k < 2 * tokens; ++k)
            id[k] = fixture_int(from.vectors ? -vectors : 0, rows - 1);
        fixture_run(&f);
        float *const want = malloc((size_t)(2 * tokens * width) * sizeof *want);
        for (int32_t k = 0; k < 2 * tokens; ++k)
            for (int32_t c = 0; c < width; ++c)
                want[k * width + c] =
                    (id[k] < 0
                         ? fixture_plain(&f, from.vectors)[(-1 - id[k]) * width + c]
                         : fixture_plain(&f, table)[id[k] * width + c]) +
                    (position ? fixture_plain(&f, position)[k % tokens * width + c]
                              : 0.0f);
        fixture_compare(&f, out, want, fixture_tolerance(dtype), "embedding");
        free(want);
        fixture_end(&f);
    }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3005);
    check_run(normalises_rows);
    check_run(activates_and_converts);
    check_run(adds);
    check_run(embeds);
    return check_done();
}
