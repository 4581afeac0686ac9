/* Winograd's convolution against the plain loops, and against itself: other threads, another place,
 * single lines. */
#include "compute/plan_fixture.h"

#include "compute/layout.h"
#include "compute/plan_private.h"
#include "compute/winograd.h"

/* Of a layer, relative to what its rounded inputs and weights make exactly: 4.3e-3 by random
 * numbers, where the output's rounding alone is 1.7e-3. */
#define MOST_DISTANCE  5e-3
#define LEAST_DISTANCE 2.4e-3 /* of the direct convolution at most */
#define EXACT_DISTANCE 1e-6   /* in float32 */

enum added {
    ADDED_NOTHING,
    ADDED_INPUT, /* a residual that stays as it is */
    ADDED_COPY,  /* one that the result may take over */
    ADDED_CASES
};

struct one {
    struct shape input;
    int32_t out;
    bool bias;
    enum added added;
    enum dtype result;
    bool by_lines;
    bool
        exact; /* in float32, where it is never chosen: no rounding hides a mistake then, and
                 * oneDNN cuts kernels of float32 into panels on more processors */
};

static enum dtype dtype_of(const struct one *c)
{
    return c->exact ? DTYPE_F32 : DTYPE_BF16;
}

struct made {
    struct fixture f;
    const struct weight *weight, *bias;
    struct shape shape; /* of the result */
    struct value x, residual, out;
    float *numbers, *residuals;
};

static struct value add_conv(struct made *made, const struct one *c, struct value added)
{
    const struct conv_options options = {.weight = made->weight,
                                         .bias = made->bias,
                                         .pad_top = 1,
                                         .pad_left = 1,
                                         .pad_bottom = 1,
                                         .pad_right = 1,
                                         .residual = added,
                                         .dtype = c->result,
                                         .dtype_set = c->result != dtype_of(c)};
    return plan_conv(made->f.plan, made->x, &options);
}

static const struct weight *kernel_of(struct fixture *f, int32_t in, int32_t out)
{
    const struct weight_shape shape = {WEIGHT_CONV_SAME, DTYPE_BF16, out, in, 3, 3};
    return fixture_weight(f, shape, 1.0f / sqrtf(9.0f * (float)in), 0);
}

/* As weight_init would if it were chosen. */
static const struct weight *exact_kernel_of(struct fixture *f, int32_t in, int32_t out)
{
    const struct weight_shape shape = {WEIGHT_CONV_SAME, DTYPE_F32, out, in, 3, 3};
    (void)fixture_weight(f, shape, 1.0f / sqrtf(9.0f * (float)in), 0);
    struct weight *const weight = &f->weights[f->weight_count - 1];
    struct weight_layout *const layout = pool_alloc(&f->pool, sizeof *layout);
    struct dr_error err = {0};
    check_int(layout_choose(layout, DTYPE_F32, in, out, &err), ==, DR_OK);
    weight->layout = layout;
    weight->point_bytes = (layout->bytes + 63) / 64 * 64;
    weight->bytes = WINOGRAD_POINTS * weight->point_bytes;
    return weight;
}

static void begin(struct made *made, const struct one *c)
{
    *made = (struct made){.residual = VALUE_NONE};
    struct fixture *const f = &made->f;
    const enum dtype dtype = dtype_of(c);
    fixture_begin_with(f, &(struct plan_options){
                              .name = "test", .dtype = dtype, .by_lines = c->by_lines});
    made->weight = c->exact ? exact_kernel_of(f, c->input.c, c->out)
                            : kernel_of(f, c->input.c, c->out);
    made->bias = c->bias ? fixture_vector(f, c->out, 0) : NULL;
    made->x = plan_input(f->plan, c->input, dtype);
    made->shape = c->input;
    made->shape.c = c->out;
    struct value added = VALUE_NONE;
    if (c->added != ADDED_NOTHING) {
        made->residual = added = plan_input(f->plan, made->shape, dtype);
        if (c->added == ADDED_COPY) added = plan_add(f->plan, added, added);
    }
    made->out = plan_output(f->plan, add_conv(made, c, added), c->result);
    fixture_seal(f);
    made->numbers = fixture_reals(shape_count(c->input), 1, dtype);
    made->residuals = fixture_reals(shape_count(made->shape), 0.5f, dtype);
    fixture_fill(f, made->x, made->numbers);
    if (made->residual.id) fixture_fill(f, made->residual, made->residuals);
}

static void end(struct made *made)
{
    free(made->numbers);
    free(made->residuals);
    fixture_end(&made->f);
}

/* The operator itself. */
static const struct op *op_of(const struct made *made)
{
    for (size_t i = 0; i < made->f.plan->op_count; ++i)
        if (strcmp(made->f.plan->ops[i].class->kind, "conv 3x3 Winograd") == 0)
            return &made->f.plan->ops[i];
    check_fail_at("the plan has no Winograd convolution");
    abort();
}

static size_t out_bytes(const struct made *made, const struct one *c)
{
    return shape_count(made->shape) * dtype_bytes(c->result);
}

/* A copy of the result. */
static void *run(const struct made *made, const struct one *c)
{
    void *const bytes = malloc(out_bytes(made, c));
    fixture_run(&made->f);
    memcpy(bytes, plan_data(made->f.plan, made->out), out_bytes(made, c));
    return bytes;
}

static double distance_of(const struct made *made, const struct one *c)
{
    const struct reference_conv shape = {.input = c->input,
                                         .out = c->out,
                                         .kernel_height = 3,
                                         .kernel_width = 3,
                                         .stride = 1,
                                         .pad_top = 1,
                                         .pad_left = 1,
                                         .pad_bottom = 1,
                                         .pad_right = 1};
    const size_t count = shape_count(made->shape);
    float *const want = malloc(count * sizeof *want);
    reference_conv(&shape, made->numbers, fixture_plain(&made->f, made->weight),
                   fixture_plain(&made->f, made->bias), want);
    for (size_t i = 0; i < count && c->added != ADDED_NOTHING; ++i)
        want[i] += (c->added == ADDED_COPY ? 2.0f : 1.0f) * made->residuals[i];
    fixture_run(&made->f);
    const double distance =
        fixture_distance(plan_data(made->f.plan, made->out), c->result, want, count);
    free(want);
    return distance;
}

static double try_one(const struct one *c)
{
    struct made made;
    begin(&made, c);
    (void)op_of(&made);
    const double distance = distance_of(&made, c);
    if (!(distance <= (c->exact ? EXACT_DISTANCE : MOST_DISTANCE)))
        check_fail_at("%dx%dx%dx%d -> %d: relative distance %.3g", c->input.n,
                      c->input.h, c->input.w, c->input.c, c->out, distance);
    end(&made);
    return distance;
}

static struct one random_one(bool exact)
{
    static const int32_t often[] = {32, 64, 96, 128, 160};
    struct one c = {
        .input = {fixture_int(1, 3), fixture_int(1, 17), fixture_int(1, 17), 0}
    };
    c.input.c = fixture_int(0, 1) ? often[fixture_int(0, 4)] : fixture_int(32, 100);
    c.out = fixture_int(0, 1) ? often[fixture_int(0, 4)] : fixture_int(32, 100);
    c.bias = fixture_int(0, 1);
    c.added = (enum added)fixture_int(0, ADDED_CASES - 1);
    c.exact = exact;
    c.result = fixture_int(0, 3) && !exact ? DTYPE_BF16 : DTYPE_F32;
    return c;
}

static void equals_the_reference(void)
{
    double most = 0;
    for (int i = 0; i < 80; ++i) {
        const struct one c = random_one(false);
        most = fmax(most, try_one(&c));
    }
    static const int32_t channels[][2] = {
        {320, 320},
        {640, 320},
        {512, 512},
        {130, 384}
    };
    for (size_t i = 0; i < sizeof channels / sizeof *channels; ++i) {
        const struct one c = {
            .input = {2, 7, 6, channels[i][0]},
            .out = channels[i][1],
            .bias = true,
            .added = ADDED_COPY,
            .result = DTYPE_BF16,
        };
        most = fmax(most, try_one(&c));
    }
    fprintf(stderr, "     relative distance at most %.2e\n", most);
    check_real(most, >, LEAST_DISTANCE); /* else it is not what ran */
}

/* Outputs in several chunks among them. */
static void is_exact_in_float32(void)
{
    double most = 0;
    for (int i = 0; i < 40; ++i) {
        const struct one c = random_one(true);
        most = fmax(most, try_one(&c));
    }
    static const int32_t channels[][2] = {
        {64, 640 },
        {32, 1280},
        {48, 384 }
    };
    for (size_t i = 0; i < sizeof channels / sizeof *channels; ++i) {
        const struct one c = {
            .input = {2, 7, 6, channels[i][0]},
            .out = channels[i][1],
            .bias = true,
            .added = ADDED_COPY,
            .exact = true
        };
        most = fmax(most, try_one(&c));
    }
    fprintf(stderr, "     relative distance at most %.2e\n", most);
}

/* The control: the smallest mistake, one of the 16 points left out, is beyond the bound. */
static void a_missing_point_is_seen(void)
{
    const struct one c = {
        .input = {1, 8, 8, 64},
          .out = 64, .result = DTYPE_BF16
    };
    struct made made;
    begin(&made, &c);
    struct guarded *const region = &made.f.region;
    check_int(mprotect(region->map, region->map_bytes, PROT_READ | PROT_WRITE), ==, 0);
    for (size_t p = 0; p < WINOGRAD_POINTS; ++p) {
        unsigned char kept[64 * 64 * 2];
        unsigned char *const point =
            region->data + made.weight->offset + p * made.weight->point_bytes;
        check_int(made.weight->point_bytes, ==, sizeof kept);
        memcpy(kept, point, sizeof kept);
        memset(point, 0, sizeof kept);
        check_real(distance_of(&made, &c), >, 10 * MOST_DISTANCE);
        memcpy(point, kept, sizeof kept);
    }
    check_real(distance_of(&made, &c), <, MOST_DISTANCE);
    end(&made);
}

static void is_chosen_by_shape(void)
{
    static const struct {
        struct weight_shape shape;
        bool chosen;
    } cases[] = {
        {{WEIGHT_CONV_SAME, DTYPE_BF16, 320, 320, 3, 3},   true },
        {{WEIGHT_CONV_SAME, DTYPE_BF16, 1280, 2560, 3, 3}, true },
        {{WEIGHT_CONV_SAME, DTYPE_BF16, 32, 32, 3, 3},     true },
        {{WEIGHT_CONV_SAME, DTYPE_BF16, 320, 4, 3, 3},     false},
        {{WEIGHT_CONV_SAME, DTYPE_BF16, 8, 512, 3, 3},     false},
        {{WEIGHT_CONV_SAME, DTYPE_BF16, 320, 320, 1, 1},   false},
        {{WEIGHT_CONV_SAME, DTYPE_F32, 320, 320, 3, 3},    false},
        {{WEIGHT_CONV, DTYPE_BF16, 320, 320, 3, 3},        false}
    };
    struct pool pool = {.head = NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct dr_error err = {0};
        struct weight weight;
        check(winograd_is_chosen(&cases[i].shape) == cases[i].chosen);
        check_int(weight_init(&weight, &cases[i].shape, &pool, &err), ==, DR_OK);
        check((weight.point_bytes > 0) == cases[i].chosen);
    }
    pool_finish(&pool);
}

/* A kernel that was stored for it runs no other convolution. */
static void refuses_other_convolutions(void)
{
    const struct conv_options others[] = {
        {.stride = 2,     .pad_top = 1,    .pad_left = 1,  .pad_bottom = 1, .pad_right = 1},
        {.stride = 1,     .pad_bottom = 1, .pad_right = 1},
        {.pad_top = 1,
         .pad_left = 1,
         .pad_bottom = 1,
         .pad_right = 1,
         .upsample = true                  }
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i) {
        struct fixture f;
        struct dr_error err = {0};
        fixture_begin(&f, DTYPE_BF16);
        struct conv_options options = others[i];
        options.weight = kernel_of(&f, 32, 32);
        const struct value x =
            plan_input(f.plan, (struct shape){1, 8, 8, 32}, DTYPE_BF16);
        (void)plan_conv(f.plan, x, &options);
        check_int(plan_seal(f.plan, &err), ==, DR_BAD_INPUT);
        fixture_end(&f);
    }
}

/* ---- the stored kernel ---- */

/* Row p of G. */
static double g_times(int p, double a, double b, double c)
{
    if (p == 0) return a;
    if (p == 3) return c;
    return p == 1 ? (a + b + c) / 2 : (a - b + c) / 2;
}

static double point_of(const float *g, int p)
{
    double tall[3];
    for (int k = 0; k < 3; ++k)
        tall[k] = g_times(p / 4, (double)g[k], (double)g[3 + k], (double)g[6 + k]);
    return g_times(p % 4, tall[0], tall[1], tall[2]);
}

static void check_stored(int32_t in, int32_t out)
{
    struct pool pool = {.head = NULL};
    struct dr_error err = {0};
    struct weight w;
    const struct weight_shape shape = {WEIGHT_CONV_SAME, DTYPE_BF16, out, in, 3, 3};
    check_int(weight_init(&w, &shape, &pool, &err), ==, DR_OK);
    const size_t count = (size_t)in * (size_t)out * 9;
    float *const g = fixture_reals(count, 1, DTYPE_BF16);
    uint16_t *const plain = malloc(count * sizeof *plain);
    dtype_to_bf16(g, DTYPE_F32, plain, count);
    struct guarded stored = guarded_open(w.bytes);
    check_int(weight_store(&w, plain, stored.data, &err), ==, DR_OK);
    for (int32_t o = 0; o < out; ++o)
        for (int32_t i = 0; i < in; ++i)
            for (int p = 0; p < WINOGRAD_POINTS; ++p) {
                const float *const kernel =
                    &g[((size_t)o * (size_t)in + (size_t)i) * 9];
                unsigned char *const at =
                    stored.data + (size_t)p * w.point_bytes +
                    2 * (layout_in(w.layout, i) + layout_out(w.layout, o));
                uint16_t bits;
                memcpy(&bits, at, sizeof bits);
                const double want = point_of(kernel, p);
                check_real(fabs((double)dtype_f32_from_bf16(bits) - want), <=,
                           0x1.01p-8 * fabs(want) + 1e-6);
                memset(at, 0, sizeof bits);
            }
    size_t left = 0;
    for (size_t i = 0; i < w.bytes; ++i)
        left += stored.data[i] != 0;
    check_int(left, ==, 0);
    guarded_close(&stored);
    free(plain);
    free(g);
    pool_finish(&pool);
}

static void stores_transformed_kernels(void)
{
    check_stored(32, 64);
    check_stored(45, 131);
    check_stored(96, 33);
}

/* ---- the same bytes ---- */

static void threads_give_the_same_bytes(void)
{
    static const struct one cases[] = {
  /* few blocks: threads share their outputs */
        {{2, 8, 8, 128},  640,  true,  ADDED_COPY,    DTYPE_BF16, false, false},
        {{1, 3, 4, 64},   192,  true,  ADDED_NOTHING, DTYPE_BF16, false, false},
        {{1, 41, 23, 64}, 48,   false, ADDED_INPUT,   DTYPE_F32,  false, false},
        {{1, 7, 130, 32}, 32,   true,  ADDED_INPUT,   DTYPE_BF16, true,  false},
        {{1, 8, 8, 32},   1280, true,  ADDED_COPY,    DTYPE_F32,  false, true },
        {{1, 7, 130, 32}, 640,  true,  ADDED_INPUT,   DTYPE_F32,  true,  true }
    };
    struct dr_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        if (fixture_lacks(dtype_of(&cases[i]))) continue;
        const uint64_t state = fixture_state;
        void *first = NULL;
        for (int threads = 1; threads <= 5; ++threads) {
            check_int(compute_init(threads, &err), ==, DR_OK);
            struct made made;
            fixture_state = state;
            begin(&made, &cases[i]);
            (void)op_of(&made);
            void *const bytes = run(&made, &cases[i]);
            if (!first) first = calloc(1, out_bytes(&made, &cases[i]));
            if (threads == 1) memcpy(first, bytes, out_bytes(&made, &cases[i]));
            check_bytes(first, bytes, out_bytes(&made, &cases[i]));
            free(bytes);
            end(&made);
        }
        free(first);
    }
    check_int(compute_init(0, &err), ==, DR_OK);
}

/* A map and its upper part: the same bytes, but for the last line, which sees what is below. */
static void bytes_do_not_depend_on_the_size(void)
{
    static const int32_t cases[][4] = {
  /* width, channels, heights */
        {24, 96,  64, 32},
        {23, 32,  61, 17},
        {8,  320, 40, 3 },
        {1,  64,  9,  2 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const int32_t *const c = cases[i];
        const uint64_t state = fixture_state;
        const struct one whole_one = {
            .input = {1, c[2], c[0], c[1]},
            .out = c[1],
            .bias = true,
            .added = ADDED_INPUT,
            .result = DTYPE_BF16,
        };
        struct one part_one = whole_one;
        struct made whole, part;
        part_one.input.h = c[3];
        begin(&whole, &whole_one);
        fixture_state = state;
        begin(&part, &part_one);
        fixture_fill(&part.f, part.residual, whole.residuals);
        void *const all = run(&whole, &whole_one), *const upper = run(&part, &part_one);
        check_bytes(all, upper, (size_t)((c[3] - 1) * c[0] * c[1]) * sizeof(uint16_t));
        free(all);
        free(upper);
        end(&whole);
        end(&part);
    }
}

/* Images of a batch that are the same give the same bytes, though other blocks hold them. */
static void bytes_do_not_depend_on_the_place(void)
{
    const struct one c = {
        .input = {3, 11, 9, 64},
          .out = 64, .bias = true, .result = DTYPE_BF16
    };
    struct made made;
    begin(&made, &c);
    const size_t image = shape_count(c.input) / 3;
    for (size_t i = 0; i < 2 * image; ++i)
        made.numbers[image + i] = made.numbers[i % image];
    fixture_fill(&made.f, made.x, made.numbers);
    uint16_t *const bytes = run(&made, &c);
    check_bytes(bytes, bytes + image, image * sizeof *bytes);
    check_bytes(bytes, bytes + 2 * image, image * sizeof *bytes);
    free(bytes);
    end(&made);
}

/* Any lines can be made alone, at odd ones too, and no others are touched. */
static void lines_alone_give_the_same_bytes(void)
{
    const struct one c = {
        .input = {1, 7, 130, 32},
        .out = 48,
        .bias = true,
        .added = ADDED_INPUT,
        .result = DTYPE_BF16,
        .by_lines = true,
    };
    struct made made;
    begin(&made, &c);
    const struct op *const op = op_of(&made);
    const size_t line = (size_t)c.input.w * (size_t)c.out * sizeof(uint16_t);
    fixture_run(&made.f);
    unsigned char *const result = plan_address(made.f.plan, op->result);
    unsigned char *const whole = malloc(7 * line), *const parts = malloc(7 * line);
    memcpy(whole, result, 7 * line);
    for (int32_t first = 0; first < 7; ++first)
        for (int32_t count = 1; first + count <= 7; ++count) {
            const struct rows rows = {(int64_t)first * c.input.w,
                                      (int64_t)count * c.input.w};
            memset(result, 0x5A, 7 * line);
            memset(parts, 0x5A, 7 * line);
            memcpy(parts + (size_t)first * line, whole + (size_t)first * line,
                   (size_t)count * line);
            check(op->class->run(made.f.plan, op, rows));
            check_bytes(parts, result, 7 * line);
        }
    free(whole);
    free(parts);
    end(&made);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3017);
    check_run(is_exact_in_float32);
    check_run(threads_give_the_same_bytes);
    if (fixture_lacks(DTYPE_BF16)) return check_done();
    check_run(equals_the_reference);
    check_run(a_missing_point_is_seen);
    check_run(is_chosen_by_shape);
    check_run(refuses_other_convolutions);
    check_run(stores_transformed_kernels);
    check_run(bytes_do_not_depend_on_the_size);
    check_run(bytes_do_not_depend_on_the_place);
    check_run(lines_alone_give_the_same_bytes);
    return check_done();
}
