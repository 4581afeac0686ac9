#include "compute/plan_fixture.h"

struct one {
    struct reference_conv shape;
    bool bias, residual, residual_is_input, upsample;
    int32_t seen_height, seen_width;
};

static struct shape result_of(const struct one *c, int32_t h, int32_t w)
{
    const struct reference_conv *s = &c->shape;
    return (struct shape){
        s->input.n, (h + s->pad_top + s->pad_bottom - s->kernel_height) / s->stride + 1,
        (w + s->pad_left + s->pad_right - s->kernel_width) / s->stride + 1, s->out};
}

/* A way with fewer multiplications rounds more, in bfloat16: tiled_conv_test.c. */
static double tolerance_of(const struct one *c, enum dtype dtype)
{
    const struct reference_conv *const s = &c->shape;
    const struct shape in = s->input;
    const bool padded = s->kernel_height == 3 && s->stride == 1 && s->pad_top == 1;
    const bool twice = c->seen_height == 2 * in.h && c->seen_width == 2 * in.w;
    const bool may_be_tiled = in.h * in.w > 16; /* smaller maps are never worth it */
    if (dtype == DTYPE_F32 || !padded) return fixture_tolerance(dtype);
    if (c->upsample) return twice ? 3e-3 : fixture_tolerance(dtype);
    return in.c >= 32 && s->out >= 32 && may_be_tiled ? 5e-3 : fixture_tolerance(dtype);
}

static void try_one(const struct one *c, enum dtype dtype)
{
    if (fixture_lacks(dtype)) return;
    struct fixture f;
    fixture_begin(&f, dtype);
    const struct reference_conv *const s = &c->shape;
    const float spread =
        1.0f / sqrtf((float)(s->input.c * s->kernel_height * s->kernel_width));
    const struct weight *const weight =
        fixture_weight(&f,
                       (struct weight_shape){WEIGHT_CONV, dtype, s->out, s->input.c,
                                             s->kernel_height, s->kernel_width},
                       spread, 0);
    const struct weight *const bias = c->bias ? fixture_vector(&f, s->out, 0) : NULL;
    const struct value x = plan_input(f.plan, s->input, dtype);
    const int32_t h = c->upsample ? c->seen_height : s->input.h;
    const int32_t w = c->upsample ? c->seen_width : s->input.w;
    const struct shape out_shape = result_of(c, h, w);
    struct value given = VALUE_NONE, residual = VALUE_NONE;
    if (c->residual) {
        given = plan_input(f.plan, out_shape, dtype);
        /* a copy may be taken over by the result; an input may not */
        residual = c->residual_is_input ? given : plan_add(f.plan, given, given);
    }
    const struct value y = plan_conv(f.plan, x,
                                     &(struct conv_options){
                                         .weight = weight,
                                         .bias = bias,
                                         .stride = s->stride,
                                         .pad_top = s->pad_top,
                                         .pad_left = s->pad_left,
                                         .pad_bottom = s->pad_bottom,
                                         .pad_right = s->pad_right,
                                         .residual = residual,
                                         .upsample = c->upsample,
                                         .upsample_height = c->seen_height,
                                         .upsample_width = c->seen_width,
                                     });
    const struct value read =
        plan_add(f.plan, y, y); /* so that y is no output itself */
    const struct value out = plan_output(f.plan, read, DTYPE_F32);
    fixture_seal(&f);
    float *const numbers = fixture_reals(shape_count(s->input), 1, dtype);
    float *const added = fixture_reals(shape_count(out_shape), 1, dtype);
    fixture_fill(&f, x, numbers);
    if (c->residual) fixture_fill(&f, given, added);
    fixture_run(&f);

    struct reference_conv seen = *s;
    seen.input.h = h;
    seen.input.w = w;
    float *const map = malloc(shape_count(seen.input) * sizeof *map);
    reference_upsample(s->input, h, w, numbers, map);
    float *const want = malloc(shape_count(out_shape) * sizeof *want);
    reference_conv(&seen, map, fixture_plain(&f, weight), fixture_plain(&f, bias),
                   want);
    for (size_t i = 0; i < shape_count(out_shape); ++i) {
        if (c->residual) want[i] += (c->residual_is_input ? 1.0f : 2.0f) * added[i];
        want[i] *= 2.0f;
    }
    char what[160];
    (void)snprintf(what, sizeof what,
                   "%s %dx%dx%dx%d -> %d, kernel %dx%d stride %d up %d",
                   dtype_name(dtype), s->input.n, s->input.h, s->input.w, s->input.c,
                   s->out, s->kernel_height, s->kernel_width, s->stride, c->upsample);
    fixture_compare(&f, out, want, tolerance_of(c, dtype), what);
    free(numbers);
    free(added);
    free(map);
    free(want);
    fixture_end(&f);
}

static int32_t some_channels(void)
{
    static const int32_t often[] = {3, 4, 32, 64, 96, 128, 160};
    return fixture_int(0, 1) ? often[fixture_int(0, 6)] : fixture_int(1, 40);
}

static struct one random_one(void)
{
    struct one c = {.bias = fixture_int(0, 1),
                    .residual = fixture_int(0, 1),
                    .residual_is_input = fixture_int(0, 1),
                    .upsample = fixture_int(0, 3) == 0};
    const int32_t kernel = fixture_int(0, 3) ? 3 : 1;
    c.shape = (struct reference_conv){
        .input = {fixture_int(1, 2), fixture_int(1, 17), fixture_int(1, 17),
                  some_channels()},
        .out = some_channels(),
        .kernel_height = kernel,
        .kernel_width = kernel,
        .stride = c.upsample ? 1 : fixture_int(1, 2),
    };
    if (kernel == 3) {
        c.shape.pad_top = c.shape.pad_left = fixture_int(0, 1);
        c.shape.pad_bottom = c.shape.pad_right = 1;
    }
    c.seen_height = 2 * c.shape.input.h - (c.shape.input.h > 1 ? fixture_int(0, 1) : 0);
    c.seen_width = 2 * c.shape.input.w;
    if (kernel == 3 && c.shape.pad_top == 0) { /* room for the window */
        c.shape.input.h += 2;
        c.shape.input.w += 2;
        c.seen_height = 2 * c.shape.input.h;
        c.seen_width = 2 * c.shape.input.w;
    }
    return c;
}

static void equals_the_reference(void)
{
    for (int i = 0; i < 200; ++i) {
        const struct one c = random_one();
        try_one(&c, i % 2 ? DTYPE_BF16 : DTYPE_F32);
    }
}

static void serves_the_networks_shapes(void)
{
    static const int32_t channels[][2] = {
        {4,   320},
        {320, 4  },
        {512, 8  },
        {128, 3  },
        {3,   128},
        {640, 320}
    };
    for (size_t i = 0; i < sizeof channels / sizeof *channels; ++i)
        for (int32_t n = 1; n <= 2; ++n) {
            const struct one c = {
                .shape = {.input = {n, 9, 11, channels[i][0]},
                          .out = channels[i][1],
                          .kernel_height = 3,
                          .kernel_width = 3,
                          .stride = 1,
                          .pad_top = 1,
                          .pad_left = 1,
                          .pad_bottom = 1,
                          .pad_right = 1},
                .bias = true
            };
            try_one(&c, DTYPE_F32);
            try_one(&c, DTYPE_BF16);
        }
}

/* Few rows and a kernel too large to be read by each thread: threads share the outputs. */
static void shares_the_outputs_of_large_kernels(void)
{
    for (int residual = 0; residual < 2; ++residual) {
        const struct one c = {
            .shape = {.input = {1, 3, 4, 640},
                      .out = 640,
                      .kernel_height = 3,
                      .kernel_width = 3,
                      .stride = 1,
                      .pad_top = 1,
                      .pad_left = 1,
                      .pad_bottom = 1,
                      .pad_right = 1},
            .bias = true,
            .residual = residual
        };
        try_one(&c, DTYPE_F32);
        try_one(&c, DTYPE_BF16);
    }
}

/* The encoder's downsampler: a line of zeros below and to the right only. */
static void pads_one_side(void)
{
    const struct one c = {
        .shape = {.input = {2, 8, 6, 32},
                  .out = 32,
                  .kernel_height = 3,
                  .kernel_width = 3,
                  .stride = 2,
                  .pad_bottom = 1,
                  .pad_right = 1},
        .bias = true
    };
    try_one(&c, DTYPE_F32);
}

/* The bytes of a convolution of a map of `height` lines whose upper lines are the same for
 * every height. */
static uint16_t *convolve_upper(uint64_t state, int32_t height, int32_t width,
                                int32_t c)
{
    struct fixture f;
    fixture_begin(&f, DTYPE_BF16);
    fixture_state = state;
    const struct weight *const weight =
        fixture_weight(&f, (struct weight_shape){WEIGHT_CONV, DTYPE_BF16, c, c, 3, 3},
                       0.05f, 0);
    const struct weight *const bias = fixture_vector(&f, c, 0);
    const struct value x =
        plan_input(f.plan, (struct shape){1, height, width, c}, DTYPE_BF16);
    const struct value y = plan_conv(f.plan, x,
                                     &(struct conv_options){.weight = weight,
                                                            .bias = bias,
                                                            .pad_top = 1,
                                                            .pad_left = 1,
                                                            .pad_bottom = 1,
                                                            .pad_right = 1,
                                                            .residual = x});
    const struct value out = plan_output(f.plan, y, DTYPE_BF16);
    fixture_seal(&f);
    const size_t count = shape_count(plan_shape(f.plan, x));
    float *const numbers = fixture_reals(count, 1, DTYPE_BF16);
    uint16_t *const bytes = malloc(count * sizeof *bytes);
    fixture_fill(&f, x, numbers);
    fixture_run(&f);
    memcpy(bytes, fixture_data(f.plan, out), count * sizeof *bytes);
    free(numbers);
    fixture_end(&f);
    return bytes;
}

/* How a pixel is summed does not depend on the map around it: a map and its upper part give
 * the same bytes (where both choose the same way), though their blocks of rows differ, and though of few rows with a large
 * kernel the threads share the outputs. */
static void bytes_do_not_depend_on_the_size(void)
{
    if (fixture_lacks(DTYPE_BF16)) return;
    static const int32_t cases[][4] = {
  /* width, channels, heights */
        {24, 96,  64, 32},
        {23, 32,  61, 17},
        {8,  640, 14, 6 }, /* few tiles: direct, or by panels */
        {4,  640, 5,  3 }  /* too few tiles for Winograd, both */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const int32_t *const c = cases[i];
        const uint64_t state = fixture_state;
        uint16_t *const whole = convolve_upper(state, c[2], c[0], c[1]);
        uint16_t *const part = convolve_upper(state, c[3], c[0], c[1]);
        check_bytes(whole, part, (size_t)((c[3] - 1) * c[0] * c[1]) * sizeof *part);
        free(whole);
        free(part);
    }
}

/* Every kernel of SD1.5 at every size from 256 to 1024 pixels: the library has a fast product
 * for each, or plan_seal would refuse. */
static void has_a_product_for_every_size(void)
{
    static const int32_t kernels[][3] = {
  /* in, out, sides as pixels / */
        {4,    320,  8 },
        {320,  320,  8 },
        {960,  320,  8 },
        {640,  640,  16},
        {960,  640,  16},
        {1280, 1280, 32},
        {2560, 1280, 64},
        {320,  4,    8 },
        {512,  512,  8 },
        {512,  256,  2 },
        {256,  128,  1 },
        {128,  3,    1 }
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; ++i)
        for (int type = 0; type < 2; ++type)
            for (int32_t pixels = 256; pixels <= 1024; pixels += 64) {
                const enum dtype dtype = type ? DTYPE_BF16 : DTYPE_F32;
                if (fixture_lacks(dtype)) continue;
                struct fixture f;
                fixture_begin(&f, dtype);
                const int32_t *const k = kernels[i];
                const struct weight_shape shape = {WEIGHT_CONV, dtype, k[1],
                                                   k[0],        3,     3};
                struct dr_error err = {0};
                struct weight *const weight = &f.weights[0];
                check_int(weight_init(weight, &shape, &f.pool, &err), ==, DR_OK);
                const struct value x =
                    plan_input(f.plan,
                               (struct shape){1 + (pixels & 64) / 64, pixels / k[2],
                                              512 / k[2], k[0]},
                               dtype);
                (void)plan_conv(f.plan, x,
                                &(struct conv_options){.weight = weight,
                                                       .pad_top = 1,
                                                       .pad_left = 1,
                                                       .pad_bottom = 1,
                                                       .pad_right = 1});
                if (plan_seal(f.plan, &err) != DR_OK) check_fail_at("%s", err.message);
                fixture_end(&f);
            }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3001);
    check_run(equals_the_reference);
    check_run(serves_the_networks_shapes);
    check_run(shares_the_outputs_of_large_kernels);
    check_run(pads_one_side);
    check_run(bytes_do_not_depend_on_the_size);
    check_run(has_a_product_for_every_size);
    return check_done();
}
