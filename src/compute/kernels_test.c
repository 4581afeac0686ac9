/* Every table that this processor runs, held against plain loops in double. */
#include "compute/plan_fixture.h"

#include <float.h>

#include "compute/kernels.h"

typedef void kernel_case(const struct kernels *kernels);

static void for_all(kernel_case *one)
{
    for (const struct kernels *const *table = kernels_all(); *table; ++table)
        one(*table);
}

/* count numbers in dtype at the very end of memory. */
static struct guarded packed(const float *numbers, size_t count, enum dtype dtype)
{
    struct guarded g = guarded_open(count * dtype_bytes(dtype));
    if (dtype == DTYPE_BF16)
        dtype_to_bf16(numbers, DTYPE_F32, (uint16_t *)(void *)g.data, count);
    else
        memcpy(g.data, numbers, count * sizeof *numbers);
    return g;
}

static float unpacked(const struct guarded *g, enum dtype dtype, size_t i)
{
    if (dtype == DTYPE_F32) return ((const float *)(const void *)g->data)[i];
    return dtype_f32_from_bf16(((const uint16_t *)(const void *)g->data)[i]);
}

static double within(enum dtype dtype, double f32_bound)
{
    return dtype == DTYPE_BF16 ? 0x1p-8 + 2e-4 + f32_bound : f32_bound;
}

static void finish_case(const struct kernels *kernels)
{
    for (int round = 0; round < 300; ++round) {
        const size_t count = (size_t)fixture_int(1, round % 2 ? 17 : 200);
        const enum dtype from = round & 2 ? DTYPE_BF16 : DTYPE_F32;
        const enum dtype to = round & 4 ? DTYPE_BF16 : DTYPE_F32;
        const enum activation activation = (enum activation)fixture_int(0, 3);
        const bool multiply = fixture_int(0, 1), residual = fixture_int(0, 1);
        const float spread = round % 5 ? 3.0f : 60.0f;
        float *const x = fixture_reals(count, spread, from);
        float *const m = fixture_reals(count, 1, to), *const r =
                                                          fixture_reals(count, 1, from);
        struct guarded xs = packed(x, count, from), ms = packed(m, count, to);
        struct guarded rs = packed(r, count, from),
                       ys = guarded_open(count * dtype_bytes(to));
        const struct kernel_finish arguments = {.target = ys.data,
                                                .source = xs.data,
                                                .multiply = multiply ? ms.data : NULL,
                                                .residual = residual ? rs.data : NULL,
                                                .target_type = to,
                                                .source_type = from,
                                                .multiply_type = to,
                                                .residual_type = from,
                                                .activation = activation};
        kernels->finish(&arguments, count);
        for (size_t i = 0; i < count; ++i) {
            double want = (double)reference_activation(activation, x[i]);
            double size = fabs(want) + 1e-7 * (double)fabsf(x[i]) + 1e-30;
            if (multiply) want *= (double)m[i], size *= (double)fabsf(m[i]);
            if (residual) want += (double)r[i], size += (double)fabsf(r[i]);
            const double away = fabs((double)unpacked(&ys, to, i) - want);
            if (!(away <= within(to, 2e-6) * size + 4e-7 * (double)fabsf(x[i])))
                check_fail_at("%s: activation %d of %.9g: %.9g, not %.9g",
                              kernels->name, (int)activation, (double)x[i],
                              (double)unpacked(&ys, to, i), want);
        }
        free(x);
        free(m);
        free(r);
        guarded_close(&xs);
        guarded_close(&ms);
        guarded_close(&rs);
        guarded_close(&ys);
    }
}

static void finishes(void)
{
    for_all(finish_case);
}

/* The largest and smallest numbers, zeros, infinities, NaN: what PyTorch would give, but for
 * infinities and denormals, which a bfloat16 conversion may flush. */
static void extremes_case(const struct kernels *kernels)
{
    const float numbers[] = {0.0f,     -0.0f,     1e-30f, -1e-30f, FLT_MAX, -FLT_MAX,
                             1e4f,     -1e4f,     88.0f,  -88.0f,  NAN,     -NAN,
                             INFINITY, -INFINITY, 1.0f,   -1.0f,   NAN};
    const size_t count = sizeof numbers / sizeof *numbers;
    for (int activation = 0; activation <= ACTIVATION_QUICK_GELU; ++activation)
        for (int type = 0; type < 2; ++type) {
            const enum dtype to = type ? DTYPE_BF16 : DTYPE_F32;
            struct guarded xs = packed(numbers, count, DTYPE_F32);
            struct guarded ys = guarded_open(count * dtype_bytes(to));
            const struct kernel_finish arguments = {.target = ys.data,
                                                    .source = xs.data,
                                                    .target_type = to,
                                                    .source_type = DTYPE_F32,
                                                    .activation =
                                                        (enum activation)activation};
            kernels->finish(&arguments, count);
            for (size_t i = 0; i < count; ++i) {
                const float got = unpacked(&ys, to, i);
                if (isnan(numbers[i])) {
                    if (!isnan(got))
                        check_fail_at("%s: a NaN became %g", kernels->name,
                                      (double)got);
                    continue;
                }
                if (isinf(numbers[i]) || fabsf(numbers[i]) > 3.3e38f) continue;
                const double want =
                    (double)reference_activation((enum activation)activation,
                                                 numbers[i]);
                if (!(fabs((double)got - want) <=
                      within(to, 1e-6) * fabs(want) + 1e-29))
                    check_fail_at("%s: activation %d of %g: %g, not %g", kernels->name,
                                  activation, (double)numbers[i], (double)got, want);
            }
            guarded_close(&xs);
            guarded_close(&ys);
        }
}

static void bears_extremes(void)
{
    for_all(extremes_case);
}

/* Conversion to bfloat16 and back is base/dtype's, bit for bit, over all kinds of numbers but
 * denormals (the processor's own instruction takes those as zero). */
static void conversion_case(const struct kernels *kernels)
{
    enum {
        COUNT = 4096
    };
    float *const numbers = malloc(COUNT * sizeof *numbers);
    for (size_t i = 0; i < COUNT; ++i) {
        uint32_t bits = (uint32_t)fixture_bits();
        if (i % 3 == 0) bits = (bits & 0xFFFF0000u) | 0x8000u; /* a tie */
        if ((bits & 0x7F800000u) == 0) bits = 0;
        memcpy(&numbers[i], &bits, sizeof bits);
    }
    uint16_t *const got = malloc(COUNT * sizeof *got), *const want =
                                                           malloc(COUNT * sizeof *want);
    const struct kernel_finish arguments = {.target = got,
                                            .source = numbers,
                                            .target_type = DTYPE_BF16,
                                            .source_type = DTYPE_F32};
    kernels->finish(&arguments, COUNT);
    dtype_to_bf16(numbers, DTYPE_F32, want, COUNT);
    for (size_t i = 0; i < COUNT; ++i) {
        const bool both_nan = isnan(numbers[i]) && isnan(dtype_f32_from_bf16(got[i]));
        if (got[i] != want[i] && !both_nan)
            check_fail_at("%s: %a became %04x, not %04x", kernels->name,
                          (double)numbers[i], got[i], want[i]);
    }
    free(numbers);
    free(got);
    free(want);
}

static void converts(void)
{
    for_all(conversion_case);
}

static void stats_case(const struct kernels *kernels)
{
    for (int round = 0; round < 100; ++round) {
        const size_t pixels = (size_t)fixture_int(1, 60),
                     c = (size_t)fixture_int(1, 150);
        const enum dtype dtype = round & 1 ? DTYPE_BF16 : DTYPE_F32;
        float *const x = fixture_reals(pixels * c, 1, dtype);
        struct guarded xs = packed(x, pixels * c, dtype);
        struct guarded means = guarded_open(c * sizeof(float));
        struct guarded squares = guarded_open(c * sizeof(float));
        kernels->channel_stats(xs.data, dtype, pixels, c, (float *)(void *)means.data,
                               (float *)(void *)squares.data);
        for (size_t k = 0; k < c; ++k) {
            double mean = 0, sum = 0;
            for (size_t p = 0; p < pixels; ++p)
                mean += (double)x[p * c + k] / (double)pixels;
            for (size_t p = 0; p < pixels; ++p)
                sum += ((double)x[p * c + k] - mean) * ((double)x[p * c + k] - mean);
            check_real(fabs((double)unpacked(&means, DTYPE_F32, k) - mean), <, 1e-6);
            check_real(fabs((double)unpacked(&squares, DTYPE_F32, k) - sum), <,
                       1e-5 * (sum + 0.1));
        }
        free(x);
        guarded_close(&xs);
        guarded_close(&means);
        guarded_close(&squares);
    }
}

static void measures_channels(void)
{
    for_all(stats_case);
}

/* Where kernel_softmax puts the probability of a key and a query. */
static size_t place_of(const struct kernel_softmax *a, size_t key, size_t query)
{
    const size_t panel = query / a->panel_queries * a->panel_step,
                 q = query % a->panel_queries;
    return a->paired ? panel + key / 2 * a->key_step + 2 * q + key % 2
                     : panel + key * a->key_step + q;
}

/* Two blocks of keys, one after the other, against the whole softmax. */
static void softmax_case(const struct kernels *kernels)
{
    enum {
        MOST = 144,
        DIM = 5
    };
    for (int round = 0; round < 150; ++round) {
        const size_t keys = (size_t)fixture_int(1, round % 2 ? 17 : 130);
        const size_t queries = 16 * (size_t)fixture_int(1, 9);
        const bool paired = fixture_int(0, 1), causal = fixture_int(0, 1);
        const size_t panel = fixture_int(0, 1) ? 64 : queries,
                     lines = paired ? (keys + 1) / 2 : keys;
        const size_t side = paired ? 2 : 1;
        const float scale = 0.3f;
        float peak[MOST], total[MOST] = {0}, sums[MOST * DIM];
        double rescaled[MOST], want_total[MOST] = {0}, most[MOST];
        for (size_t q = 0; q < queries; ++q) {
            peak[q] = -INFINITY;
            most[q] = -INFINITY;
            rescaled[q] = 1;
        }
        for (size_t i = 0; i < queries * DIM; ++i)
            sums[i] = 1;
        for (int block = 0; block < 2; ++block) {
            float *const scores =
                fixture_reals(queries * keys, round % 3 ? 3 : 40, DTYPE_F32);
            struct guarded from = packed(scores, queries * keys, DTYPE_F32);
            const size_t panels = (queries + panel - 1) / panel;
            struct guarded to =
                guarded_open(panels * panel * lines * side * dtype_bytes(DTYPE_BF16));
            const struct kernel_softmax arguments = {.scores =
                                                         (float *)(void *)from.data,
                                                     .probabilities = to.data,
                                                     .paired = paired,
                                                     .key_step = panel * side,
                                                     .panel_queries = panel,
                                                     .panel_step = panel * side * lines,
                                                     .keys = keys,
                                                     .queries = queries,
                                                     .dim = DIM,
                                                     .seen =
                                                         fixture_int(1, (int32_t)keys),
                                                     .causal = causal,
                                                     .first_seen = fixture_int(1, 9),
                                                     .factor = scale * 1.44269504f,
                                                     .peak = peak,
                                                     .total = total,
                                                     .sums = sums};
            kernels->softmax(&arguments);
            for (size_t q = 0; q < queries; ++q) {
                size_t sees = (size_t)arguments.seen;
                if (causal && (size_t)arguments.first_seen + q < sees)
                    sees = (size_t)arguments.first_seen + q;
                double top = most[q];
                for (size_t k = 0; k < sees; ++k) /* gcc 12 for arm64 fails at fmax */
                    if ((double)scores[k * queries + q] > top)
                        top = (double)scores[k * queries + q];
                if (top > most[q]) {
                    const double less = exp((most[q] - top) * (double)scale);
                    rescaled[q] *= less;
                    want_total[q] *= less;
                    most[q] = top;
                }
                for (size_t k = 0; k < keys; ++k) {
                    const double score = (double)scores[k * queries + q];
                    const double p = k < sees ? exp((score - top) * (double)scale) : 0;
                    const float got =
                        unpacked(&to, DTYPE_BF16, place_of(&arguments, k, q));
                    want_total[q] += p;
                    check_real(fabs((double)got - p), <=,
                               within(DTYPE_BF16, 2e-4) * p + 1e-30);
                }
            }
            free(scores);
            guarded_close(&from);
            guarded_close(&to);
        }
        for (size_t q = 0; q < queries; ++q) {
            check_real(fabs((double)total[q] - want_total[q]), <=,
                       2e-4 * want_total[q]);
            for (size_t i = 0; i < DIM; ++i)
                check_real(fabs((double)sums[i * queries + q] - rescaled[q]), <=, 1e-5);
        }
    }
}

static void weighs_scores(void)
{
    for_all(softmax_case);
}

static void turn_case(const struct kernels *kernels)
{
    for (int round = 0; round < 100; ++round) {
        const size_t rows = (size_t)fixture_int(1, 40),
                     columns = (size_t)fixture_int(1, 40);
        const enum dtype from = round & 1 ? DTYPE_BF16 : DTYPE_F32;
        const enum dtype to = round & 2 ? DTYPE_BF16 : DTYPE_F32;
        float *const x = fixture_reals(rows * columns, 1, from);
        float *const factor = fixture_reals(columns, 1, DTYPE_F32);
        struct guarded xs = packed(x, rows * columns, from),
                       fs = packed(factor, columns, DTYPE_F32);
        struct guarded ys = guarded_open(rows * columns * dtype_bytes(to));
        const bool scaled = fixture_int(0, 1);
        const struct kernel_turn arguments = {
            .target = ys.data,
            .source = xs.data,
            .target_type = to,
            .source_type = from,
            .rows = rows,
            .columns = columns,
            .target_stride = rows * dtype_bytes(to),
            .source_stride = columns * dtype_bytes(from),
            .factor = scaled ? (float *)(void *)fs.data : NULL};
        kernels->turn(&arguments);
        for (size_t r = 0; r < rows; ++r)
            for (size_t c = 0; c < columns; ++c) {
                const double want =
                    (double)x[r * columns + c] * (scaled ? (double)factor[c] : 1.0);
                check_real(fabs((double)unpacked(&ys, to, c * rows + r) - want), <=,
                           within(to, 1e-7) * fabs(want));
            }
        free(x);
        free(factor);
        guarded_close(&xs);
        guarded_close(&fs);
        guarded_close(&ys);
    }
}

static void turns(void)
{
    for_all(turn_case);
}

/* Element (p, k) of B^T, G and A^T: of Winograd's 2x2 and 4x4 outputs, and of 4x4 outputs of an upsampled map. */
static const double winograd_b2[4][6] = {
    {1, 0,  -1, 0 },
    {0, 1,  1,  0 },
    {0, -1, 1,  0 },
    {0, 1,  0,  -1}
};
static const double winograd_b4[6][6] = {
    {4, 0,  -5, 0,  1, 0},
    {0, -4, -4, 1,  1, 0},
    {0, 4,  -4, -1, 1, 0},
    {0, -2, -1, 2,  1, 0},
    {0, 2,  -1, -2, 1, 0},
    {0, 4,  0,  -5, 0, 1}
};
static const double winograd_a2[2][6] = {
    {1, 1, 1,  0 },
    {0, 1, -1, -1}
};
static const double winograd_a4[4][6] = {
    {1, 1, 1,  1, 1,  0},
    {0, 1, -1, 2, -2, 0},
    {0, 1, 1,  4, 4,  0},
    {0, 1, -1, 8, -8, 1}
};
static const double winograd_g2[4][3] = {
    {1,   0,    0  },
    {0.5, 0.5,  0.5},
    {0.5, -0.5, 0.5},
    {0,   0,    1  }
};
static const double winograd_g4[6][3] = {
    {1.0 / 4,  0,         0       },
    {-1.0 / 6, -1.0 / 6,  -1.0 / 6},
    {-1.0 / 6, 1.0 / 6,   -1.0 / 6},
    {1.0 / 24, 1.0 / 12,  1.0 / 6 },
    {1.0 / 24, -1.0 / 12, 1.0 / 6 },
    {0,        0,         1       }
};

static const double enlarging_a4[4][6] = {
    {1, 1, 1,  0,  0},
    {0, 1, 0,  1,  0},
    {0, 1, -1, 0,  0},
    {0, 1, 0,  -1, 1}
};
static const double enlarging_g4[5][3] = {
    {1,    0,    0   },
    {0.5,  0.5,  0.5 },
    {0.5,  -0.5, -0.5},
    {-0.5, -0.5, 0.5 },
    {0,    0,    -1  }
};

/* In one direction: inputs, points, outputs, and their matrices. ENLARGING has none: its outputs are its points. */
static const struct interpolation {
    size_t side, points, outputs;
    const double (*b)[6], (*a)[6], (*g)[3];
} interpolations[] = {
    [TILES_WINOGRAD_2] = {4, 4, 2, winograd_b2, winograd_a2,  winograd_g2 },
    [TILES_WINOGRAD_4] = {6, 6, 4, winograd_b4, winograd_a4,  winograd_g4 },
    [TILES_ENLARGING] = {3, 2, 2, NULL,        NULL,         NULL        },
    [TILES_ENLARGING_4] = {4, 5, 4, winograd_b2, enlarging_a4, enlarging_g4},
};

static void try_input(const struct kernels *kernels, int round, enum kernel_tiles tiles)
{
    const size_t side = interpolations[tiles].side, points = side * side;
    const bool chunked = round % 4 == 1;
    const size_t c = (size_t)fixture_int(1, 70), chunk = chunked ? 16 : c;
    const size_t chunk_step = c + 1, last = (c - 1) / chunk;
    const size_t step = last * chunk_step + c + 5;
    const enum dtype type = round % 3 ? DTYPE_BF16 : DTYPE_F32;
    const double(*const by_b)[6] = interpolations[tiles].b;
    float *const x = fixture_reals(points * c, 1, type);
    struct guarded xs = packed(x, points * c, type);
    struct guarded ys =
        guarded_open(((points - 1) * step + last * chunk_step + c - last * chunk) *
                     dtype_bytes(type));
    struct kernel_winograd_input arguments = {.target = ys.data,
                                              .type = type,
                                              .tiles = tiles,
                                              .channels = c,
                                              .step = step,
                                              .chunk = chunk,
                                              .chunk_step = chunk_step};
    for (size_t k = 0; k < points; ++k)
        if (round % 2 == 0 || fixture_int(0, 2))
            arguments.pixels[k] = xs.data + k * c * dtype_bytes(type);
    kernels->winograd_input(&arguments);
    for (size_t p = 0; p < points; ++p)
        for (size_t i = 0; i < c; ++i) {
            double want = 0, size = 0;
            for (size_t k = 0; k < points; ++k) {
                if (!arguments.pixels[k]) continue;
                const double by = by_b[p / side][k / side] * by_b[p % side][k % side];
                want += by * (double)x[k * c + i];
                size += fabs(by * (double)x[k * c + i]);
            }
            const float got =
                unpacked(&ys, type, p * step + i / chunk * chunk_step + i % chunk);
            check_real(fabs((double)got - want), <=,
                       within(type, 0) * fabs(want) + 1e-6 * size);
        }
    free(x);
    guarded_close(&xs);
    guarded_close(&ys);
}

static void winograd_input_case(const struct kernels *kernels)
{
    for (int round = 0; round < 60; ++round) {
        try_input(kernels, round, TILES_WINOGRAD_2);
        try_input(kernels, round, TILES_WINOGRAD_4);
        try_input(kernels, round, TILES_ENLARGING_4);
    }
}

static void spreads_tiles(void)
{
    for_all(winograd_input_case);
}

/* Each with every pair of types, and with every fifth round. */
static enum kernel_tiles tiles_of(int round)
{
    static const enum kernel_tiles all[] = {TILES_ENLARGING, TILES_WINOGRAD_2,
                                            TILES_WINOGRAD_4, TILES_ENLARGING_4};
    return all[(round + round / 4) % 4];
}

static void tile_output_case(const struct kernels *kernels)
{
    for (int round = 0; round < 100; ++round) {
        const enum kernel_tiles tiles = tiles_of(round);
        const double(*const by_a)[6] = interpolations[tiles].a;
        const size_t side = interpolations[tiles].points, points = side * side;
        const size_t outputs = interpolations[tiles].outputs;
        const size_t pixels = outputs * outputs;
        const size_t c = (size_t)fixture_int(1, 70), step = c + 3;
        const size_t numbers = (points - 1) * step + c;
        const enum dtype to = round & 1 ? DTYPE_BF16 : DTYPE_F32;
        const enum dtype from = round & 2 ? DTYPE_BF16 : DTYPE_F32;
        float *const m = fixture_reals(numbers, 1, DTYPE_F32);
        float *const bias = fixture_reals(c, 1, DTYPE_F32);
        float *const r = fixture_reals(pixels * c, 1, from);
        struct guarded ms = packed(m, numbers, DTYPE_F32);
        struct guarded bs = packed(bias, c, DTYPE_F32),
                       rs = packed(r, pixels * c, from);
        struct guarded ys = guarded_open(pixels * c * dtype_bytes(to));
        struct kernel_tile_output arguments = {
            .source = (const float *)(void *)ms.data,
            .bias = round % 5 ? (const float *)(void *)bs.data : NULL,
            .channels = c,
            .step = step,
            .target_type = to,
            .residual_type = from,
            .tiles = tiles};
        memset(ys.data, 0, ys.bytes);
        for (size_t k = 0; k < pixels; ++k) {
            if (round % 5 && fixture_int(0, 3))
                arguments.residual[k] = rs.data + k * c * dtype_bytes(from);
            if (round % 4 == 0 || fixture_int(0, 2))
                arguments.pixels[k] = ys.data + k * c * dtype_bytes(to);
        }
        kernels->tile_output(&arguments);
        for (size_t k = 0; k < pixels; ++k)
            for (size_t i = 0; i < c; ++i) {
                double want = arguments.bias ? (double)bias[i] : 0, size = fabs(want);
                if (arguments.residual[k]) want += (double)r[k * c + i], size += 1;
                for (size_t p = 0; p < points; ++p) {
                    const double by =
                        by_a ? by_a[k / outputs][p / side] * by_a[k % outputs][p % side]
                             : (double)(p == k);
                    want += by * (double)m[p * step + i];
                    size += fabs(by * (double)m[p * step + i]);
                }
                if (!arguments.pixels[k]) want = size = 0; /* nothing was written */
                check_real(fabs((double)unpacked(&ys, to, k * c + i) - want), <=,
                           within(to, 0) * fabs(want) + 1e-6 * size);
            }
        free(m);
        free(bias);
        free(r);
        guarded_close(&ms);
        guarded_close(&bs);
        guarded_close(&rs);
        guarded_close(&ys);
    }
}

static void gathers_tiles(void)
{
    for_all(tile_output_case);
}

/* The taps of a 3x3 kernel on an enlarged map that fall on input row i of output row y's two. */
static double enlarged_taps(size_t y, size_t i, size_t tap)
{
    return (y + tap + 1) / 2 == y + i;
}

static void combine_case(const struct kernels *kernels)
{
    for (int round = 0; round < 60; ++round) {
        const size_t count = (size_t)fixture_int(1, 70);
        const enum kernel_tiles tiles = tiles_of(round);
        const double(*const by_g)[3] = interpolations[tiles].g;
        const size_t side = by_g ? interpolations[tiles].points : 4;
        const size_t pieces = side * side;
        const enum dtype type = round & 2 ? DTYPE_BF16 : DTYPE_F32;
        float *const g = fixture_reals(9 * count, 1, type);
        struct guarded gs = packed(g, 9 * count, type);
        struct guarded us = guarded_open(pieces * count * dtype_bytes(type));
        struct kernel_taps arguments = {.type = type,
                                        .source_type = type,
                                        .count = count,
                                        .tiles = tiles,
                                        .row = -1};
        for (size_t k = 0; k < 9; ++k)
            arguments.taps[k] = gs.data + k * count * dtype_bytes(type);
        for (size_t k = 0; k < pieces; ++k)
            arguments.targets[k] = us.data + k * count * dtype_bytes(type);
        kernels->combine_taps(&arguments);
        for (size_t k = 0; k < pieces; ++k)
            for (size_t i = 0; i < count; ++i) {
                double want = 0, size = 0;
                for (size_t tap = 0; tap < 9; ++tap) {
                    const double by =
                        by_g ? by_g[k / side][tap / 3] * by_g[k % side][tap % 3]
                             : enlarged_taps(k / 8, k / 2 % 2, tap / 3) *
                                   enlarged_taps(k / 4 % 2, k % 2, tap % 3);
                    want += by * (double)g[tap * count + i];
                    size += fabs(by * (double)g[tap * count + i]);
                }
                check_real(fabs((double)unpacked(&us, type, k * count + i) - want), <=,
                           within(type, 0) * fabs(want) + 1e-6 * size);
            }
        free(g);
        guarded_close(&gs);
        guarded_close(&us);
    }
}

static void combines_taps(void)
{
    for_all(combine_case);
}

/* Numbers of bfloat16 in words of two inputs: [in / 2][out][2]. */
static struct guarded paired(const float *w, size_t in, size_t out)
{
    float *const pairs = malloc(in * out * sizeof *pairs);
    for (size_t k = 0; k < in; ++k)
        for (size_t i = 0; i < out; ++i)
            pairs[k / 2 * 2 * out + 2 * i + k % 2] = w[k * out + i];
    const struct guarded result = packed(pairs, in * out, DTYPE_BF16);
    free(pairs);
    return result;
}

/* Rows alone have the bytes that they have among others, and outputs too. */
/* By the round nothing is added, what the result holds, or other numbers; and a bias. */
static void multiply_once(const struct kernels *kernels, enum dtype type, int round)
{
    const size_t each = type == DTYPE_BF16 ? 2 : 1;
    const size_t rows = (size_t)fixture_int(1, 20), words = (size_t)fixture_int(1, 70);
    const size_t in = each * words, out = 16 * (size_t)fixture_int(1, 9);
    float *const x = fixture_reals(rows * in, 1, type);
    float *const w = fixture_reals(in * out, 1, type);
    float *const before = fixture_reals(rows * out, 1, DTYPE_F32);
    float *const bias = fixture_reals(out, 1, DTYPE_F32);
    const bool add = round % 3 > 0, bears = round % 2 > 0;
    struct guarded xs = packed(x, rows * in, type);
    struct guarded ws =
        type == DTYPE_BF16 ? paired(w, in, out) : packed(w, in * out, type);
    struct guarded ys = packed(before, rows * out, DTYPE_F32);
    struct kernel_multiply arguments = {
        .source = xs.data,
        .operand = ws.data,
        .result = (float *)(void *)ys.data,
        .type = type,
        .rows = rows,
        .inputs = words,
        .outputs = out,
        .source_stride = words,
        .operand_stride = out,
        .result_stride = out,
        .add = round % 3 == 1 ? (float *)(void *)ys.data
               : add          ? before
                              : NULL,
        .bias = bears ? bias : NULL,
    };
    kernels->multiply(&arguments);
    for (size_t i = 0; i < rows * out; ++i) {
        const double more = bears ? (double)bias[i % out] : 0;
        double want = more + (add ? (double)before[i] : 0);
        double size = fabs(more) + fabs(want);
        for (size_t k = 0; k < in; ++k) {
            const double term =
                (double)x[i / out * in + k] * (double)w[k * out + i % out];
            want += term;
            size += fabs(term);
        }
        check_real(fabs((double)unpacked(&ys, DTYPE_F32, i) - want), <=, 1e-6 * size);
    }
    float alone[16];
    const size_t row = (size_t)fixture_int(0, (int32_t)rows - 1);
    const size_t at = 16 * (size_t)fixture_int(0, (int32_t)out / 16 - 1);
    memcpy(alone, before + row * out + at, sizeof alone);
    arguments.source = xs.data + row * words * sizeof(float);
    arguments.operand = ws.data + at * sizeof(float);
    arguments.result = alone;
    if (add) arguments.add = alone;
    if (bears) arguments.bias = bias + at;
    arguments.rows = 1;
    arguments.outputs = 16;
    kernels->multiply(&arguments);
    check_bytes((float *)(void *)ys.data + row * out + at, alone, sizeof alone);
    free(x);
    free(w);
    free(before);
    free(bias);
    guarded_close(&xs);
    guarded_close(&ws);
    guarded_close(&ys);
}

static void multiply_case(const struct kernels *kernels)
{
    for (int round = 0; round < 60; ++round) {
        multiply_once(kernels, DTYPE_F32, round);
        if (kernels->multiplies_bf16) multiply_once(kernels, DTYPE_BF16, round);
    }
}

/* Every number of a line is in its strip, and nothing outside the lines is read. */
static void cut_case(const struct kernels *kernels)
{
    if (kernels->multiply_width == 0) return;
    for (int round = 0; round < 40; ++round) {
        const size_t strip = kernels->multiply_width;
        const size_t count = (size_t)fixture_int(1, 50),
                     width = strip * (size_t)fixture_int(1, 4);
        const enum dtype type = round % 2 ? DTYPE_BF16 : DTYPE_F32;
        float *const x = fixture_reals(count * width, 1, type);
        struct guarded xs = packed(x, count * width, type);
        struct guarded ys = guarded_open(count * width * sizeof(float));
        const struct kernel_strips arguments = {.lines = xs.data,
                                                .strips = (float *)(void *)ys.data,
                                                .type = type,
                                                .count = count,
                                                .width = width};
        kernels->cut_strips(&arguments);
        for (size_t i = 0; i < count * width; ++i) {
            const size_t line = i / width, at = i % width;
            const float got =
                unpacked(&ys, DTYPE_F32,
                         (at / strip * count + line) * strip + at % strip);
            check_bytes(&got, &x[i], sizeof got);
        }
        free(x);
        guarded_close(&xs);
        guarded_close(&ys);
    }
}

static void cuts_strips(void)
{
    for_all(cut_case);
}

static void multiplies(void)
{
    for_all(multiply_case);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3008);
    for (const struct kernels *const *table = kernels_all(); *table; ++table)
        fprintf(stderr, "table %s\n", (*table)->name);
    check_run(finishes);
    check_run(bears_extremes);
    check_run(converts);
    check_run(measures_channels);
    check_run(weighs_scores);
    check_run(turns);
    check_run(spreads_tiles);
    check_run(gathers_tiles);
    check_run(combines_taps);
    check_run(multiplies);
    check_run(cuts_strips);
    return check_done();
}
