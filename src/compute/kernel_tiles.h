/* kernel_tiles — the kernels of tiled convolutions (tiled_conv.h): taps, inputs, outputs and their product.
 *
 * A part of kernel_loops.c, which is compiled for each kind of processor. The matrices of F(2x2, 3x3) and F(4x4, 3x3)
 * are those of Lavin and Gray (arXiv 1509.09308, section 4): interpolation at 0, 1, -1 (and 2, -2) and infinity.
 */
#ifndef COMPUTE_KERNEL_TILES_H
#define COMPUTE_KERNEL_TILES_H

#include "compute/kernel_lanes.h"
#include "compute/kernels.h"

enum {
    MOST_SIDE = 6 /* of a window */
};

/* Of a tile, in one direction: inputs; points (of Winograd as many); and outputs. */
INLINE size_t tile_side(enum kernel_tiles tiles)
{
    return tiles == TILES_WINOGRAD_4 ? 6 : 4;
}

INLINE size_t tile_points(enum kernel_tiles tiles)
{
    return tiles == TILES_ENLARGING_4 ? 5 : tile_side(tiles);
}

INLINE size_t tile_outputs(enum kernel_tiles tiles)
{
    return tiles == TILES_WINOGRAD_4 || tiles == TILES_ENLARGING_4 ? 4 : 2;
}

/* ---- taps ---- */

/* G v: from three numbers to four, five or six. */
INLINE void spread_taps(const floats *v, size_t step, floats *to, size_t to_step,
                        enum kernel_tiles tiles)
{
    const floats a = v[0], b = v[step], c = v[2 * step];
    if (tiles == TILES_WINOGRAD_4) {
        const floats even = (a + c) * (1.0f / 6), odd = b * (1.0f / 6);
        const floats far = a * (1.0f / 24) + c * (1.0f / 6), twice = b * (1.0f / 12);
        to[0] = a * 0.25f;
        to[to_step] = -even - odd;
        to[2 * to_step] = odd - even;
        to[3 * to_step] = far + twice;
        to[4 * to_step] = far - twice;
        to[5 * to_step] = c;
        return;
    }
    if (tiles == TILES_ENLARGING_4) {
        to[0] = a;
        to[to_step] = (a + b + c) * 0.5f;
        to[2 * to_step] = (a - b - c) * 0.5f;
        to[3 * to_step] = (c - a - b) * 0.5f;
        to[4 * to_step] = -c;
        return;
    }
    const bool enlarging = tiles == TILES_ENLARGING;
    to[0] = a;
    to[to_step] = enlarging ? b + c : (a + b + c) * 0.5f;
    to[2 * to_step] = enlarging ? a + b : (a - b + c) * 0.5f;
    to[3 * to_step] = c;
}

INLINE void combine_some(const struct kernel_taps *a, enum dtype type, enum dtype from,
                         enum kernel_tiles tiles, size_t at, size_t count)
{
    const size_t side = tile_points(tiles);
    floats g[9], tall[3 * MOST_SIDE], u[MOST_SIDE * MOST_SIDE];
    for (size_t k = 0; k < 9; ++k)
        g[k] = load_stored_some(a->taps[k], from, at, count);
    for (size_t k = 0; k < 3; ++k)
        spread_taps(&g[k], 3, &tall[k], 3, tiles);
    for (size_t k = 0; k < side; ++k)
        spread_taps(&tall[3 * k], 1, &u[side * k], 1, tiles);
    for (size_t k = 0; k < side * side; ++k) {
        /* enlarging: row 2 y + i and column 2 x + j are tap (i, j) of output (y, x) */
        const size_t to = tiles == TILES_ENLARGING
                              ? (k & 8) | (k & 2) << 1 | (k & 4) >> 1 | (k & 1)
                              : k;
        store_some(a->targets[to], type, at, u[k], count);
    }
}

#ifdef __AVX512BF16__
/* bfloat16, two vectors at a time: numbers in even and in odd places are widened and put side by side again by one
 * instruction each. */
INLINE void combine_pairs(const struct kernel_taps *a, enum kernel_tiles tiles,
                          size_t at)
{
    const size_t side = tile_points(tiles);
    floats g[2][9], tall[2][3 * MOST_SIDE];
    for (size_t k = 0; k < 9; ++k)
        load_pair(a->taps[k], at, &g[0][k], &g[1][k]);
    for (size_t half = 0; half < 2; ++half)
        for (size_t k = 0; k < 3; ++k)
            spread_taps(&g[half][k], 3, &tall[half][k], 3, tiles);
    for (size_t k = 0; k < side; ++k) {
        floats u[2][MOST_SIDE];
        for (size_t half = 0; half < 2; ++half)
            spread_taps(&tall[half][3 * k], 1, u[half], 1, tiles);
        for (size_t j = 0; j < side; ++j)
            store_pair(a->targets[side * k + j], at, u[0][j], u[1][j]);
    }
}
#endif

INLINE void combine_all(const struct kernel_taps *a, enum dtype type, enum dtype from,
                        enum kernel_tiles tiles)
{
    size_t at = 0;
#ifdef __AVX512BF16__
    if (type == DTYPE_BF16 && from == DTYPE_BF16 && tiles != TILES_ENLARGING)
        for (; at + 2 * LANES <= a->count; at += 2 * LANES)
            combine_pairs(a, tiles, at);
#endif
    for (; at + LANES <= a->count; at += LANES)
        combine_some(a, type, from, tiles, at, LANES);
    if (at < a->count) combine_some(a, type, from, tiles, at, a->count - at);
}

/* One row of points: a row of G from above, all of G from the side. */
INLINE void combine_row(const struct kernel_taps *a, enum dtype type, enum dtype from,
                        enum kernel_tiles tiles)
{
    static const float two[4][3] = {
        {1.0f, 0,     0   },
        {0.5f, 0.5f,  0.5f},
        {0.5f, -0.5f, 0.5f},
        {0,    0,     1.0f}
    };
    static const float four[6][3] = {
        {1.0f / 4,  0,          0        },
        {-1.0f / 6, -1.0f / 6,  -1.0f / 6},
        {-1.0f / 6, 1.0f / 6,   -1.0f / 6},
        {1.0f / 24, 1.0f / 12,  1.0f / 6 },
        {1.0f / 24, -1.0f / 12, 1.0f / 6 },
        {0,         0,          1.0f     },
    };
    static const float enlarging[5][3] = {
        {1.0f,  0,     0    },
        {0.5f,  0.5f,  0.5f },
        {0.5f,  -0.5f, -0.5f},
        {-0.5f, -0.5f, 0.5f },
        {0,     0,     -1.0f},
    };
    const float *const by = tiles == TILES_WINOGRAD_4    ? four[a->row]
                            : tiles == TILES_ENLARGING_4 ? enlarging[a->row]
                                                         : two[a->row];
    const floats first = all(by[0]), second = all(by[1]), third = all(by[2]);
    for (size_t at = 0; at < a->count; at += LANES) {
        const size_t count = a->count - at;
        floats g[9], tall[3], u[MOST_SIDE];
        /* All loads first: between them a compiler would fuse other products and sums for one
         * stored type than for another, and the bytes would depend on it. */
        for (size_t k = 0; k < 9; ++k)
            g[k] = load_stored_some(a->taps[k], from, at, count);
        for (size_t k = 0; k < 3; ++k)
            tall[k] = g[k] * first + g[3 + k] * second + g[6 + k] * third;
        spread_taps(tall, 1, u, 1, tiles);
        for (size_t k = 0; k < tile_points(tiles); ++k)
            store_some(a->targets[k], type, at, u[k], count);
    }
}

INLINE void combine_rows(const struct kernel_taps *a, enum kernel_tiles tiles)
{
    if (a->type == DTYPE_BF16 && a->source_type == DTYPE_BF16)
        combine_row(a, DTYPE_BF16, DTYPE_BF16, tiles);
    else if (a->type == DTYPE_BF16)
        combine_row(a, DTYPE_BF16, a->source_type, tiles);
    else if (a->source_type == DTYPE_F32)
        combine_row(a, DTYPE_F32, DTYPE_F32, tiles);
    else if (a->source_type == DTYPE_F16)
        combine_row(a, DTYPE_F32, DTYPE_F16, tiles);
    else if (a->source_type == DTYPE_BF16)
        combine_row(a, DTYPE_F32, DTYPE_BF16, tiles);
    else
        combine_row(a, DTYPE_F32, a->source_type, tiles);
}

INLINE void combine_tiles(const struct kernel_taps *a, enum kernel_tiles tiles)
{
    if (a->row >= 0)
        combine_rows(a, tiles);
    else if (a->type == DTYPE_BF16 && a->source_type == DTYPE_BF16)
        combine_all(a, DTYPE_BF16, DTYPE_BF16, tiles);
    else if (a->type == DTYPE_F32 && a->source_type == DTYPE_F32)
        combine_all(a, DTYPE_F32, DTYPE_F32, tiles);
    else if (a->type == DTYPE_F32 && a->source_type == DTYPE_F16)
        combine_all(a, DTYPE_F32, DTYPE_F16, tiles);
    else
        combine_all(a, a->type, a->source_type, tiles);
}

static void combine_taps(const struct kernel_taps *arguments)
{
    const struct kernel_taps a = *arguments;
    switch (a.tiles) {
    case TILES_WINOGRAD_2: combine_tiles(&a, TILES_WINOGRAD_2); break;
    case TILES_WINOGRAD_4: combine_tiles(&a, TILES_WINOGRAD_4); break;
    case TILES_ENLARGING: combine_tiles(&a, TILES_ENLARGING); break;
    case TILES_ENLARGING_4: combine_tiles(&a, TILES_ENLARGING_4); break;
    }
}

/* ---- inputs ---- */

/* B^T v, of numbers that lie `step` apart, in place. */
INLINE void spread_inputs(floats *v, size_t step, enum kernel_tiles tiles)
{
    const floats a = v[0], b = v[step], c = v[2 * step], d = v[3 * step];
    if (tiles == TILES_WINOGRAD_4) {
        const floats e = v[4 * step], f = v[5 * step];
        const floats near = e - 4.0f * c, near_odd = d - 4.0f * b;
        const floats far = e - c, far_odd = 2.0f * (d - b);
        v[0] = 4.0f * a - 5.0f * c + e;
        v[step] = near + near_odd;
        v[2 * step] = near - near_odd;
        v[3 * step] = far + far_odd;
        v[4 * step] = far - far_odd;
        v[5 * step] = 4.0f * b - 5.0f * d + f;
        return;
    }
    v[0] = a - c;
    v[step] = b + c;
    v[2 * step] = c - b;
    v[3 * step] = b - d;
}

/* Of the next tile: the pixels that this one does not share, a line of the cache at a time. */
INLINE void fetch_pixels(const struct kernel_winograd_input *a, enum dtype type,
                         size_t side, size_t at)
{
    const size_t bytes = at * (type == DTYPE_F32 ? 4 : 2) + a->ahead;
    if (a->ahead == 0 || bytes % 64 != 0) return;
    for (size_t p = 0; p < side * side; ++p)
        if (p % side >= 2) __builtin_prefetch((const char *)a->pixels[p] + bytes);
}

INLINE void input_some(const struct kernel_winograd_input *a, enum dtype type,
                       enum kernel_tiles tiles, size_t at, size_t to, size_t count,
                       bool inside)
{
    const size_t side = tile_side(tiles);
    floats d[MOST_SIDE * MOST_SIDE];
    if (inside) fetch_pixels(a, type, side, at);
    for (size_t j = 0; j < side; ++j) {
        for (size_t p = j; p < side * side; p += side)
            d[p] = inside || a->pixels[p] ? load_some(a->pixels[p], type, at, count)
                                          : all(0);
        spread_inputs(&d[j], side, tiles);
    }
    for (size_t i = 0; i < side; ++i) {
        spread_inputs(&d[side * i], 1, tiles);
        for (size_t p = side * i; p < side * (i + 1); ++p)
            store_some(a->target, type, p * a->step + to, d[p], count);
    }
}

#ifdef __AVX512BF16__
/* bfloat16, two vectors at a time. */
INLINE void input_pairs(const struct kernel_winograd_input *a, size_t at, size_t to,
                        bool inside)
{
    enum {
        SIDE = 4
    };
    floats d[2][SIDE * SIDE];
    if (inside) fetch_pixels(a, DTYPE_BF16, SIDE, at);
    for (size_t j = 0; j < SIDE; ++j) {
        for (size_t p = j; p < SIDE * SIDE; p += SIDE) {
            d[0][p] = d[1][p] = all(0);
            if (inside || a->pixels[p]) load_pair(a->pixels[p], at, &d[0][p], &d[1][p]);
        }
        for (size_t half = 0; half < 2; ++half)
            spread_inputs(&d[half][j], SIDE, TILES_WINOGRAD_2);
    }
    for (size_t i = 0; i < SIDE; ++i) {
        for (size_t half = 0; half < 2; ++half)
            spread_inputs(&d[half][SIDE * i], 1, TILES_WINOGRAD_2);
        for (size_t p = SIDE * i; p < SIDE * (i + 1); ++p)
            store_pair(a->target, p * a->step + to, d[0][p], d[1][p]);
    }
}
#endif

INLINE void input_all(const struct kernel_winograd_input *a, enum dtype type,
                      enum kernel_tiles tiles, bool inside)
{
    size_t to = 0;
    for (size_t first = 0; first < a->channels; first += a->chunk) {
        const size_t end =
            first + a->chunk < a->channels ? first + a->chunk : a->channels;
        size_t at = first;
#ifdef __AVX512BF16__
        if (type == DTYPE_BF16 && tiles == TILES_WINOGRAD_2)
            for (; at + 2 * LANES <= end; at += 2 * LANES)
                input_pairs(a, at, to + at - first, inside);
#endif
        for (; at + LANES <= end; at += LANES)
            input_some(a, type, tiles, at, to + at - first, LANES, inside);
        if (at < end) input_some(a, type, tiles, at, to + at - first, end - at, inside);
        to += a->chunk_step;
    }
}

static void winograd_input(const struct kernel_winograd_input *arguments)
{
    const struct kernel_winograd_input a = *arguments;
    const size_t side = tile_side(a.tiles);
    bool inside = true;
    for (size_t p = 0; p < side * side; ++p)
        inside = inside && a.pixels[p];
    if (a.tiles == TILES_WINOGRAD_4 && inside)
        input_all(&a, a.type, TILES_WINOGRAD_4, true);
    else if (a.tiles == TILES_WINOGRAD_4)
        input_all(&a, a.type, TILES_WINOGRAD_4, false);
    else if (a.type == DTYPE_BF16 && inside)
        input_all(&a, DTYPE_BF16, TILES_WINOGRAD_2, true);
    else if (a.type == DTYPE_BF16)
        input_all(&a, DTYPE_BF16, TILES_WINOGRAD_2, false);
    else
        input_all(&a, DTYPE_F32, TILES_WINOGRAD_2, inside);
}

/* ---- outputs ---- */

/* A^T v: four numbers become the first two of them, five or six the first four. */
INLINE void gather_outputs(floats *v, size_t step, enum kernel_tiles tiles)
{
    const floats b = v[step], c = v[2 * step];
    if (tiles == TILES_WINOGRAD_4) {
        const floats d = v[3 * step], e = v[4 * step];
        const floats near = b + c, near_odd = b - c;
        const floats far = d + e, far_odd = d - e;
        v[0] = v[0] + near + far;
        v[step] = near_odd + 2.0f * far_odd;
        v[2 * step] = near + 4.0f * far;
        v[3 * step] = near_odd + 8.0f * far_odd + v[5 * step];
        return;
    }
    if (tiles == TILES_ENLARGING_4) {
        const floats d = v[3 * step];
        v[0] = v[0] + b + c;
        v[step] = b + d;
        v[2 * step] = b - c;
        v[3 * step] = b - d + v[4 * step];
        return;
    }
    v[0] = v[0] + b + c;
    v[step] = b - c - v[3 * step];
}

INLINE void output_some(const struct kernel_tile_output *a, enum dtype to,
                        enum dtype residual, enum kernel_tiles tiles, size_t at,
                        size_t count)
{
    const bool winograd = tiles != TILES_ENLARGING;
    const size_t side = winograd ? tile_points(tiles) : 2,
                 outputs = tile_outputs(tiles);
    const floats bias = a->bias ? load_some(a->bias, DTYPE_F32, at, count) : all(0);
    floats m[MOST_SIDE * MOST_SIDE];
    for (size_t j = 0; j < side; ++j) {
        for (size_t p = j; p < side * side; p += side)
            m[p] = load_some(a->source, DTYPE_F32, p * a->step + at, count);
        if (winograd) gather_outputs(&m[j], side, tiles);
    }
    for (size_t i = 0; i < outputs; ++i) {
        if (winograd) gather_outputs(&m[side * i], 1, tiles);
        for (size_t j = 0; j < outputs; ++j) {
            const size_t k = outputs * i + j;
            if (!a->pixels[k]) continue;
            floats x = m[side * i + j] + bias;
            if (a->residual[k]) x += load_some(a->residual[k], residual, at, count);
            store_some(a->pixels[k], to, at, x, count);
        }
    }
}

INLINE void output_all(const struct kernel_tile_output *a, enum dtype to,
                       enum dtype residual, enum kernel_tiles tiles)
{
    size_t at = 0;
    for (; at + LANES <= a->channels; at += LANES)
        output_some(a, to, residual, tiles, at, LANES);
    if (at < a->channels) output_some(a, to, residual, tiles, at, a->channels - at);
}

static void tile_output(const struct kernel_tile_output *arguments)
{
    const struct kernel_tile_output a = *arguments;
    const bool bf16 = a.target_type == DTYPE_BF16 && a.residual_type == DTYPE_BF16;
    const bool f32 = a.target_type == DTYPE_F32 && a.residual_type == DTYPE_F32;
    if (a.tiles == TILES_WINOGRAD_4 && f32)
        output_all(&a, DTYPE_F32, DTYPE_F32, TILES_WINOGRAD_4);
    else if (a.tiles == TILES_WINOGRAD_4)
        output_all(&a, a.target_type, a.residual_type, TILES_WINOGRAD_4);
    else if (a.tiles == TILES_ENLARGING_4 && f32)
        output_all(&a, DTYPE_F32, DTYPE_F32, TILES_ENLARGING_4);
    else if (a.tiles == TILES_ENLARGING_4 && bf16)
        output_all(&a, DTYPE_BF16, DTYPE_BF16, TILES_ENLARGING_4);
    else if (a.tiles == TILES_ENLARGING_4)
        output_all(&a, a.target_type, a.residual_type, TILES_ENLARGING_4);
    else if (bf16 && a.tiles == TILES_WINOGRAD_2)
        output_all(&a, DTYPE_BF16, DTYPE_BF16, TILES_WINOGRAD_2);
    else if (a.tiles == TILES_WINOGRAD_2)
        output_all(&a, a.target_type, a.residual_type, TILES_WINOGRAD_2);
    else if (bf16)
        output_all(&a, DTYPE_BF16, DTYPE_BF16, TILES_ENLARGING);
    else
        output_all(&a, a.target_type, a.residual_type, TILES_ENLARGING);
}

/* ---- products ---- */

/* Rows and vectors of outputs whose sums stay in registers, beside the operand's vectors and one input: 16 registers
 * have room for 12 sums, 32 for 24. */
#if LANES == 16 || defined(__aarch64__)
#define SUM_VECTORS 4
#else
#define SUM_VECTORS 2
#endif
#define SUM_ROWS 6
#define STRIP    (SUM_VECTORS * LANES)

/* Of the next rows, what comes from outer caches: a line of 16 words. Each strip of outputs fetches its share. Rows that lie
 * whole pages apart share a few places of the first cache, which have no room for more of them. */
INLINE void fetch_rows(const struct kernel_multiply *a, size_t row, size_t rows,
                       size_t at)
{
    if (a->source_stride % 1024 == 0) return;
    const size_t end = row + rows < a->rows ? row + rows : a->rows;
    for (; row < end; ++row)
        __builtin_prefetch((const float *)a->source + row * a->source_stride + at);
}

/* What is added to after this sum. */
INLINE void fetch_results(const struct kernel_multiply *a, size_t row, size_t out,
                          size_t rows, size_t width, enum dtype to)
{
    const size_t each = to == DTYPE_F32 ? 4 : 2;
    for (size_t i = 0; i < rows; ++i) {
        const size_t first = ((row + i) * a->result_stride + out) * each;
        for (size_t at = first; at < first + width * each; at += 64) {
            __builtin_prefetch((const char *)a->result + at, 1);
            if (a->add && a->add != a->result)
                __builtin_prefetch((const char *)a->add + at);
        }
    }
}

INLINE void multiply_word(floats sums[SUM_ROWS][SUM_VECTORS],
                          const struct kernel_multiply *a, const uint32_t *source,
                          const float *operand, size_t rows, size_t vectors,
                          enum dtype type)
{
    floats b[SUM_VECTORS];
    for (size_t v = 0; v < vectors; ++v)
        b[v] = load(operand, DTYPE_F32, v * LANES);
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < vectors; ++v)
            sums[i][v] = add_word(sums[i][v], source[i * a->source_stride], b[v], type);
}

INLINE void multiply_some(const struct kernel_multiply *a, size_t row, size_t out,
                          size_t rows, size_t vectors, enum dtype type, enum dtype to)
{
    floats sums[SUM_ROWS][SUM_VECTORS];
    const size_t width = vectors * LANES;
    const size_t fetch = a->inputs * out / a->outputs,
                 fetch_end = a->inputs * (out + width) / a->outputs;
    const uint32_t *source = (const uint32_t *)a->source + row * a->source_stride;
    const float *operand = (const float *)a->operand + out;
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < vectors; ++v)
            sums[i][v] = all(0);
    fetch_results(a, row, out, rows, width, to);
    size_t k = 0;
    for (; k + 16 <= a->inputs; k += 16) {
        if (k >= fetch && k < fetch_end) fetch_rows(a, row + rows, rows, k);
#pragma GCC unroll 4
        for (size_t j = 0; j < 16; ++j) {
            multiply_word(sums, a, source, operand, rows, vectors, type);
            ++source;
            operand += a->operand_stride;
        }
    }
    for (; k < a->inputs; ++k) {
        multiply_word(sums, a, source, operand, rows, vectors, type);
        ++source;
        operand += a->operand_stride;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < vectors; ++v) {
            const size_t at = (row + i) * a->result_stride + out + v * LANES;
            if (a->bias) sums[i][v] += load(a->bias, DTYPE_F32, out + v * LANES);
            if (a->add) sums[i][v] += load(a->add, to, at);
            store(a->result, to, at, sums[i][v]);
        }
}

INLINE void multiply_rows(const struct kernel_multiply *a, size_t row, size_t out,
                          size_t rows, size_t vectors, enum dtype type, enum dtype to)
{
    switch (rows) {
    case 6: multiply_some(a, row, out, 6, vectors, type, to); break;
    case 5: multiply_some(a, row, out, 5, vectors, type, to); break;
    case 4: multiply_some(a, row, out, 4, vectors, type, to); break;
    case 3: multiply_some(a, row, out, 3, vectors, type, to); break;
    case 2: multiply_some(a, row, out, 2, vectors, type, to); break;
    default: multiply_some(a, row, out, 1, vectors, type, to); break;
    }
}

/* Rows are divided evenly: no call has few of them. The operand stays in the first cache while all rows pass. */
INLINE void multiply_all(const struct kernel_multiply *a, enum dtype type,
                         enum dtype to)
{
    size_t left = (a->rows + SUM_ROWS - 1) / SUM_ROWS, fetched = 0;
    for (size_t row = 0; row < a->rows; --left) {
        const size_t rows = (a->rows - row + left - 1) / left;
        for (const size_t end = a->ahead_bytes * (row + rows) / a->rows; fetched < end;
             fetched += 64)
            __builtin_prefetch((const char *)a->ahead + fetched, 0, 2);
        size_t out = 0;
        for (; out + STRIP <= a->outputs; out += STRIP)
            multiply_rows(a, row, out, rows, SUM_VECTORS, type, to);
        for (; out < a->outputs; out += LANES)
            multiply_rows(a, row, out, rows, 1, type, to);
        row += rows;
    }
}

static void multiply(const struct kernel_multiply *arguments)
{
    const struct kernel_multiply a = *arguments;
#ifdef __AVX512BF16__
    if (a.type == DTYPE_BF16) {
        if (a.result_type == DTYPE_BF16)
            multiply_all(&a, DTYPE_BF16, DTYPE_BF16);
        else
            multiply_all(&a, DTYPE_BF16, DTYPE_F32);
        return;
    }
#endif
    multiply_all(&a, DTYPE_F32, DTYPE_F32);
}

/* Lines are read in their order, a few ahead. */
INLINE void cut_lines(const struct kernel_strips *a, enum dtype type)
{
    const size_t bytes = a->width * (type == DTYPE_F32 ? 4 : 2);
    for (size_t line = 0; line < a->count; ++line) {
        for (size_t at = 0; line + 16 < a->count && at < bytes; at += 64)
            __builtin_prefetch((const char *)a->lines + (line + 16) * bytes + at);
        for (size_t at = 0; at < a->width; at += STRIP)
            for (size_t v = 0; v < STRIP; v += LANES)
                store(a->strips, DTYPE_F32, at * a->count + line * STRIP + v,
                      load_stored(a->lines, type, line * a->width + at + v));
    }
}

static void cut_strips(const struct kernel_strips *arguments)
{
    const struct kernel_strips a = *arguments;
    if (a.type == DTYPE_F32)
        cut_lines(&a, DTYPE_F32);
    else if (a.type == DTYPE_F16)
        cut_lines(&a, DTYPE_F16);
    else
        cut_lines(&a, a.type);
}

#endif
