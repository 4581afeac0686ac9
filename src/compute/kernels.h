/* kernels — the inner loops that oneDNN does not have, as one table of functions.
 *
 * The same source (kernel_loops.c) is compiled once for each instruction set; kernels_choose
 * selects the best table for this processor, once. Nothing else in compute/ depends on which one that is.
 *
 * Contract of every kernel: arrays are dense unless a stride is named; a `type` is DTYPE_F32
 * or DTYPE_BF16; sums are float32; no alignment is needed and no byte outside the arrays is
 * accessed; a NaN in the input gives NaN in the result, so that a broken network is detected and no picture
 * is made of it. Results do not depend on how rows are divided among threads.
 *
 * exp: error below 2 ulp in [-87.3, 86.9]; other inputs are clamped to that range, so that the result
 * is never 0 or infinite (a sigmoid or softmax of it differs by less than 1e-37). gelu: absolute error below 1e-7
 * beside the rounding of the result. If the result is bfloat16, exp has a relative error of 1e-4, a twentieth of the
 * rounding to bfloat16, and gelu an absolute error of 1e-5.
 */
#ifndef COMPUTE_KERNELS_H
#define COMPUTE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "compute/plan.h"

/* target = act(source) * multiply + residual, element by element. multiply and residual may
 * be NULL. target may be any of the others where their types are equal. */
struct kernel_finish {
    void *target;
    const void *source, *multiply, *residual;
    enum dtype target_type, source_type, multiply_type, residual_type;
    enum activation activation;
};

/* target = value * gelu(gate). */
struct kernel_gate {
    void *target;
    const void *value, *gate;
    enum dtype target_type, source_type;
};

/* target[pixel][channel] = act(source[pixel][channel] * scale[channel] + offset[channel]).
 * Strides in elements between pixels. */
struct kernel_affine {
    void *target;
    const void *source;
    enum dtype target_type, source_type;
    size_t pixels, channels, target_stride, source_stride;
    const float *scale, *offset;
    bool silu;
};

/* Each row of c numbers: (x - mean) / sqrt(variance + epsilon) * scale + bias. */
struct kernel_layer_norm {
    void *target;
    const void *source;
    enum dtype target_type, source_type;
    size_t rows, c;
    const float *scale, *bias;
    float epsilon;
};

/* One block of keys for a block of queries: scores become probabilities relative to the
 * largest score seen so far (Milakov and Gimelshein, arXiv 1805.02867): when a query's peak
 * increases, its total and its sums are multiplied by exp(old - new). Queries are the columns, so that a
 * vector holds 16 of them and no sum goes across a vector.
 *
 * Probabilities are the right-hand matrix of the next GEMM and are written in its layout:
 * key k of query q to key_step * k + q of its panel, or, `paired`, keys 2j and
 * 2j + 1 of query q side by side at key_step * j + 2 q. Panels of panel_queries queries are
 * panel_step apart. All counted in elements. */
struct kernel_softmax {
    const float *scores; /* [keys][queries] */
    void *probabilities; /* bfloat16 */
    bool paired;
    size_t key_step, panel_queries, panel_step;
    size_t keys, queries; /* queries: a multiple of 16, as are those of a panel */
    size_t dim;
    int32_t seen; /* number of keys; keys beyond it get probability 0 */
    bool causal;  /* query q sees keys below first_seen + q only */
    int32_t first_seen;
    float factor;        /* scale * log2(e) */
    float *peak, *total; /* [queries]; peak begins as -infinity, total as 0 */
    float *sums;         /* [dim][queries] */
};

/* Attention of a panel of queries, attend_width of the table, to a block of keys: what kernel_softmax and the GEMMs
 * around it do, in one pass. Counted in words of 32 bits: one number of float32, or two of bfloat16 side by side (of a
 * table with multiplies_bf16). Keys come in tiles of 4 or 6, values in tiles of attend_unit times 4, 5 or 6.
 *
 *     queries  [dim_words][attend_width], two dimensions a word; in float32 times scale * log2(e)
 *     keys     [tiles][dim_words][key_rows], likewise; the last tile is whole
 *     values   [tiles, tile_step apart][words of keys][value_rows], two keys a word; dimensions and keys that do not
 *              exist are 0
 *     sums     [dims][attend_width]
 *     scores   scratch: [seen, rounded up to key_rows][attend_width]
 *
 * Probabilities are relative to a reference score, which follows the largest one where it must. */
struct kernel_attend {
    const void *queries, *keys, *values;
    float *sums, *scores;
    float *reference, *total; /* [attend_width] */
    enum dtype type;
    bool begins; /* first block of keys: reference, total, sums are set, not read */
    size_t dim_words, key_rows, value_rows;
    size_t dims;      /* a multiple of value_rows */
    size_t tile_step; /* words from one tile of values to the next */
    size_t seen;      /* number of keys */
    bool causal;      /* query q sees keys below first_seen + q only, and key 0 */
    int32_t first_seen;
    float factor; /* scale * log2(e); float32: not used */
};

/* target[column][row] = source[row][column] * factor[column]; factor may be NULL: then numbers
 * are copied without conversion if both types are the same. Strides in bytes, from row to row and from column to
 * column. */
struct kernel_turn {
    void *target;
    const void *source;
    enum dtype target_type, source_type;
    size_t rows, columns, target_stride, source_stride;
    const float *factor;
};

/* target = source, number by number. Exact, so it is the same bytes on every processor:
 * target_type F32, source_type F32, F16, BF16, F8_E4M3 or F8_E5M2; or target_type BF16 and source_type BF16 or a float8. */
struct kernel_convert {
    void *target;
    const void *source;
    enum dtype target_type, source_type;
    size_t count;
};

/* target = row + position, rows of embedding tables as they are stored (kernel_convert's types). position may be NULL. */
struct kernel_lookup {
    void *target;
    const void *row, *position;
    enum dtype target_type, row_type, position_type;
};

/* What a tile of tiled_conv.h is: 2x2 outputs of 4x4 inputs, 16 points; 4x4 outputs of 6x6, 36 points;
 * 2x2 outputs of an upsampled map, 4 points of 2x2 inputs each, which count as 16 combined taps; or 4x4 outputs
 * of an upsampled map, 25 points of the 4x4 inputs before upsampling. */
enum kernel_tiles {
    TILES_WINOGRAD_2,
    TILES_WINOGRAD_4,
    TILES_ENLARGING,
    TILES_ENLARGING_4
};
enum {
    TILE_MOST_POINTS = 36,
    TILE_MOST_OUTPUTS = 16
};

/* The nine taps of 3x3 kernels, `count` numbers each, are combined. In each direction
 *     WINOGRAD_2  (a, (a + b + c) / 2, (a - b + c) / 2, c)
 *     WINOGRAD_4  (a / 4, -(a + b + c) / 6, -(a - b + c) / 6, (a + 2 b + 4 c) / 24,
 *                  (a - 2 b + 4 c) / 24, c)
 *     ENLARGING   (a, b + c, a + b, c), two for each output: those of output (y, x) go to
 *                 4 (2 y + x) and the three after
 *     ENLARGING_4 (a, (a + b + c) / 2, (a - b - c) / 2, (c - a - b) / 2, -c) */
struct kernel_taps {
    const void *taps[9];
    void *targets[TILE_MOST_POINTS];
    enum dtype type;        /* of the targets */
    enum dtype source_type; /* of the taps: as kernel_convert's */
    size_t count;
    enum kernel_tiles tiles;
    int32_t
        row; /* not ENLARGING: the points of this row alone, to the first targets; -1: all */
};

/* Winograd's B^T d B of 4x4 (WINOGRAD_2, ENLARGING_4) or 6x6 pixels, channel by channel. Channels are stored in chunks of `chunk` (a
 * multiple of 16, or all): point p of channel c goes to
 *     target[p * step + c / chunk * chunk_step + c % chunk].
 * That of 4x4 only adds, so that every processor gives the same bits. */
struct kernel_winograd_input {
    const void *pixels[TILE_MOST_POINTS]; /* NULL: padding, zeros */
    void *target;
    enum dtype type; /* of both */
    enum kernel_tiles tiles;
    size_t channels, step, chunk, chunk_step;
    size_t
        ahead; /* bytes from a pixel to that of the next tile, which is fetched meanwhile; it may not exist */
};

/* pixels = bias + residual + what products made for 2x2 or 4x4 pixels: point p of channel c is
 * source[p * step + c], float32. ENLARGING: point k is pixel k; else A^T m A of the points. A
 * residual may be the pixel itself. */
struct kernel_tile_output {
    const float *source;
    const float *bias; /* may be NULL */
    size_t channels, step;
    void *pixels[TILE_MOST_OUTPUTS];         /* NULL: not wanted */
    const void *residual[TILE_MOST_OUTPUTS]; /* NULL: none */
    enum dtype target_type, residual_type;
    enum kernel_tiles tiles;
};

/* result[row][out] = the sum over `in` of source[row][in] * operand[in][out] (+ bias[out]) (+ add[row][out]), in float32.
 * Inputs are counted in words of 32 bits, as of kernel_attend: of bfloat16 (a table with multiplies_bf16) two inputs of an
 * output are one. Outputs: a multiple of 16. Strides from row to row in words, of the result in its numbers; add has the
 * result's, and may be the result. A sum is made in the order of the inputs, and then the others are added, in that
 * order: it depends neither on the number of rows nor on that of outputs. It is rounded once, at the end. */
struct kernel_multiply {
    const void *source, *operand;
    const float *bias; /* may be NULL */
    const void *add;   /* of the result's type; may be NULL */
    void *result;
    enum dtype type;        /* of source and operand */
    enum dtype result_type; /* F32; or BF16 where the other is */
    size_t rows, inputs, outputs;
    size_t source_stride, operand_stride, result_stride;
    const void
        *ahead; /* what is read next, and comes from outer caches: fetched meanwhile */
    size_t ahead_bytes;
};

/* The numbers of `count` lines as `multiply` reads them fastest: [strip][line][multiply_width], float32. Lines are dense,
 * of a width that is a multiple of the strips', and of any of kernel_convert's types. */
struct kernel_strips {
    const void *lines;
    float *strips;
    enum dtype type;
    size_t count, width;
};

/* Between lines of a packed weight (layout.h) and rows of float32 numbers: line i, `width` numbers, is row i;
 * `paired` (bfloat16): line i holds rows 2 i and 2 i + 1, side by side. Steps in elements. Lines are written in F32 or
 * BF16, and read in any of kernel_convert's types. */
struct kernel_lines {
    void *lines;
    float *tile;
    enum dtype type;
    bool paired;
    size_t line_count, line_step, tile_step, width;
};

struct grid_lines;
struct grid_scales;
struct kernels {
    const char *name;
    void (*finish)(const struct kernel_finish *arguments, size_t count);
    void (*gate)(const struct kernel_gate *arguments, size_t count);
    void (*affine)(const struct kernel_affine *arguments);
    /* Mean and sum of squared differences from it, for each channel of pixels [pixels][c]. */
    void (*channel_stats)(const void *pixels, enum dtype type, size_t pixel_count,
                          size_t c, float *mean, float *squares);
    void (*layer_norm)(const struct kernel_layer_norm *arguments);
    void (*softmax)(const struct kernel_softmax *arguments);
    void (*attend)(const struct kernel_attend *arguments);
    size_t attend_width, attend_unit;
    bool multiplies_bf16; /* attend and multiply take bfloat16 */
    void (*turn)(const struct kernel_turn *arguments);
    void (*convert)(const struct kernel_convert *arguments);
    void (*grid_lines)(const struct grid_lines *arguments); /* grid.h */
    void (*grid_scales)(const struct grid_scales *arguments);
    void (*lookup)(const struct kernel_lookup *arguments, size_t count);
    void (*combine_taps)(const struct kernel_taps *arguments);
    void (*winograd_input)(const struct kernel_winograd_input *arguments);
    void (*tile_output)(const struct kernel_tile_output *arguments);
    void (*multiply)(const struct kernel_multiply *arguments);
    /* Outputs whose operand `multiply` reads at a time; 0 where the library's GEMM is faster (product_own.c). */
    size_t multiply_width;
    void (*cut_strips)(const struct kernel_strips *arguments);
    void (*read_lines)(const struct kernel_lines *arguments);
    void (*write_lines)(const struct kernel_lines *arguments);
};

/* The best table for this processor within what the library itself may use. */
const struct kernels *kernels_choose(void);

/* All tables that this processor can run, best first, ended by NULL: for tests. */
const struct kernels *const *kernels_all(void);

#endif
