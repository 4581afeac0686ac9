/* Products over panels, which only some processors would use, on all of them: against sums in
 * double. And that a row's bytes don't depend on the rows and the outputs beside it. */
#include "compute/plan_fixture.h"

#include "compute/product.h"

struct numbers {
    int32_t rows, in, out;
    float *source, *operand, *bias,
        *before; /* [rows][in], [in][out], [out], [rows][out] */
};

static struct numbers numbers_of(int32_t rows, int32_t in, int32_t out)
{
    const size_t r = (size_t)rows, i = (size_t)in, o = (size_t)out;
    return (struct numbers){rows,
                            in,
                            out,
                            fixture_reals(r * i, 1, DTYPE_F32),
                            fixture_reals(i * o, 1, DTYPE_F32),
                            fixture_reals(o, 1, DTYPE_F32),
                            fixture_reals(r * o, 1, DTYPE_F32)};
}

static void free_numbers(const struct numbers *n)
{
    free(n->source);
    free(n->operand);
    free(n->bias);
    free(n->before);
}

static double wanted(const struct numbers *n, const struct product_shape *shape,
                     int32_t row, int32_t out)
{
    double sum = shape->bias ? (double)n->bias[out] : 0;
    if (shape->add)
        sum += (double)n->before[(size_t)row * (size_t)n->out + (size_t)out];
    for (int32_t i = 0; i < n->in; ++i)
        sum += (double)n->source[(size_t)row * (size_t)n->in + (size_t)i] *
               (double)n->operand[(size_t)i * (size_t)n->out + (size_t)out];
    return sum;
}

static void compare(const struct numbers *n, const struct product_shape *shape,
                    const float *result)
{
    double wrong = 0, right = 0;
    for (int32_t row = 0; row < n->rows; ++row)
        for (int32_t out = 0; out < n->out; ++out) {
            const double want = wanted(n, shape, row, out);
            const double less =
                (double)result[(size_t)row * (size_t)n->out + (size_t)out] - want;
            wrong += less * less;
            right += want * want;
        }
    /* 1.2e-6 where the library adds 5,120 numbers one after the other, as it does for arm64. */
    if (!(sqrt(wrong / right) < 2e-6))
        check_fail_at("%d x %d x %d, bias %d, add %d: relative L2 %g", n->rows, n->in,
                      n->out, shape->bias, shape->add, sqrt(wrong / right));
}

/* What fills up the blocks is no number: no output may read it. */
static struct guarded operand_of(const struct numbers *n,
                                 const struct weight_layout *layout)
{
    const struct guarded operand = guarded_open(layout->bytes);
    const struct layout_part whole = {.source = n->operand,
                                      .in_step = (size_t)n->out,
                                      .out_step = 1,
                                      .in_count = n->in,
                                      .out_count = n->out};
    memset(operand.data, 0xff, layout->bytes);
    layout_pack(layout, &whole, operand.data);
    return operand;
}

/* The result's last number is the last before a page that faults, the operand's too. */
static void multiply(const struct numbers *n, const struct product_shape *shape,
                     const struct kernels *kernels)
{
    struct dr_error err = {0};
    struct pool pool = {.head = NULL};
    struct product_set set = {.pool = &pool, .kernels = kernels};
    struct weight_layout layout;
    const struct product *product = NULL;
    check_int(layout_panels(&layout, n->in, n->out, &err), ==, DR_OK);
    check(layout.by_panels);
    check_int(product_get(&set, shape, &layout, &product, &err), ==, DR_OK);
    const size_t result_bytes = (size_t)n->rows * (size_t)n->out * sizeof(float);
    struct guarded operand = operand_of(n, &layout);
    struct guarded scratch = guarded_open(product->scratch_bytes);
    struct guarded result = guarded_open(result_bytes);
    memcpy(result.data, n->before, result_bytes);
    const struct product_call call = {.source = n->source,
                                      .operand = operand.data,
                                      .bias = shape->bias ? n->bias : NULL,
                                      .result = result.data,
                                      .scratch = scratch.data};
    check(product_run(product, 0, &call));
    compare(n, shape, (const void *)result.data);
    guarded_close(&operand);
    guarded_close(&scratch);
    guarded_close(&result);
    product_set_finish(&set);
    pool_finish(&pool);
}

static void multiplies_panel_by_panel(void)
{
    static const int32_t outs[] = {1, 3, 16, 33, 48, 63, 64, 65, 96, 128, 200, 320};
    static const int32_t deep[] = {2880, 5120, 4098, 8640}; /* inputs in parts */
    for (size_t i = 0; i < sizeof outs / sizeof *outs; ++i)
        for (int kind = 0; kind < 4; ++kind) {
            const int32_t rows = fixture_int(1, 140);
            const int32_t in = i % 3 == 1 ? deep[kind] : fixture_int(1, 300);
            const struct product_shape shape = {.rows = rows,
                                                .result = DTYPE_F32,
                                                .bias = kind % 2 == 1,
                                                .add = kind / 2 == 1};
            const struct numbers numbers = numbers_of(rows, in, outs[i]);
            multiply(&numbers, &shape, NULL);
            for (const struct kernels *const *table = kernels_all(); *table; ++table)
                multiply(&numbers, &shape, *table);
            free_numbers(&numbers);
        }
}

/* What a table's GEMM makes of the first rows and outputs; what is added lies in the result, or elsewhere. */
static struct guarded multiply_own(const struct numbers *n,
                                   const struct kernels *kernels, int32_t rows,
                                   int32_t out, bool elsewhere)
{
    struct dr_error err = {0};
    struct pool pool = {.head = NULL};
    struct product_set set = {.pool = &pool, .kernels = kernels};
    struct weight_layout layout, slice;
    size_t offset = 0;
    const struct product *product = NULL;
    const struct product_shape shape = {
        .rows = rows, .result = DTYPE_F32, .bias = true, .add = true};
    const size_t r = (size_t)rows, o = (size_t)out;
    check_int(layout_panels(&layout, n->in, n->out, &err), ==, DR_OK);
    check(product_is_own(&set, &layout));
    check(layout_slice(&layout, 0, out, &slice, &offset));
    check_int(product_get(&set, &shape, &slice, &product, &err), ==, DR_OK);
    struct guarded operand = operand_of(n, &layout);
    struct guarded scratch = guarded_open(product->scratch_bytes);
    struct guarded before = guarded_open(r * o * sizeof(float));
    struct guarded result = guarded_open(r * o * sizeof(float));
    memset(scratch.data, 0xff, product->scratch_bytes);
    memset(result.data, 0xff, r * o * sizeof(float));
    for (size_t row = 0; row < r; ++row)
        memcpy((elsewhere ? before : result).data + row * o * sizeof(float),
               n->before + row * (size_t)n->out, o * sizeof(float));
    const struct product_call call = {
        .source = n->source,
        .operand = operand.data,
        .bias = n->bias,
        .result = result.data,
        .scratch = scratch.data,
        .add = elsewhere ? (const float *)(const void *)before.data : NULL};
    check(product_run(product, 0, &call));
    guarded_close(&operand);
    guarded_close(&scratch);
    guarded_close(&before);
    product_set_finish(&set);
    pool_finish(&pool);
    return result;
}

static void own_case(const struct kernels *kernels, int32_t in)
{
    static const int32_t rows[] = {1, 2, 15, 16, 17, 18, 19, 64, 99};
    const struct numbers n = numbers_of(100, in, 192);
    struct guarded all = multiply_own(&n, kernels, 100, 192, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const int32_t out = i % 2 ? 64 : 192;
        const size_t bytes = (size_t)out * sizeof(float);
        struct guarded some = multiply_own(&n, kernels, rows[i], out, i % 3 == 0);
        for (size_t row = 0; row < (size_t)rows[i]; ++row)
            check_bytes(all.data + row * 192 * sizeof(float), some.data + row * bytes,
                        bytes);
        guarded_close(&some);
    }
    guarded_close(&all);
    free_numbers(&n);
}

/* A row's bytes are the same whatever rows and outputs are beside it, and wherever its addend lies. */
static void own_bytes_do_not_depend_on_what_is_beside(void)
{
    for (const struct kernels *const *table = kernels_all(); *table; ++table) {
        if ((*table)->multiply_width == 0) continue;
        own_case(*table, 40);
        own_case(*table, 330);
        own_case(*table, 1024);
        own_case(*table, 3000);
    }
}

/* Some whole panels alone: the same numbers as in the whole. */
static void multiplies_a_slice(void)
{
    struct dr_error err = {0};
    struct pool pool = {.head = NULL};
    struct product_set set = {.pool = &pool};
    struct weight_layout layout, slice;
    size_t offset = 0;
    const struct product *all = NULL, *some = NULL;
    const struct product_shape shape = {.rows = 40, .result = DTYPE_F32};
    const struct numbers n = numbers_of(40, 72, 320);
    check_int(layout_panels(&layout, n.in, n.out, &err), ==, DR_OK);
    check(layout_slice(&layout, 128, 192, &slice, &offset));
    check_int(product_get(&set, &shape, &layout, &all, &err), ==, DR_OK);
    check_int(product_get(&set, &shape, &slice, &some, &err), ==, DR_OK);
    check(all != some);
    struct guarded operand = operand_of(&n, &layout);
    float *const wide = malloc(40 * 320 * sizeof *wide);
    float *const narrow = malloc(40 * 192 * sizeof *narrow);
    struct guarded scratch = guarded_open(all->scratch_bytes + some->scratch_bytes);
    struct product_call call = {.source = n.source,
                                .operand = operand.data,
                                .result = wide,
                                .scratch = scratch.data};
    check(product_run(all, 0, &call));
    call.operand = operand.data + offset;
    call.result = narrow;
    check(product_run(some, 0, &call));
    for (size_t row = 0; row < 40; ++row)
        check_bytes(wide + row * 320 + 128, narrow + row * 192, 192 * sizeof *wide);
    guarded_close(&operand);
    guarded_close(&scratch);
    free(wide);
    free(narrow);
    free_numbers(&n);
    product_set_finish(&set);
    pool_finish(&pool);
}

/* Numbers in bfloat16, the same each time, since all rows of one matrix are compared with some of it. */
struct rounded {
    int32_t in, out;
    uint16_t *source, *operand; /* [128][in], and in the layout's order */
    float *bias;
    struct weight_layout layout;
    const struct kernels *kernels; /* whose GEMM; NULL: the library's */
};

enum {
    MOST_ROWS = 128
};

static uint16_t *rounded_reals(size_t count)
{
    float *const numbers = fixture_reals(count, 1, DTYPE_BF16);
    uint16_t *const rounded = malloc((count + 1) * sizeof *rounded);
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, &numbers[i], sizeof bits);
        rounded[i] = (uint16_t)(bits >> 16);
    }
    free(numbers);
    return rounded;
}

static struct rounded rounded_of(int32_t in, int32_t out)
{
    struct dr_error err = {0};
    struct rounded n = {.in = in, .out = out};
    check_int(layout_choose(&n.layout, DTYPE_BF16, in, out, &err), ==, DR_OK);
    n.source = rounded_reals((size_t)MOST_ROWS * (size_t)in);
    n.bias = fixture_reals((size_t)out, 1, DTYPE_F32);
    uint16_t *const plain = rounded_reals((size_t)in * (size_t)out);
    const struct layout_part whole = {.source = plain,
                                      .in_step = (size_t)out,
                                      .out_step = 1,
                                      .in_count = in,
                                      .out_count = out};
    n.operand = calloc(1, n.layout.bytes);
    layout_pack(&n.layout, &whole, n.operand);
    free(plain);
    return n;
}

static void free_rounded(struct rounded *n)
{
    free(n->source);
    free(n->operand);
    free(n->bias);
}

/* Of the first rows and the first outputs. The result's last number, and the scratch memory's, are the last
 * before a page that faults; the scratch holds no numbers. */
static struct guarded multiply_some(const struct rounded *n, int32_t rows, int32_t out,
                                    enum dtype type, bool extras)
{
    struct dr_error err = {0};
    struct pool pool = {.head = NULL};
    struct product_set set = {.pool = &pool, .kernels = n->kernels};
    struct weight_layout slice;
    size_t offset = 0;
    const struct product *product = NULL;
    const struct product_shape shape = {
        .rows = rows, .result = type, .bias = extras, .add = extras};
    const size_t bytes = (size_t)rows * (size_t)out * dtype_bytes(type);
    const struct guarded result = guarded_open(bytes);
    memset(result.data, 0, bytes);
    check(layout_slice(&n->layout, 0, out, &slice, &offset));
    check_int(product_get(&set, &shape, &slice, &product, &err), ==, DR_OK);
    struct guarded scratch = guarded_open(product->scratch_bytes);
    memset(scratch.data, 0xff, product->scratch_bytes);
    const struct product_call call = {.source = n->source,
                                      .operand = n->operand,
                                      .bias = extras ? n->bias : NULL,
                                      .result = result.data,
                                      .scratch = scratch.data};
    check(product_run(product, 0, &call));
    guarded_close(&scratch);
    product_set_finish(&set);
    pool_finish(&pool);
    return result;
}

static void compare_some(const struct rounded *n, int32_t out, enum dtype type,
                         bool extras, const int32_t *rows, size_t count)
{
    struct guarded all = multiply_some(n, MOST_ROWS, n->out, type, extras);
    const size_t element = dtype_bytes(type), bytes = (size_t)out * element;
    for (size_t i = 0; i < count; ++i) {
        struct guarded some = multiply_some(n, rows[i], out, type, extras);
        for (size_t row = 0; row < (size_t)rows[i]; ++row)
            if (memcmp((unsigned char *)all.data + row * (size_t)n->out * element,
                       (unsigned char *)some.data + row * bytes, bytes) != 0) {
                check_fail_at("%d x %d x %d in %s, row %zu: not as among all", rows[i],
                              n->in, out, dtype_name(type), row);
                break;
            }
        guarded_close(&some);
    }
    guarded_close(&all);
}

/* The processor's, if its GEMM multiplies such operands. */
static const struct kernels *own_kernels(const struct weight_layout *layout)
{
    const struct product_set set = {.kernels = kernels_choose()};
    return product_is_own(&set, layout) ? set.kernels : NULL;
}

/* Of two results, all rows. */
static double distance(const struct guarded *a, enum dtype a_type,
                       const struct guarded *b, size_t count)
{
    float *const wanted = malloc(count * sizeof *wanted);
    memcpy(wanted, b->data, count * sizeof *wanted);
    const double result = fixture_distance(a->data, a_type, wanted, count);
    free(wanted);
    return result;
}

/* The own GEMM in bfloat16 against the library's, and its results in bfloat16 against those in float32. */
static void own_is_near_the_librarys_in_bfloat16(void)
{
    static const int32_t shapes[][2] = {
        {2,    16 },
        {40,   48 },
        {330,  192},
        {1280, 96 },
        {5120, 320}
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i)
        for (int extras = 0; extras < 2 && compute_has_bf16(); ++extras) {
            struct rounded n = rounded_of(shapes[i][0], shapes[i][1]);
            const size_t count = (size_t)MOST_ROWS * (size_t)n.out;
            struct guarded library =
                multiply_some(&n, MOST_ROWS, n.out, DTYPE_F32, extras);
            n.kernels = own_kernels(&n.layout);
            struct guarded wide =
                multiply_some(&n, MOST_ROWS, n.out, DTYPE_F32, extras);
            struct guarded narrow =
                multiply_some(&n, MOST_ROWS, n.out, DTYPE_BF16, extras);
            if (n.kernels)
                check_real(distance(&wide, DTYPE_F32, &library, count), <, 2e-6);
            if (n.kernels)
                check_real(distance(&narrow, DTYPE_BF16, &wide, count), <, 2e-3);
            guarded_close(&library);
            guarded_close(&wide);
            guarded_close(&narrow);
            free_rounded(&n);
        }
}

/* With the widths of the networks that are served, up to the widest: 9 x 2560. Where bfloat16 is
 * emulated the library chooses a kernel by the rows even for narrow products; pictures there are
 * float32 unless bfloat16 is asked for. */
static void bytes_do_not_depend_on_what_is_beside(void)
{
    if (!compute_has_bf16()) {
        check_skip_case("this processor has no bfloat16");
        return;
    }
    static const int32_t shapes[][3] = {
  /* in, out, first outputs */
        {4,     8,    8  },
        {36,    320,  64 },
        {320,   4,    4  },
        {640,   640,  64 },
        {831,   640,  64 }, /* no whole blocks */
        {832,   2560, 64 },
        {1024,  1920, 128},
        {1152,  3,    3  },
        {1280,  1280, 64 },
        {2048,  640,  320},
        {2816,  1280, 64 },
        {2880,  320,  64 },
        {5120,  320,  320},
        {5760,  640,  64 },
        {10240, 64,   64 },
        {11520, 128,  64 },
        {11800, 72,   64 }, /* nor here */
        {23040, 80,   64 }
    };
    static const int32_t rows[] = {1,  2,  3,  4,  5,   16,  17,  32, 33,
                                   48, 63, 64, 99, 105, 111, 123, 127};
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; ++i) {
        const int32_t *const shape = shapes[i / 2];
        struct rounded n = rounded_of(shape[0], shape[1]);
        if (i % 2) n.kernels = own_kernels(&n.layout);
        const size_t count = sizeof rows / sizeof *rows;
        for (int extras = 0; extras < 2; ++extras)
            for (int type = 0; type < 2; ++type) {
                const enum dtype dtype = type ? DTYPE_BF16 : DTYPE_F32;
                const struct product_set set = {.kernels = n.kernels};
                if (i % 2 && !n.kernels) continue;
                if (product_wants_stage(&set, &n.layout, dtype, extras)) continue;
                const bool quick = n.in > 2880 && extras;
                compare_some(&n, n.out, dtype, extras, rows, quick ? 3 : count);
                compare_some(&n, shape[2], dtype, extras, rows, quick ? 3 : count);
            }
        free_rounded(&n);
    }
}

int main(void)
{
    struct dr_error err = {0};
    fixture_seed(7);
    check_int(compute_init(0, &err), ==, DR_OK);
    check_run(multiplies_panel_by_panel);
    check_run(multiplies_a_slice);
    check_run(own_bytes_do_not_depend_on_what_is_beside);
    check_run(bytes_do_not_depend_on_what_is_beside);
    check_run(own_is_near_the_librarys_in_bfloat16);
    return check_done();
}
