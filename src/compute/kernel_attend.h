/* kernel_attend — attention of a block of queries to a block of keys; scores stay in registers and the first cache.
 *
 * A part of kernel_loops.c, which is compiled for each kind of processor. For a panel of queries:
 *
 *     scores          tiles of keys x the panel, in registers
 *     probabilities   made of a tile while the next one's products begin
 *     sums            tiles of dimensions x probabilities
 *
 * Everything counts in words of 32 bits: one float32 number, or two of bfloat16 that are multiplied by one instruction. A
 * tile is ATTEND_UNIT times 4, 5 or 6 rows: as many sums as registers hold beside what they are made of, and three
 * sizes, so that little of 40, 64, 77, 80 or 160 is wasted.
 */
#ifndef COMPUTE_KERNEL_ATTEND_H
#define COMPUTE_KERNEL_ATTEND_H

#include <math.h>

#include "compute/kernel_lanes.h"
#include "compute/kernels.h"

#define ATTEND_VECTORS 2
#define ATTEND_WIDTH   (ATTEND_VECTORS * LANES)
#if LANES == 16 || defined(__aarch64__)
#define ATTEND_UNIT 2 /* 32 registers */
#else
#define ATTEND_UNIT 1
#endif
#define ATTEND_ROWS (6 * ATTEND_UNIT)
#define HIDDEN      (-1e30f) /* infinity would become NaN */

/* Probabilities are 2^(score - reference). The reference is the largest score of the first tile of keys, and a block
 * with a score so far above it begins again with that. */
#define MARGIN 32.0f

/* What a panel's queries have found in the keys so far. */
struct attend_panel {
    floats reference[ATTEND_VECTORS], total[ATTEND_VECTORS];
    bool begins; /* it has seen no keys */
};

/* sums[row][vector] = the sum over `count` words of column[row] times the panel's vectors; columns are `step` apart. */
INLINE void multiply_tile(floats sums[ATTEND_ROWS][ATTEND_VECTORS],
                          const uint32_t *column, size_t step, const float *panel,
                          size_t count, size_t rows, enum dtype type)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < ATTEND_VECTORS; ++v)
            sums[i][v] = all(0);
    for (size_t k = 0; k < count; ++k) {
        floats b[ATTEND_VECTORS];
        for (size_t v = 0; v < ATTEND_VECTORS; ++v)
            b[v] = load(panel, DTYPE_F32, v * LANES);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; ++i)
            for (size_t v = 0; v < ATTEND_VECTORS; ++v)
                sums[i][v] = add_word(sums[i][v], column[i], b[v], type);
        column += step;
        panel += ATTEND_WIDTH;
    }
}

/* ---- probabilities ---- */

/* Keys that do not exist, and those that a query does not see, get a score that leaves nothing of them. */
INLINE void hide_keys(const struct kernel_attend *a,
                      floats scores[ATTEND_ROWS][ATTEND_VECTORS], size_t key,
                      size_t rows)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
            const int32_t first = (int32_t)(v * LANES) + a->first_seen;
            floats sees = all((float)a->seen);
            if (a->causal) sees = smaller(sees, lane_numbers() + (float)first);
            const ints is_seen = all((float)(key + i)) < sees;
            scores[i][v] = select(is_seen, scores[i][v], all(HIDDEN));
        }
}

/* A tile of scores to words of probabilities. */
INLINE void weigh_tile(floats scores[ATTEND_ROWS][ATTEND_VECTORS],
                       const floats shift[ATTEND_VECTORS], float factor,
                       floats total[ATTEND_VECTORS], float *target, size_t rows,
                       enum dtype type)
{
    const size_t each = type == DTYPE_BF16 ? 2 : 1;
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i += each)
        for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
            float *const word = target + i / each * ATTEND_WIDTH + v * LANES;
            const floats p = fading(scores[i][v] * factor - shift[v], type);
            if (type == DTYPE_BF16) {
                store_pair(word, 0, p,
                           fading(scores[i + 1][v] * factor - shift[v], type));
                total[v] =
                    add_word(total[v], 0x3F803F80, load(word, DTYPE_F32, 0), type);
            } else {
                store(word, DTYPE_F32, 0, p);
                total[v] += p;
            }
        }
}

/* The block's probabilities and their total; false where a score is too far above the reference, which is then higher. */
INLINE bool weigh_keys(const struct kernel_attend *a, struct attend_panel *p,
                       size_t rows, enum dtype type)
{
    const float factor = a->factor;
    const size_t each = type == DTYPE_BF16 ? 2 : 1;
    floats peak[ATTEND_VECTORS], shift[ATTEND_VECTORS], total[ATTEND_VECTORS];
    for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
        peak[v] = p->reference[v];
        shift[v] = p->reference[v] * factor;
        total[v] = all(0);
    }
    for (size_t key = 0; key < a->seen; key += rows) {
        floats scores[ATTEND_ROWS][ATTEND_VECTORS];
        multiply_tile(scores, (const uint32_t *)a->keys + key * a->dim_words, rows,
                      a->queries, a->dim_words, rows, type);
        if (a->causal || key + rows > a->seen) hide_keys(a, scores, key, rows);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; ++i)
            for (size_t v = 0; v < ATTEND_VECTORS; ++v)
                peak[v] = larger(scores[i][v], peak[v]);
        for (size_t v = 0; v < ATTEND_VECTORS && key == 0 && p->begins; ++v) {
            p->reference[v] = peak[v];
            shift[v] = peak[v] * factor;
        }
        weigh_tile(scores, shift, factor, total, a->scores + key / each * ATTEND_WIDTH,
                   rows, type);
    }
    ints above = {0};
    for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
        above |= (peak[v] - p->reference[v]) * factor > MARGIN;
    }
    if (any_lane(above)) {
        for (size_t v = 0; v < ATTEND_VECTORS; ++v)
            p->reference[v] = peak[v];
        return false;
    }
    for (size_t v = 0; v < ATTEND_VECTORS; ++v)
        p->total[v] += total[v];
    return true;
}

/* What was summed relative to an older, lower reference shrinks. */
INLINE void shrink_sums(const struct kernel_attend *a, struct attend_panel *p, size_t v,
                        floats before)
{
    const floats less = (before - p->reference[v]) * a->factor;
    const floats by = exponential2(larger(all(-126.0f), less), DTYPE_F32);
    p->total[v] *= by;
    for (size_t d = 0; d < a->dims && !p->begins; ++d) {
        float *const sum = a->sums + d * ATTEND_WIDTH + v * LANES;
        store(sum, DTYPE_F32, 0, load(sum, DTYPE_F32, 0) * by);
    }
}

INLINE void weigh_block(const struct kernel_attend *a, struct attend_panel *p,
                        size_t rows, enum dtype type)
{
    floats before[ATTEND_VECTORS];
    for (size_t v = 0; v < ATTEND_VECTORS; ++v)
        before[v] = p->reference[v];
    if (weigh_keys(a, p, rows, type)) return;
    for (size_t v = 0; v < ATTEND_VECTORS && !p->begins; ++v)
        shrink_sums(a, p, v, before[v]);
    struct attend_panel again = *p;
    again.begins = false;
    (void)weigh_keys(a, &again, rows, type);
    for (size_t v = 0; v < ATTEND_VECTORS; ++v)
        p->total[v] = again.total[v];
}

/* ---- values ---- */

INLINE void add_values(const struct kernel_attend *a, size_t rows, enum dtype type)
{
    const size_t count = type == DTYPE_BF16 ? (a->seen + 1) / 2 : a->seen;
    for (size_t dim = 0; dim < a->dims; dim += rows) {
        floats tile[ATTEND_ROWS][ATTEND_VECTORS];
        multiply_tile(tile, (const uint32_t *)a->values + dim / rows * a->tile_step,
                      rows, a->scores, count, rows, type);
        float *const sums = a->sums + dim * ATTEND_WIDTH;
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; ++i)
            for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
                const size_t at = i * ATTEND_WIDTH + v * LANES;
                const floats before = a->begins ? all(0) : load(sums, DTYPE_F32, at);
                store(sums, DTYPE_F32, at, before + tile[i][v]);
            }
    }
}

/* ---- a block ---- */

INLINE void attend_to(const struct kernel_attend *a, enum dtype type)
{
    struct attend_panel p = {.begins = a->begins};
    for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
        p.reference[v] =
            a->begins ? all(-INFINITY) : load(a->reference, DTYPE_F32, v * LANES);
        p.total[v] = a->begins ? all(0) : load(a->total, DTYPE_F32, v * LANES);
    }
    switch (a->key_rows / ATTEND_UNIT) {
    case 4: weigh_block(a, &p, 4 * ATTEND_UNIT, type); break;
    case 5: weigh_block(a, &p, 5 * ATTEND_UNIT, type); break;
    default: weigh_block(a, &p, 6 * ATTEND_UNIT, type); break;
    }
    switch (a->value_rows / ATTEND_UNIT) {
    case 4: add_values(a, 4 * ATTEND_UNIT, type); break;
    case 5: add_values(a, 5 * ATTEND_UNIT, type); break;
    default: add_values(a, 6 * ATTEND_UNIT, type); break;
    }
    for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
        store(a->reference, DTYPE_F32, v * LANES, p.reference[v]);
        store(a->total, DTYPE_F32, v * LANES, p.total[v]);
    }
}

static void attend(const struct kernel_attend *arguments)
{
    const struct kernel_attend a = *arguments;
#ifdef __AVX512BF16__
    if (a.type == DTYPE_BF16) {
        attend_to(&a, DTYPE_BF16);
        return;
    }
#endif
    attend_to(&a, DTYPE_F32);
}

#endif
