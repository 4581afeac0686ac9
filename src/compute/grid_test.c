/* Every block type as a grid: the lines that are made of it are, bit for bit, the operand that is packed of the
 * numbers which its blocks decode to. */
#include "compute/plan_fixture.h"

#include "base/block_codec.h"
#include "compute/grid.h"
#include "compute/layout.h"

static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q4_0,
                                   DTYPE_Q4_1, DTYPE_Q6_K, DTYPE_Q5_K, DTYPE_Q4_K,
                                   DTYPE_Q3_K, DTYPE_Q2_K};
enum {
    TYPE_COUNT = sizeof types / sizeof *types
};

/* Random bytes, whose float16 numbers are finite: the top exponent is taken from every byte. */
static unsigned char *random_blocks(enum dtype type, size_t count)
{
    size_t bytes = 0;
    check(dtype_size(type, count, &bytes));
    unsigned char *const blocks = malloc(bytes);
    for (size_t i = 0; i < bytes; ++i)
        blocks[i] = (unsigned char)(fixture_int(0, 255) & 0xBB);
    return blocks;
}

/* The numbers in the arithmetic's type, in the operand's places. */
static unsigned char *make_operand(const struct weight *plain, const float *numbers,
                                   size_t count)
{
    unsigned char *const operand = aligned_alloc(64, (plain->bytes + 63) / 64 * 64);
    uint16_t *const narrow = malloc(count * sizeof *narrow);
    dtype_to_bf16(numbers, DTYPE_F32, narrow, count);
    weight_store(plain, plain->dtype == DTYPE_F32 ? (const void *)numbers : narrow,
                 operand);
    free(narrow);
    return operand;
}

/* The blocks, taken apart as a loader does it, in memory. */
static unsigned char *make_grid(const struct weight *weight, const void *blocks,
                                size_t count)
{
    const struct grid_plain to = grid_plain(weight);
    unsigned char *const plain = aligned_alloc(64, to.bytes);
    unsigned char *const data = aligned_alloc(64, (weight->bytes + 63) / 64 * 64);
    struct block_scale *const least = malloc(count * sizeof *least);
    check_int(to.bytes, ==, weight_plain_bytes(weight));
    block_codec_split(blocks, weight->stored, (int8_t *)plain,
                      (struct block_scale *)(void *)(plain + to.a), least, count);
    if (grid_of(weight->stored)->has_least)
        memcpy(plain + to.b, least, (size_t)weight->out * to.groups * sizeof *least);
    weight_store(weight, plain, data);
    free(least);
    free(plain);
    return data;
}

static void compare(const struct kernels *kernels, const struct weight *weight,
                    const unsigned char *data, const unsigned char *operand)
{
    const struct weight_layout *const layout = weight->layout;
    struct layout_lines lines;
    check(layout_lines(layout, &lines));
    const int32_t side = lines.paired ? 2 : 1;
    const int32_t rows = (int32_t)(layout->desc.padded_dims[0] / side);
    const size_t element = dtype_bytes(weight->dtype);
    for (int32_t o = 0; o < weight->out; o += 64)
        for (int32_t line = 0; line < rows;) {
            const int32_t most = fixture_int(1, 40);
            const int32_t count = rows - line < most ? rows - line : most;
            const size_t bytes = (size_t)count * lines.in_step * element;
            struct guarded made = guarded_open(bytes);
            grid_make_lines(weight, data, kernels, o, line * side, count, made.data);
            if (memcmp(made.data,
                       operand + ((size_t)(o / 64) * lines.panel_step +
                                  (size_t)line * lines.in_step) *
                                     element,
                       bytes) != 0)
                check_fail_at("%s, %s, %s, %d x %d x %d: lines %d to %d of panel %d "
                              "differ",
                              kernels->name, dtype_name(weight->stored),
                              dtype_name(weight->dtype), weight->out, weight->in,
                              weight->kernel_height, line, line + count, o / 64);
            guarded_close(&made);
            line += count;
        }
}

static void try_type(enum dtype stored, enum dtype dtype, int32_t out, int32_t in,
                     int32_t kernel)
{
    if (fixture_lacks(dtype)) return;
    struct pool pool = {0};
    struct dr_error err;
    struct weight weight, plain;
    const struct weight_shape shape = {
        kernel > 1 ? WEIGHT_CONV : WEIGHT_LINEAR, dtype, out, in, kernel, kernel};
    const size_t count = (size_t)out * (size_t)in * (size_t)(kernel * kernel);
    check_int(weight_init(&plain, &shape, &pool, &err), ==, DR_OK);
    weight = plain;
    if (!weight_store_as(&weight, stored)) { /* another layout than lines of 64 */
        check(!layout_has_panels(plain.layout) || out < 64);
        pool_finish(&pool);
        return;
    }
    check(weight.bytes < plain.bytes);
    unsigned char *const blocks = random_blocks(stored, count);
    float *const numbers = malloc(count * sizeof *numbers);
    dtype_to_f32(blocks, stored, numbers, count);
    unsigned char *const operand = make_operand(&plain, numbers, count);
    unsigned char *const data = make_grid(&weight, blocks, count);
    for (const struct kernels *const *k = kernels_all(); *k; ++k)
        compare(*k, &weight, data, operand);
    free(data);
    free(operand);
    free(numbers);
    free(blocks);
    pool_finish(&pool);
}

/* Counts are whole blocks of 256; outputs that fill a panel, and that do not; blocks that cross outputs (in 32, 96). */
static void lines_are_the_operand(void)
{
    static const struct {
        int32_t out, in, kernel;
    } shapes[] = {
        {64,  256, 1},
        {128, 96,  1},
        {72,  32,  1},
        {200, 128, 1},
        {64,  32,  3},
        {96,  64,  3},
        {136, 32,  3},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; ++s)
        for (int i = 0; i < TYPE_COUNT; ++i)
            for (int bf16 = 0; bf16 < 2; ++bf16)
                try_type(types[i], bf16 ? DTYPE_BF16 : DTYPE_F32, shapes[s].out,
                         shapes[s].in, shapes[s].kernel);
}

/* Some columns of wider rows, which begin and end within blocks: as a convolution has them whose input is two maps. */
static void try_columns(enum dtype stored, int32_t out, int32_t row, int32_t first,
                        int32_t in)
{
    struct pool pool = {0};
    struct dr_error err;
    struct weight weight, plain;
    const struct weight_shape shape = {WEIGHT_LINEAR, DTYPE_F32, out, in, 1, 1};
    const size_t count = (size_t)out * (size_t)row, group = block_codec_group(stored);
    const size_t kept = (size_t)out * (size_t)in;
    check_int(weight_init(&plain, &shape, &pool, &err), ==, DR_OK);
    weight = plain;
    if (!weight_store_as(&weight, stored)) {
        check(!layout_has_panels(plain.layout));
        pool_finish(&pool);
        return;
    }
    unsigned char *const blocks = random_blocks(stored, count);
    float *const all = malloc(count * sizeof *all);
    float *const numbers = malloc(kept * sizeof *numbers);
    int8_t *const q = malloc(count);
    struct block_scale *const a = malloc(count / group * sizeof *a), *const b = calloc(
                                                                         count / group,
                                                                         sizeof *b);
    const struct grid_plain to = grid_plain(&weight);
    unsigned char *const form = aligned_alloc(64, to.bytes);
    unsigned char *const data = aligned_alloc(64, (weight.bytes + 63) / 64 * 64);
    dtype_to_f32(blocks, stored, all, count);
    block_codec_split(blocks, stored, q, a, b, count);
    for (size_t o = 0; o < (size_t)out; ++o) {
        const size_t from = o * (size_t)row + (size_t)first, at = o * (size_t)in;
        const size_t scales = (size_t)in / group * sizeof *a;
        memcpy(numbers + at, all + from, (size_t)in * sizeof *all);
        memcpy(form + at, q + from, (size_t)in);
        memcpy(form + to.a + at / group * sizeof *a, a + from / group, scales);
        if (grid_of(stored)->has_least)
            memcpy(form + to.b + at / group * sizeof *b, b + from / group, scales);
    }
    weight_store(&weight, form, data);
    unsigned char *const operand = make_operand(&plain, numbers, kept);
    for (const struct kernels *const *k = kernels_all(); *k; ++k)
        compare(*k, &weight, data, operand);
    free(operand);
    free(data);
    free(form);
    free(b);
    free(a);
    free(q);
    free(numbers);
    free(all);
    free(blocks);
    pool_finish(&pool);
}

static void columns_of_wider_rows(void)
{
    for (int i = 0; i < TYPE_COUNT; ++i) {
        try_columns(types[i], 64, 512, 96, 320);
        try_columns(types[i], 128, 96, 32, 64);
        try_columns(types[i], 72, 640, 320, 320);
    }
}

/* In memory a weight takes no more than a tenth above what it takes in the file. */
static void takes_what_the_file_takes(void)
{
    static const struct {
        int32_t out, in, kernel;
    } shapes[] = {
        {320,  320,  1},
        {640,  768,  1},
        {1280, 1280, 1},
        {320,  320,  3},
        {1280, 2560, 3}
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; ++s)
        for (int i = 0; i < TYPE_COUNT; ++i) {
            struct pool pool = {0};
            struct dr_error err;
            struct weight weight;
            const int32_t out = shapes[s].out, in = shapes[s].in, k = shapes[s].kernel;
            const struct weight_shape shape = {
                k > 1 ? WEIGHT_CONV : WEIGHT_LINEAR, DTYPE_F32, out, in, k, k};
            size_t file_bytes = 0;
            check_int(weight_init(&weight, &shape, &pool, &err), ==, DR_OK);
            check(dtype_size(types[i], (size_t)out * (size_t)in * (size_t)(k * k),
                             &file_bytes));
            if (weight_store_as(&weight, types[i])) {
                check_int(weight.bytes, >, file_bytes / 2);
                check_int(weight.bytes * 10, <=, file_bytes * 11);
                if (s == 2)
                    fprintf(stderr, "     %-5s %.4f bytes a number, in the file %.4f\n",
                            dtype_name(types[i]),
                            (double)weight.bytes / (double)(out * in),
                            (double)file_bytes / (double)(out * in));
            }
            pool_finish(&pool);
        }
}

static void refuses_what_is_not_whole_groups(void)
{
    struct pool pool = {0};
    struct dr_error err;
    struct weight weight;
    const struct weight_shape odd = {WEIGHT_LINEAR, DTYPE_F32, 64, 40, 1, 1};
    check_int(weight_init(&weight, &odd, &pool, &err), ==, DR_OK);
    const size_t bytes = weight.bytes;
    check(!weight_store_as(&weight, DTYPE_Q8_0));
    check(!weight_store_as(&weight, DTYPE_Q6_K));
    check_int(weight.bytes, ==, bytes);
    check_int(weight.stored, ==, DTYPE_F32);
    const struct weight_shape table = {WEIGHT_TABLE, DTYPE_F32, 64, 64, 1, 1};
    check_int(weight_init(&weight, &table, &pool, &err), ==, DR_OK);
    check(!weight_store_as(&weight, DTYPE_Q8_0));
    pool_finish(&pool);
}

int main(void)
{
    struct dr_error err;
    check_int(compute_init(1, &err), ==, DR_OK);
    check_run(lines_are_the_operand);
    check_run(columns_of_wider_rows);
    check_run(takes_what_the_file_takes);
    check_run(refuses_what_is_not_whole_groups);
    return check_done();
}
