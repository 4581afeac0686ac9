/* Each type against what the reference decodes from the same bytes and encodes from the same
 * numbers (tests/golden/blocks.bin), and all kinds of processor against each other. */
#include "base/block_codec.h"

#include <math.h>

#include "base/block_loops.h"
#include "base/dtype_fixture.h"
#include "base/small_float.h"
#include "check.h"

enum {
    COUNT = 1024
};

static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q4_0,
                                   DTYPE_Q4_1, DTYPE_Q6_K, DTYPE_Q5_K, DTYPE_Q4_K,
                                   DTYPE_Q3_K, DTYPE_Q2_K};
enum {
    TYPE_COUNT = sizeof types / sizeof *types
};

static unsigned char golden[65536];
static size_t golden_bytes;

static void read_golden(void)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/tests/golden/blocks.bin",
                   getenv("DARKROOM_SOURCE"));
    FILE *const file = fopen(path, "rb");
    check(file != NULL);
    if (!file) return;
    golden_bytes = fread(golden, 1, sizeof golden, file);
    fclose(file);
}

static size_t bytes_of(enum dtype type)
{
    size_t bytes = 0;
    check(dtype_size(type, COUNT, &bytes));
    return bytes;
}

/* Where the blocks of a type lie; behind them the numbers. */
static const unsigned char *golden_of(size_t type_idx)
{
    const unsigned char *at = golden;
    for (size_t i = 0; i < type_idx; ++i)
        at += bytes_of(types[i]) + COUNT * sizeof(float);
    return at;
}

static void decodes_as_the_reference(void)
{
    static float values[COUNT];
    for (size_t i = 0; i < TYPE_COUNT; ++i) {
        const unsigned char *const blocks = golden_of(i);
        block_codec_decode(blocks, types[i], values, COUNT);
        if (memcmp(values, blocks + bytes_of(types[i]), sizeof values) != 0)
            check_fail_at("%s differs", dtype_name(types[i]));
        memset(values, 0, sizeof values);
        dtype_to_f32(blocks, types[i], values, COUNT);
        check_bytes(values, blocks + bytes_of(types[i]), sizeof values);
    }
}

static void narrows_what_it_decodes(void)
{
    static uint16_t narrow[COUNT];
    for (size_t i = 0; i < TYPE_COUNT; ++i) {
        const unsigned char *const blocks = golden_of(i);
        float value;
        dtype_to_bf16(blocks, types[i], narrow, COUNT);
        for (size_t k = 0; k < COUNT; ++k) {
            memcpy(&value, blocks + bytes_of(types[i]) + k * sizeof value,
                   sizeof value);
            check_int(narrow[k], ==, dtype_bf16_from_f32(value));
        }
    }
}

/* At an odd address too: blocks in files lie anywhere. */
static void gives_the_same_on_every_processor(void)
{
    static unsigned char moved[COUNT * sizeof(float)];
    static float values[COUNT];
    for (size_t i = 0; i < TYPE_COUNT; ++i) {
        const size_t bytes = bytes_of(types[i]);
        const size_t count = COUNT / dtype_block_elements(types[i]);
        const unsigned char *const numbers = golden_of(i) + bytes;
        memcpy(moved + 1, golden_of(i), bytes);
        block_loops_baseline[types[i]](moved + 1, values, count);
        check_bytes(values, numbers, sizeof values);
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2")) {
            memset(values, 0, sizeof values);
            block_loops_avx2[types[i]](moved + 1, values, count);
            check_bytes(values, numbers, sizeof values);
        }
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
            memset(values, 0, sizeof values);
            block_loops_avx512[types[i]](moved + 1, values, count);
            check_bytes(values, numbers, sizeof values);
        }
#endif
    }
}

static float value_of(struct block_scale scale)
{
    return f32_from_f16(scale.unit) * (float)scale.times;
}

/* a q + b is the number. */
static void splits_into_what_it_decodes(void)
{
    static int8_t q[COUNT];
    static struct block_scale a[COUNT / 16], b[COUNT / 16];
    for (size_t i = 0; i < TYPE_COUNT; ++i) {
        const unsigned char *const blocks = golden_of(i);
        const size_t group = block_codec_group(types[i]);
        memset(b, 0, sizeof b);
        block_codec_split(blocks, types[i], q, a, b, COUNT);
        for (size_t k = 0; k < COUNT; ++k) {
            float expected;
            const float product = value_of(a[k / group]) * (float)q[k];
            const float sum = product + value_of(b[k / group]);
            memcpy(&expected, blocks + bytes_of(types[i]) + k * sizeof expected,
                   sizeof expected);
            if (!(sum == expected))
                check_fail_at("%s: element %zu is %g, not %g", dtype_name(types[i]), k,
                              (double)sum, (double)expected);
        }
    }
}

static void encodes_as_the_reference(void)
{
    static float values[COUNT];
    static unsigned char blocks[COUNT * 2];
    const unsigned char *at = golden_of(TYPE_COUNT);
    memcpy(values, at, sizeof values);
    at += sizeof values;
    for (int i = 0; i < 2; ++i) {
        const enum dtype type = i == 0 ? DTYPE_Q8_0 : DTYPE_Q4_0;
        check(block_codec_encode(values, type, blocks, COUNT));
        for (size_t k = 0; k < bytes_of(type); ++k)
            if (blocks[k] != at[k]) {
                check_fail_at("%s: byte %zu is %u, not %u", dtype_name(type), k,
                              blocks[k], at[k]);
                break;
            }
        at += bytes_of(type);
    }
    check_int(at - golden, ==, golden_bytes);
}

/* Half a step of the scale, and half a unit of the scale's own last place for each step. */
static void loses_no_more_than_half_a_step(void)
{
    float values[32], back[32];
    unsigned char block[34];
    for (int seed = 0; seed < 1000; ++seed) {
        float most = 0;
        for (int i = 0; i < 32; ++i) {
            values[i] = sinf((float)(seed * 32 + i)) * (float)(1 + seed % 7);
            most = fmaxf(most, fabsf(values[i]));
        }
        check(block_codec_encode(values, DTYPE_Q8_0, block, 32));
        block_codec_decode(block, DTYPE_Q8_0, back, 32);
        for (int i = 0; i < 32; ++i)
            check_real(fabsf(back[i] - values[i]), <=, most * (0.5f / 127 + 0x1p-11f));
        check(block_codec_encode(values, DTYPE_Q4_0, block, 32));
        block_codec_decode(block, DTYPE_Q4_0, back, 32);
        for (int i = 0; i < 32; ++i) /* the far side has no eighth step */
            check_real(fabsf(back[i] - values[i]), <=, most * (1.0f / 8 + 0x1p-11f));
    }
}

static void refuses_a_scale_that_is_too_large(void)
{
    float values[64] = {0};
    unsigned char blocks[68];
    values[40] = 65504.0f * 127.0f;
    check(block_codec_encode(values, DTYPE_Q8_0, blocks, 64));
    values[40] = 65536.0f * 127.0f;
    check(!block_codec_encode(values, DTYPE_Q8_0, blocks, 64));
    values[40] = -65536.0f * 8.0f;
    check(!block_codec_encode(values, DTYPE_Q4_0, blocks, 64));
    values[40] = 1e-42f; /* its scale is zero in float16 */
    check(block_codec_encode(values, DTYPE_Q8_0, blocks, 64));
    block_codec_decode(blocks, DTYPE_Q8_0, values, 64);
    check_real(values[40], ==, 0);
}

static void sizes_are_whole_blocks(void)
{
    size_t bytes = 7;
    check(dtype_size(DTYPE_Q6_K, 512, &bytes));
    check_int(bytes, ==, 420);
    check(!dtype_size(DTYPE_Q6_K, 384, &bytes));
    check(!dtype_size(DTYPE_Q8_0, 31, &bytes));
    check(!dtype_size(DTYPE_Q8_0, SIZE_MAX / 32 * 32, &bytes));
    check(!dtype_size(DTYPE_F32, SIZE_MAX / 2, &bytes));
    check_int(bytes, ==, 420);
    check(dtype_size(DTYPE_F16, 3, &bytes));
    check_int(bytes, ==, 6);
    for (int i = 0; i < DTYPE_COUNT; ++i)
        check_int(dtype_is_block((enum dtype)i), ==,
                  dtype_block_elements((enum dtype)i) > 1);
}

int main(void)
{
    read_golden();
    check_run(decodes_as_the_reference);
    check_run(narrows_what_it_decodes);
    check_run(gives_the_same_on_every_processor);
    check_run(splits_into_what_it_decodes);
    check_run(encodes_as_the_reference);
    check_run(loses_no_more_than_half_a_step);
    check_run(refuses_a_scale_that_is_too_large);
    check_run(sizes_are_whole_blocks);
    return check_done();
}
