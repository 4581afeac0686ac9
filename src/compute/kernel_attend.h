/* kernel_attend — attention of a block of queries to a block of keys; scores stay in registers and the first cache.
 *
 * A part of kernel_loops.c, which is compiled for each kind of processor. For a panel of queries:
 *
 *     scores          tiles of keys x the panel, in registers
 *     probabilities   made of one tile, row by row, between the products of the next one
 *     sums            tiles of dimensions x probabilities
 *
 * Products keep the units that multiply busy, and leave those that add, shift and permute idle: so probabilities are
 * made with few multiplications, and beside products.
 *
 * Everything counts in words of 32 bits: one float32 number, or two of bfloat16 that are multiplied by one instruction. A
 * tile of values is ATTEND_UNIT times 4, 5 or 6 rows: as many sums as registers hold beside what they are made of. Of
 * keys there are two tiles of 4 or 6 rows, one of which may be in the first cache. There are several sizes so that little of 40, 64, 77, 80 or 160
 * is wasted.
 */
#ifndef COMPUTE_KERNEL_ATTEND_H
#define COMPUTE_KERNEL_ATTEND_H

#include <math.h>

#include "compute/kernel_lanes.h"
#include "compute/kernels.h"

#define ATTEND_VECTORS 2
#define ATTEND_WIDTH   (ATTEND_VECTORS * LANES)
#if LANES == 16 || defined(__aarch64__)
#define ATTEND_UNIT 2                        /* 32 registers: */
#define EACH_HELD   _Pragma("GCC unroll 16") /* they hold a tile of keys */
#else
#define ATTEND_UNIT 1
#define EACH_HELD   _Pragma("GCC unroll 1") /* the first cache does */
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

INLINE void clear_tile(floats sums[ATTEND_ROWS][ATTEND_VECTORS], size_t rows)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < ATTEND_VECTORS; ++v)
            sums[i][v] = all(0);
}

/* sums[row][vector] += over `count` words column[row] times the panel's vectors; columns are `rows` words. */
INLINE void add_products(floats sums[ATTEND_ROWS][ATTEND_VECTORS],
                         const uint32_t *column, const float *panel, size_t count,
                         size_t rows, enum dtype type)
{
#pragma GCC unroll 2
    for (size_t k = 0; k < count; ++k) {
        floats b[ATTEND_VECTORS];
        for (size_t v = 0; v < ATTEND_VECTORS; ++v)
            b[v] = load(panel, DTYPE_F32, v * LANES);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; ++i)
            for (size_t v = 0; v < ATTEND_VECTORS; ++v)
                sums[i][v] = add_word(sums[i][v], column[i], b[v], type);
        column += rows;
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

/* What probabilities are made with, and of: log2 of one is score * factor - shift. */
struct attend_weights {
    floats shift[ATTEND_VECTORS], total[ATTEND_VECTORS], peak[ATTEND_VECTORS];
    float factor;
    float *target; /* of the next word */
};

INLINE floats weight_of(const struct attend_weights *w, floats score, size_t v,
                        enum dtype type)
{
    const floats scaled = type == DTYPE_BF16 ? score * w->factor : score;
    return fading_weight(scaled - w->shift[v], type);
}

/* One word of probabilities for each query: of a row of scores, or of two. */
INLINE void weigh_word(struct attend_weights *w,
                       floats scores[ATTEND_ROWS][ATTEND_VECTORS], size_t row,
                       enum dtype type)
{
#pragma GCC unroll 16
    for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
        float *const word = w->target + v * LANES;
        const floats p = weight_of(w, scores[row][v], v, type);
        if (type == DTYPE_BF16) {
            store_pair(word, 0, p, weight_of(w, scores[row + 1][v], v, type));
            w->total[v] =
                add_word(w->total[v], 0x3F803F80, load(word, DTYPE_F32, 0), type);
        } else {
            store(word, DTYPE_F32, 0, p);
            w->total[v] += p;
        }
    }
    w->target += ATTEND_WIDTH;
}

/* The scores of a tile of keys; meanwhile the probabilities of the tile before. */
INLINE void score_tile(const struct kernel_attend *a, size_t key,
                       floats scores[ATTEND_ROWS][ATTEND_VECTORS],
                       floats before[ATTEND_ROWS][ATTEND_VECTORS],
                       struct attend_weights *w, size_t rows, enum dtype type)
{
    const size_t each = type == DTYPE_BF16 ? 2 : 1;
    const size_t step = a->dim_words / (rows / each);
    const uint32_t *column = (const uint32_t *)a->keys + key * a->dim_words;
    const float *panel = a->queries;
    clear_tile(scores, rows);
    EACH_HELD
    for (size_t i = 0; i < rows; i += each) {
        add_products(scores, column, panel, step, rows, type);
        column += step * rows;
        panel += step * ATTEND_WIDTH;
        weigh_word(w, before, i, type);
    }
    add_products(scores, column, panel, a->dim_words - step * (rows / each), rows,
                 type);
}

INLINE void begin_weights(const struct kernel_attend *a, const struct attend_panel *p,
                          struct attend_weights *w)
{
    w->target = a->scores;
    for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
        w->shift[v] = p->reference[v] * w->factor;
        w->total[v] = all(0);
    }
}

/* The block's probabilities and their total; false where a score is too far above the reference, which is then higher. */
INLINE bool weigh_keys(const struct kernel_attend *a, struct attend_panel *p,
                       size_t rows, enum dtype type)
{
    struct attend_weights w = {.factor = type == DTYPE_BF16 ? a->factor : 1.0f};
    floats scores[ATTEND_ROWS][ATTEND_VECTORS], before[ATTEND_ROWS][ATTEND_VECTORS];
    for (size_t v = 0; v < ATTEND_VECTORS; ++v)
        w.peak[v] = p->reference[v];
    clear_tile(before, rows);
    begin_weights(a, p, &w);
    for (size_t key = 0; key < a->seen; key += rows) {
        score_tile(a, key, scores, before, &w, rows, type);
        if (a->causal || key + rows > a->seen) hide_keys(a, scores, key, rows);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; ++i)
            for (size_t v = 0; v < ATTEND_VECTORS; ++v) {
                w.peak[v] = larger(scores[i][v], w.peak[v]);
                before[i][v] = scores[i][v];
            }
        if (key > 0) continue;
        /* There was no tile before the first: what was made of it is overwritten. */
        for (size_t v = 0; v < ATTEND_VECTORS && p->begins; ++v)
            p->reference[v] = w.peak[v];
        begin_weights(a, p, &w);
    }
    EACH_HELD
    for (size_t i = 0; i < rows; i += type == DTYPE_BF16 ? 2 : 1)
        weigh_word(&w, before, i, type);
    ints above = {0};
    for (size_t v = 0; v < ATTEND_VECTORS; ++v)
        above |= (w.peak[v] - p->reference[v]) * w.factor > MARGIN;
    if (any_lane(above)) {
        for (size_t v = 0; v < ATTEND_VECTORS; ++v)
            p->reference[v] = w.peak[v];
        return false;
    }
    for (size_t v = 0; v < ATTEND_VECTORS; ++v)
        p->total[v] += w.total[v];
    return true;
}

/* What was summed relative to an older, lower reference shrinks. */
INLINE void shrink_sums(const struct kernel_attend *a, struct attend_panel *p, size_t v,
                        floats before, enum dtype type)
{
    const float factor = type == DTYPE_BF16 ? a->factor : 1.0f;
    const floats less = (before - p->reference[v]) * factor;
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
        shrink_sums(a, p, v, before[v], type);
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
        clear_tile(tile, rows);
        add_products(tile, (const uint32_t *)a->values + dim / rows * a->tile_step,
                     a->scores, count, rows, type);
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
    if (a->key_rows == 4)
        weigh_block(a, &p, 4, type);
    else
        weigh_block(a, &p, 6, type);
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
