/* Tiled convolutions against the plain loops, and against themselves: other threads, another place,
 * single lines. */
#include "compute/plan_fixture.h"

#include "compute/library.h"
#include "compute/plan_private.h"
#include "compute/tiled_conv.h"

/* Of a layer, relative to what its rounded inputs and weights make exactly. Winograd in bfloat16:
 * 4.3e-3 by random numbers, where the output's rounding alone is 1.7e-3; enlarging, 2.3e-3, for the
 * sums of taps are rounded too. */
#define MOST_WINOGRAD  5e-3
#define LEAST_WINOGRAD 2.4e-3 /* of the direct convolution at most */
#define MOST_ENLARGING 3e-3
#define MOST_F32       1e-6
/* F(4x4) in float32: 2e-6 to 3e-6. */
#define MOST_WINOGRAD_4 5e-6

/* The plain loops take long under a sanitizer. */
#ifdef __SANITIZE_ADDRESS__
enum {
    TRIES = 4
};
#else
enum {
    TRIES = 20
};
#endif

enum added {
    ADDED_NOTHING,
    ADDED_INPUT, /* a residual that stays as it is */
    ADDED_COPY,  /* one that the result may take over */
    ADDED_CASES
};

/* Each is added by hand: so it runs for small maps, and in float32, where no rounding hides a mistake. */
struct one {
    enum tiled_recipe recipe;
    enum dtype dtype;
    struct shape input;
    int32_t out;
    bool bias;
    enum added added;
    enum dtype result;
    bool by_lines;
};

struct made {
    struct fixture f;
    const struct weight *weight, *bias;
    struct shape shape; /* of the result */
    struct value x, residual, out;
    float *numbers, *residuals;
};

static bool is_enlarging(enum tiled_recipe recipe)
{
    return recipe == TILED_ENLARGING || recipe == TILED_ENLARGING_4;
}

static struct value add_conv(struct made *made, const struct one *c, struct value added)
{
    const struct conv_options options = {.weight = made->weight,
                                         .bias = made->bias,
                                         .pad_top = 1,
                                         .pad_left = 1,
                                         .pad_bottom = 1,
                                         .pad_right = 1,
                                         .residual = added,
                                         .upsample = is_enlarging(c->recipe),
                                         .dtype = c->result,
                                         .dtype_set = c->result != c->dtype};
    const struct value y = plan_value_new(made->f.plan, made->shape, c->result);
    check(tiled_conv_add(made->f.plan, made->x, y, &options, c->recipe));
    return y;
}

static void begin(struct made *made, const struct one *c)
{
    *made = (struct made){.residual = VALUE_NONE};
    struct fixture *const f = &made->f;
    const struct weight_shape kernel = {WEIGHT_CONV, c->dtype, c->out,
                                        c->input.c,  3,        3};
    const int32_t by = is_enlarging(c->recipe) ? 2 : 1;
    fixture_begin_with(f, &(struct plan_options){.name = "test",
                                                 .dtype = c->dtype,
                                                 .by_lines = c->by_lines});
    made->weight = fixture_weight(f, kernel, 1.0f / sqrtf(9.0f * (float)c->input.c), 0);
    made->bias = c->bias ? fixture_vector(f, c->out, 0) : NULL;
    made->x = plan_input(f->plan, c->input, c->dtype);
    made->shape = (struct shape){c->input.n, by * c->input.h, by * c->input.w, c->out};
    struct value added = VALUE_NONE;
    if (c->added != ADDED_NOTHING) {
        made->residual = added = plan_input(f->plan, made->shape, c->dtype);
        if (c->added == ADDED_COPY) added = plan_add(f->plan, added, added);
    }
    made->out = plan_output(f->plan, add_conv(made, c, added), c->result);
    fixture_seal(f);
    made->numbers = fixture_reals(shape_count(c->input), 1, c->dtype);
    made->residuals = fixture_reals(shape_count(made->shape), 0.5f, c->dtype);
    fixture_fill(f, made->x, made->numbers);
    if (made->residual.id) fixture_fill(f, made->residual, made->residuals);
}

static void end(struct made *made)
{
    free(made->numbers);
    free(made->residuals);
    fixture_end(&made->f);
}

/* The only classes that make several lines at once. */
static const struct op *find_op(const struct plan *plan)
{
    for (size_t i = 0; i < plan->op_count; ++i)
        if (plan->ops[i].class->line_step > 1) return &plan->ops[i];
    return NULL;
}

static const struct op *op_of(const struct made *made)
{
    const struct op *const op = find_op(made->f.plan);
    if (op) return op;
    check_fail_at("the plan has no tiled convolution");
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
    memcpy(bytes, fixture_data(made->f.plan, made->out), out_bytes(made, c));
    return bytes;
}

/* From what the plain loops make of this kernel. */
static double distance_from(const struct made *made, const struct one *c,
                            const float *kernel)
{
    struct shape seen = made->shape;
    seen.c = c->input.c;
    const struct reference_conv shape = {.input = seen,
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
    float *const map = malloc(shape_count(seen) * sizeof *map);
    reference_upsample(c->input, seen.h, seen.w, made->numbers, map);
    reference_conv(&shape, map, kernel, fixture_plain(&made->f, made->bias), want);
    for (size_t i = 0; i < count && c->added != ADDED_NOTHING; ++i)
        want[i] += (c->added == ADDED_COPY ? 2.0f : 1.0f) * made->residuals[i];
    fixture_run(&made->f);
    const double distance =
        fixture_distance(fixture_data(made->f.plan, made->out), c->result, want, count);
    free(map);
    free(want);
    return distance;
}

static double distance_of(const struct made *made, const struct one *c)
{
    return distance_from(made, c, fixture_plain(&made->f, made->weight));
}

static double most_distance(const struct one *c)
{
    if (c->recipe == TILED_WINOGRAD_4) return MOST_WINOGRAD_4;
    if (c->dtype == DTYPE_F32) return MOST_F32;
    return c->recipe == TILED_ENLARGING ? MOST_ENLARGING : MOST_WINOGRAD;
}

static double try_one(const struct one *c)
{
    struct made made;
    begin(&made, c);
    (void)op_of(&made);
    const double distance = distance_of(&made, c);
    if (!(distance <= most_distance(c)))
        check_fail_at("recipe %d %s %dx%dx%dx%d -> %d: relative distance %.3g",
                      (int)c->recipe, dtype_name(c->dtype), c->input.n, c->input.h,
                      c->input.w, c->input.c, c->out, distance);
    end(&made);
    return distance;
}

static struct one random_one(enum tiled_recipe recipe, enum dtype dtype)
{
    static const int32_t often[] = {32, 64, 96, 128, 192};
    struct one c = {
        .recipe = recipe,
        .dtype = dtype,
        .input = {fixture_int(1, 3), fixture_int(1, 17), fixture_int(1, 17),
                  often[fixture_int(0, 4)]},
        .out = often[fixture_int(0, 4)],
        .bias = fixture_int(0, 1),
        .added = (enum added)fixture_int(0, ADDED_CASES - 1),
    };
    c.result = fixture_int(0, 3) ? dtype : DTYPE_F32;
    return c;
}

static double try_many(enum tiled_recipe recipe, enum dtype dtype)
{
    static const int32_t channels[][2] = {
        {64,   640 },
        {128,  384 },
        {32,   1280},
        {320,  320 },
        {512,  512 },
        {1280, 256 }  /* combined in chunks */
    };
    double most = 0;
    for (int i = 0; i < TRIES; ++i) {
        const struct one c = random_one(recipe, dtype);
        most = fmax(most, try_one(&c));
    }
    for (size_t i = 0; i < sizeof channels / sizeof *channels && i < TRIES; ++i) {
        const struct one c = {
            .recipe = recipe,
            .dtype = dtype,
            .input = {2, 5, 4, channels[i][0]},
            .out = channels[i][1],
            .bias = true,
            .added = ADDED_COPY,
            .result = dtype,
        };
        most = fmax(most, try_one(&c));
    }
    if (dtype == DTYPE_BF16 && TRIES > 4) {
        /* many tiles: in blocks, and combined in chunks */
        const struct shape large = {1, 17, 17, 1280};
        const struct one c = {
            .recipe = recipe,
            .dtype = dtype,
            .input = large,
            .out = 384,
            .result = dtype,
        };
        most = fmax(most, try_one(&c));
    }
    fprintf(stderr, "     relative distance at most %.2e\n", most);
    return most;
}

static void winograd_is_exact_in_float32(void)
{
    (void)try_many(TILED_WINOGRAD, DTYPE_F32);
}

static void winograd_of_4x4_is_near_in_float32(void)
{
    /* else it is not what ran */
    check_real(try_many(TILED_WINOGRAD_4, DTYPE_F32), >, MOST_F32);
}

static void enlarging_is_exact_in_float32(void)
{
    (void)try_many(TILED_ENLARGING, DTYPE_F32);
}

static void enlarging_by_4x4_is_exact_in_float32(void)
{
    (void)try_many(TILED_ENLARGING_4, DTYPE_F32);
}

static void winograd_is_near_in_bfloat16(void)
{
    /* else it is not what ran */
    check_real(try_many(TILED_WINOGRAD, DTYPE_BF16), >, LEAST_WINOGRAD);
}

static void enlarging_is_near_in_bfloat16(void)
{
    (void)try_many(TILED_ENLARGING, DTYPE_BF16);
}

static void enlarging_by_4x4_is_near_in_bfloat16(void)
{
    /* else it is not what ran: sums of taps stay below */
    check_real(try_many(TILED_ENLARGING_4, DTYPE_BF16), >, LEAST_WINOGRAD);
}

/* Many blocks, with all weights combined at once; and, the third, in more groups than one. */
static void groups_follow_each_other(void)
{
    static const struct one cases[] = {
        {TILED_WINOGRAD,
         DTYPE_F32, {1, 70, 66, 64},
         64,  true,
         ADDED_INPUT, DTYPE_F32,
         false},
        {TILED_WINOGRAD_4,
         DTYPE_F32, {1, 70, 66, 320},
         64,  true,
         ADDED_COPY,  DTYPE_F32,
         false},
        {TILED_WINOGRAD_4,
         DTYPE_F32, {1, 70, 130, 64},
         96,  true,
         ADDED_INPUT, DTYPE_F32,
         true },
        {TILED_ENLARGING,
         DTYPE_F32, {1, 40, 45, 64},
         64,  true,
         ADDED_COPY,  DTYPE_F32,
         false},
        {TILED_ENLARGING_4,
         DTYPE_F32, {1, 40, 45, 320},
         64,  true,
         ADDED_COPY,  DTYPE_F32,
         false},
        {TILED_ENLARGING_4,
         DTYPE_F32, {1, 35, 66, 128},
         96,  true,
         ADDED_INPUT, DTYPE_F32,
         true },
        {TILED_WINOGRAD,
         DTYPE_F32, {1, 64, 64, 640},
         320, true,
         ADDED_INPUT, DTYPE_F32,
         false},
        {TILED_ENLARGING,
         DTYPE_F32, {1, 70, 66, 64},
         32,  true,
         ADDED_INPUT, DTYPE_F32,
         true }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        (void)try_one(&cases[i]);
}

/* The control: the smallest mistake, one of the nine taps left out, is beyond every bound. */
static void a_missing_tap_is_seen(void)
{
    for (int recipe = TILED_WINOGRAD; recipe <= TILED_ENLARGING_4; ++recipe) {
        const struct one c = {
            .recipe = (enum tiled_recipe)recipe,
            .input = {1, 8, 8, 64},
            .out = 64,
        };
        struct made made;
        begin(&made, &c);
        const size_t count = (size_t)64 * 64 * 9;
        float *const kernel = malloc(count * sizeof *kernel);
        for (size_t tap = 0; tap < 9; ++tap) {
            memcpy(kernel, fixture_plain(&made.f, made.weight), count * sizeof *kernel);
            for (size_t i = tap; i < count; i += 9)
                kernel[i] = 0;
            check_real(distance_from(&made, &c, kernel), >, 10 * MOST_WINOGRAD);
        }
        check_real(distance_of(&made, &c), <, most_distance(&c));
        free(kernel);
        end(&made);
    }
}

/* ---- which ---- */

enum how {
    KEEPS_SIZE,
    HALVES,
    PADS_ONE_SIDE,
    ENLARGES,
    ENLARGES_LESS_HIGH, /* by a line than to twice the size */
    ENLARGES_LESS_WIDE
};

struct choice {
    enum dtype dtype;
    int32_t side, in, out, kernel;
    enum how how;
    enum tiled_recipe recipe;
};

static struct conv_options options_of(const struct choice *choice)
{
    const int32_t before = choice->how == PADS_ONE_SIDE ? 0 : choice->kernel / 2;
    struct conv_options options = {.stride = choice->how == HALVES ? 2 : 1,
                                   .pad_top = before,
                                   .pad_left = before,
                                   .pad_bottom = choice->kernel / 2,
                                   .pad_right = choice->kernel / 2,
                                   .upsample = choice->how >= ENLARGES};
    if (choice->how == ENLARGES_LESS_HIGH)
        options.upsample_height = 2 * choice->side - 1;
    if (choice->how == ENLARGES_LESS_WIDE)
        options.upsample_width = 2 * choice->side - 1;
    return options;
}

static enum tiled_recipe recipe_of(const struct plan *plan)
{
    const struct op *const op = find_op(plan);
    if (!op) return TILED_NONE;
    if (strcmp(op->class->kind, "conv 3x3 enlarging") == 0) return TILED_ENLARGING;
    if (strcmp(op->class->kind, "conv 3x3 enlarging 4x4") == 0)
        return TILED_ENLARGING_4;
    return op->class->line_step == 4 ? TILED_WINOGRAD_4 : TILED_WINOGRAD;
}

static void check_choice(const struct choice *choice)
{
    struct fixture f;
    if (fixture_lacks(choice->dtype)) return;
    fixture_begin(&f, choice->dtype);
    struct conv_options options = options_of(choice);
    const struct weight_shape shape = {WEIGHT_CONV, choice->dtype,  choice->out,
                                       choice->in,  choice->kernel, choice->kernel};
    struct weight weight;
    struct dr_error err = {0};
    check_int(weight_init(&weight, &shape, &f.pool, &err), ==, DR_OK);
    options.weight = &weight;
    const struct shape input = {2, choice->side, choice->side, choice->in};
    const struct value x = plan_input(f.plan, input, choice->dtype);
    (void)plan_output(f.plan, plan_conv(f.plan, x, &options), choice->dtype);
    check_int(plan_seal(f.plan, &err), ==, DR_OK);
    const enum tiled_recipe recipe = recipe_of(f.plan);
    if (recipe != choice->recipe)
        check_fail_at("%s @%d %d -> %d, kernel %d, %d: recipe %d, not %d",
                      dtype_name(choice->dtype), choice->side, choice->in, choice->out,
                      choice->kernel, (int)choice->how, (int)recipe,
                      (int)choice->recipe);
    fixture_end(&f);
}

static void shapes_choose(void)
{
    static const struct choice cases[] = {
        {DTYPE_BF16, 16,  320,  320,  3, KEEPS_SIZE,         TILED_WINOGRAD   },
        {DTYPE_BF16, 16,  2560, 1280, 3, KEEPS_SIZE,         TILED_WINOGRAD   },
        {DTYPE_BF16, 16,  960,  640,  3, KEEPS_SIZE,         TILED_WINOGRAD   },
        {DTYPE_BF16, 11,  32,   32,   3, KEEPS_SIZE,         TILED_WINOGRAD   },
        {DTYPE_BF16, 4,   320,  320,  3, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_BF16, 16,  4,    320,  3, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_BF16, 16,  128,  3,    3, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_BF16, 16,  320,  320,  1, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_BF16, 16,  320,  320,  3, HALVES,             TILED_NONE       },
        {DTYPE_BF16, 16,  320,  320,  3, PADS_ONE_SIDE,      TILED_NONE       },
        {DTYPE_F32,  16,  320,  320,  3, KEEPS_SIZE,         TILED_WINOGRAD_4 },
        {DTYPE_F32,  8,   1280, 1280, 3, KEEPS_SIZE,         TILED_WINOGRAD_4 },
        {DTYPE_F32,  6,   320,  320,  3, KEEPS_SIZE,         TILED_WINOGRAD   },
        {DTYPE_F32,  2,   320,  320,  3, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_F32,  16,  4,    320,  3, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_F32,  16,  128,  3,    3, KEEPS_SIZE,         TILED_NONE       },
        {DTYPE_F32,  16,  320,  320,  3, HALVES,             TILED_NONE       },
        {DTYPE_F32,  16,  320,  320,  3, PADS_ONE_SIDE,      TILED_NONE       },
        {DTYPE_BF16, 16,  640,  640,  3, ENLARGES,           TILED_ENLARGING_4},
        {DTYPE_F32,  8,   1280, 1280, 3, ENLARGES,           TILED_ENLARGING_4},
        {DTYPE_F32,  256, 256,  256,  3, ENLARGES,           TILED_ENLARGING_4},
        {DTYPE_F32,  1,   256,  256,  3, ENLARGES,           TILED_ENLARGING  },
        {DTYPE_F32,  16,  256,  16,   3, ENLARGES,           TILED_ENLARGING  },
        {DTYPE_F32,  16,  256,  256,  3, ENLARGES_LESS_HIGH, TILED_NONE       },
        {DTYPE_F32,  16,  256,  256,  3, ENLARGES_LESS_WIDE, TILED_NONE       }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_choice(&cases[i]);
    const bool panels = library_is_slower_in_bf16(kernels_choose()->multiplies_bf16);
    const enum tiled_recipe few = panels ? TILED_WINOGRAD : TILED_NONE;
    check_choice(&(struct choice){DTYPE_BF16, 8, 320, 320, 3, KEEPS_SIZE, few});
}

/* ---- the same bytes ---- */

/* The result of the same numbers whatever the threads are. */
static void check_threads(const struct one *c)
{
    const uint64_t state = fixture_state;
    struct dr_error err = {0};
    void *first = NULL;
    if (fixture_lacks(c->dtype)) return;
    static const int counts[] = {1, 2, 3, 5, 16, 64};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
        const int threads = counts[i];
        check_int(compute_init(threads, &err), ==, DR_OK);
        struct made made;
        fixture_state = state;
        begin(&made, c);
        (void)op_of(&made);
        void *const bytes = run(&made, c);
        if (first) check_bytes(first, bytes, out_bytes(&made, c));
        if (first)
            free(bytes);
        else
            first = bytes;
        end(&made);
    }
    free(first);
    check_int(compute_init(0, &err), ==, DR_OK);
}

static void threads_give_the_same_bytes(void)
{
    static const struct one cases[] = {
        {TILED_WINOGRAD,
         DTYPE_BF16, {2, 8, 8, 128},
         640,  true,
         ADDED_COPY,    DTYPE_BF16,
         false},
        {TILED_WINOGRAD,
         DTYPE_BF16, {1, 41, 23, 64},
         32,   false,
         ADDED_INPUT,   DTYPE_F32,
         false},
        {TILED_WINOGRAD,
         DTYPE_BF16, {1, 7, 130, 32},
         32,   true,
         ADDED_INPUT,   DTYPE_BF16,
         true },
        {TILED_WINOGRAD,
         DTYPE_BF16, {1, 7, 22, 192},
         96,   true,
         ADDED_INPUT,   DTYPE_BF16,
         false},
        {TILED_WINOGRAD,
         DTYPE_F32,  {1, 8, 8, 32},
         1280, true,
         ADDED_COPY,    DTYPE_F32,
         false},
        {TILED_WINOGRAD_4,
         DTYPE_F32,  {2, 33, 30, 96},
         160,  true,
         ADDED_COPY,    DTYPE_F32,
         false},
        {TILED_WINOGRAD_4,
         DTYPE_F32,  {1, 19, 130, 32},
         96,   true,
         ADDED_INPUT,   DTYPE_F32,
         true },
        {TILED_ENLARGING,
         DTYPE_BF16, {2, 8, 8, 128},
         640,  true,
         ADDED_COPY,    DTYPE_BF16,
         false},
        {TILED_ENLARGING,
         DTYPE_F32,  {1, 7, 130, 32},
         64,   true,
         ADDED_INPUT,   DTYPE_F32,
         true },
        {TILED_ENLARGING_4,
         DTYPE_F32,  {2, 17, 15, 96},
         160,  true,
         ADDED_COPY,    DTYPE_F32,
         false},
        {TILED_ENLARGING_4,
         DTYPE_BF16, {2, 17, 15, 128},
         640,  true,
         ADDED_COPY,    DTYPE_BF16,
         false},
        {TILED_ENLARGING_4,
         DTYPE_BF16, {1, 7, 130, 32},
         64,   true,
         ADDED_INPUT,   DTYPE_BF16,
         true },
        {TILED_ENLARGING_4,
         DTYPE_BF16, {2, 7, 5, 320},
         640,  true,
         ADDED_COPY,    DTYPE_BF16,
         false},
        {TILED_ENLARGING_4,
         DTYPE_F32,  {1, 7, 130, 32},
         64,   true,
         ADDED_INPUT,   DTYPE_F32,
         true },
        {TILED_ENLARGING,
         DTYPE_F32,  {1, 3, 4, 64},
         192,  true,
         ADDED_NOTHING, DTYPE_F32,
         false}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_threads(&cases[i]);
}

/* Images of a batch that are the same give the same bytes, though other blocks hold them. */
static void check_places(const struct one *c)
{
    struct made made;
    if (fixture_lacks(c->dtype)) return;
    begin(&made, c);
    const size_t image = shape_count(c->input) / 3, bytes = out_bytes(&made, c) / 3;
    for (size_t i = 0; i < 2 * image; ++i)
        made.numbers[image + i] = made.numbers[i % image];
    fixture_fill(&made.f, made.x, made.numbers);
    unsigned char *const result = run(&made, c);
    check_bytes(result, result + bytes, bytes);
    check_bytes(result, result + 2 * bytes, bytes);
    free(result);
    end(&made);
}

static void bytes_do_not_depend_on_the_place(void)
{
    static const struct one cases[] = {
        {TILED_WINOGRAD,
         DTYPE_BF16, {3, 11, 9, 64},
         64, true,
         ADDED_NOTHING, DTYPE_BF16,
         false},
        {TILED_WINOGRAD,
         DTYPE_BF16, {3, 19, 17, 64},
         64, true,
         ADDED_NOTHING, DTYPE_BF16,
         false},
        {TILED_WINOGRAD,
         DTYPE_F32,  {3, 11, 9, 64},
         64, true,
         ADDED_NOTHING, DTYPE_F32,
         false},
        {TILED_WINOGRAD_4,
         DTYPE_F32,  {3, 11, 9, 64},
         96, true,
         ADDED_NOTHING, DTYPE_F32,
         false},
        {TILED_ENLARGING_4,
         DTYPE_F32,  {3, 11, 9, 64},
         96, true,
         ADDED_NOTHING, DTYPE_F32,
         false},
        {TILED_ENLARGING_4,
         DTYPE_BF16, {3, 11, 9, 64},
         96, true,
         ADDED_NOTHING, DTYPE_BF16,
         false},
        {TILED_ENLARGING,
         DTYPE_BF16, {3, 11, 9, 64},
         64, true,
         ADDED_NOTHING, DTYPE_BF16,
         false}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_places(&cases[i]);
}

/* Any lines can be made alone, at odd ones too, and no others are touched. */
static void check_lines(const struct one *c)
{
    struct made made;
    if (fixture_lacks(c->dtype)) return;
    begin(&made, c);
    const struct op *const op = op_of(&made);
    const int32_t height = made.shape.h;
    const size_t line = out_bytes(&made, c) / (size_t)height;
    const size_t all = out_bytes(&made, c);
    fixture_run(&made.f);
    unsigned char *const result = plan_address(made.f.plan, op->result);
    unsigned char *const whole = malloc(all), *const parts = malloc(all);
    memcpy(whole, result, all);
    for (int32_t first = 0; first < height; ++first)
        for (int32_t count = 1; first + count <= height; ++count) {
            const struct rows rows = {(int64_t)first * made.shape.w,
                                      (int64_t)count * made.shape.w};
            memset(result, 0x5A, all);
            memset(parts, 0x5A, all);
            memcpy(parts + (size_t)first * line, whole + (size_t)first * line,
                   (size_t)count * line);
            check(op->class->run(made.f.plan, op, rows));
            check_bytes(parts, result, all);
        }
    free(whole);
    free(parts);
    end(&made);
}

static void lines_alone_give_the_same_bytes(void)
{
    static const struct one cases[] = {
        {TILED_WINOGRAD,
         DTYPE_BF16, {1, 7, 130, 32},
         64, true,
         ADDED_INPUT, DTYPE_BF16,
         true},
        {TILED_WINOGRAD,
         DTYPE_F32,  {1, 8, 130, 32},
         64, true,
         ADDED_INPUT, DTYPE_F32,
         true},
        {TILED_WINOGRAD_4,
         DTYPE_F32,  {1, 14, 130, 32},
         64, true,
         ADDED_INPUT, DTYPE_F32,
         true},
        {TILED_ENLARGING,
         DTYPE_F32,  {1, 4, 70, 32},
         64, true,
         ADDED_INPUT, DTYPE_F32,
         true},
        {TILED_ENLARGING_4,
         DTYPE_F32,  {1, 7, 70, 32},
         64, true,
         ADDED_INPUT, DTYPE_F32,
         true},
        {TILED_ENLARGING_4,
         DTYPE_BF16, {1, 7, 70, 32},
         64, true,
         ADDED_INPUT, DTYPE_BF16,
         true},
        {TILED_ENLARGING_4,
         DTYPE_BF16, {1, 2, 66, 160},
         64, true,
         ADDED_INPUT, DTYPE_BF16,
         true}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_lines(&cases[i]);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3017);
    check_run(winograd_is_exact_in_float32);
    check_run(winograd_of_4x4_is_near_in_float32);
    check_run(enlarging_is_exact_in_float32);
    check_run(enlarging_by_4x4_is_exact_in_float32);
    if (TRIES > 4) check_run(groups_follow_each_other);
    check_run(a_missing_tap_is_seen);
    check_run(shapes_choose);
    check_run(threads_give_the_same_bytes);
    check_run(bytes_do_not_depend_on_the_place);
    check_run(lines_alone_give_the_same_bytes);
    if (fixture_lacks(DTYPE_BF16)) return check_done();
    check_run(winograd_is_near_in_bfloat16);
    check_run(enlarging_is_near_in_bfloat16);
    check_run(enlarging_by_4x4_is_near_in_bfloat16);
    return check_done();
}
