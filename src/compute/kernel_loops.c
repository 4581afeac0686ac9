/* One source, compiled for each kind of processor with another KERNELS_TABLE (meson.build).
 *
 * Compiled with -ffp-contract=fast: a*b+c is one rounding where the processor can. Nothing
 * here needs the order of operations changed, so -ffast-math stays off and NaN stays NaN.
 *
 * Inner loops are inline functions with the types as arguments; the usual types are given as
 * constants, which removes the branches, all others as they come.
 */
#include <math.h>

#include "compute/kernel_attend.h"
#include "compute/kernel_lanes.h"
#include "compute/kernel_tiles.h"
#include "compute/kernels.h"

/* The table's name is the macro's value; the declaration satisfies -Wmissing-... */
extern const struct kernels KERNELS_TABLE;

/* ---- element by element ------------------------------------------------------------- */

INLINE void finish_some(const struct kernel_finish *a, size_t at, size_t count)
{
    floats x = load_some(a->source, a->source_type, at, count);
    x = activate(x, a->activation, a->target_type);
    if (a->multiply) x *= load_some(a->multiply, a->multiply_type, at, count);
    if (a->residual) x += load_some(a->residual, a->residual_type, at, count);
    store_some(a->target, a->target_type, at, x, count);
}

static void finish(const struct kernel_finish *arguments, size_t count)
{
    const struct kernel_finish a = *arguments;
    size_t at = 0;
    for (; at + LANES <= count; at += LANES)
        finish_some(&a, at, LANES);
    if (at < count) finish_some(&a, at, count - at);
}

INLINE void gate_some(const struct kernel_gate *a, enum dtype to, enum dtype from,
                      size_t at, size_t vectors, size_t count)
{
    floats x[GELU_VECTORS];
    for (size_t v = 0; v < vectors; ++v)
        x[v] = load_some(a->gate, from, at + v * LANES, count);
    gelu_some(x, vectors, to);
    for (size_t v = 0; v < vectors; ++v) {
        const floats value = load_some(a->value, from, at + v * LANES, count);
        store_some(a->target, to, at + v * LANES, value * x[v], count);
    }
}

INLINE void gate_all(const struct kernel_gate *a, enum dtype to, enum dtype from,
                     size_t count)
{
    const size_t wide = GELU_VECTORS * LANES;
    size_t at = 0;
    for (; at + wide <= count; at += wide)
        gate_some(a, to, from, at, GELU_VECTORS, LANES);
    for (; at + LANES <= count; at += LANES)
        gate_some(a, to, from, at, 1, LANES);
    if (at < count) gate_some(a, to, from, at, 1, count - at);
}

static void gate(const struct kernel_gate *arguments, size_t count)
{
    const struct kernel_gate a = *arguments;
    if (a.source_type == DTYPE_F32 && a.target_type == DTYPE_BF16)
        gate_all(&a, DTYPE_BF16, DTYPE_F32, count);
    else if (a.source_type == DTYPE_F32 && a.target_type == DTYPE_F32)
        gate_all(&a, DTYPE_F32, DTYPE_F32, count);
    else
        gate_all(&a, a.target_type, a.source_type, count);
}

INLINE void affine_some(const struct kernel_affine *a, enum dtype to, enum dtype from,
                        bool silu, size_t source, size_t target, size_t i, size_t count)
{
    floats x = load_some(a->source, from, source + i, count);
    x = x * load_some(a->scale, DTYPE_F32, i, count) +
        load_some(a->offset, DTYPE_F32, i, count);
    if (silu) x = swish(x, 1.0f, to);
    store_some(a->target, to, target + i, x, count);
}

INLINE void affine_all(const struct kernel_affine *a, enum dtype to, enum dtype from,
                       bool silu)
{
    for (size_t pixel = 0; pixel < a->pixels; ++pixel) {
        const size_t source = pixel * a->source_stride,
                     target = pixel * a->target_stride;
        size_t i = 0;
        for (; i + LANES <= a->channels; i += LANES)
            affine_some(a, to, from, silu, source, target, i, LANES);
        if (i < a->channels)
            affine_some(a, to, from, silu, source, target, i, a->channels - i);
    }
}

static void affine(const struct kernel_affine *arguments)
{
    const struct kernel_affine a = *arguments;
    const bool bf16 = a.source_type == DTYPE_BF16 && a.target_type == DTYPE_BF16;
    if (bf16 && a.silu)
        affine_all(&a, DTYPE_BF16, DTYPE_BF16, true);
    else if (bf16)
        affine_all(&a, DTYPE_BF16, DTYPE_BF16, false);
    else
        affine_all(&a, a.target_type, a.source_type, a.silu);
}

/* ---- norms -------------------------------------------------------------------------- */

/* Two passes over a block of channels, so that no large mean hides a small spread. The first
 * reads from memory, the second from the cache. What the second finds left of the mean is the
 * first one's rounding error, and is taken out of both results. */
INLINE void stats_of(const void *pixels, enum dtype type, size_t pixel_count, size_t c,
                     size_t first, size_t vectors, size_t rest, float *mean,
                     float *squares)
{
    const float share = 1.0f / (float)pixel_count;
    floats sum[4] = {{0}}, left[4] = {{0}}, spread[4] = {{0}};
    for (size_t p = 0; p < pixel_count; ++p)
        for (size_t v = 0; v < vectors; ++v)
            sum[v] += load_some(pixels, type, p * c + first + v * LANES, rest);
    for (size_t v = 0; v < vectors; ++v)
        sum[v] *= share;
    for (size_t p = 0; p < pixel_count; ++p)
        for (size_t v = 0; v < vectors; ++v) {
            const floats x = load_some(pixels, type, p * c + first + v * LANES, rest);
            const floats away = x - sum[v];
            left[v] += away;
            spread[v] += away * away;
        }
    for (size_t v = 0; v < vectors; ++v) {
        spread[v] -= left[v] * left[v] * share;
        store_some(mean, DTYPE_F32, first + v * LANES, sum[v] + left[v] * share, rest);
        store_some(squares, DTYPE_F32, first + v * LANES, spread[v], rest);
    }
}

INLINE void stats_all(const void *pixels, enum dtype type, size_t pixel_count, size_t c,
                      float *mean, float *squares)
{
    size_t first = 0;
    for (; first + 4 * LANES <= c; first += 4 * LANES)
        stats_of(pixels, type, pixel_count, c, first, 4, LANES, mean, squares);
    for (; first + LANES <= c; first += LANES)
        stats_of(pixels, type, pixel_count, c, first, 1, LANES, mean, squares);
    if (first < c)
        stats_of(pixels, type, pixel_count, c, first, 1, c - first, mean, squares);
}

static void channel_stats(const void *pixels, enum dtype type, size_t pixel_count,
                          size_t c, float *mean, float *squares)
{
    if (type == DTYPE_BF16)
        stats_all(pixels, DTYPE_BF16, pixel_count, c, mean, squares);
    else
        stats_all(pixels, DTYPE_F32, pixel_count, c, mean, squares);
}

INLINE float row_sum(const void *row, enum dtype type, size_t at, size_t c)
{
    floats sum = {0};
    size_t i = 0;
    for (; i + LANES <= c; i += LANES)
        sum += load(row, type, at + i);
    if (i < c) sum += load_part(row, type, at + i, c - i);
    return sum_lanes(sum);
}

INLINE float row_spread(const void *row, enum dtype type, size_t at, size_t c,
                        float mean)
{
    floats sum = {0};
    size_t i = 0;
    for (; i + LANES <= c; i += LANES) {
        const floats away = load(row, type, at + i) - mean;
        sum += away * away;
    }
    float total = sum_lanes(sum);
    if (i < c) {
        float part[LANES];
        store(part, DTYPE_F32, 0, load_part(row, type, at + i, c - i) - mean);
        for (size_t k = 0; k < c - i; ++k)
            total += part[k] * part[k];
    }
    return total;
}

INLINE void norm_some(const struct kernel_layer_norm *a, enum dtype to, enum dtype from,
                      size_t at, size_t i, size_t count, float mean, float by)
{
    const floats x = load_some(a->source, from, at + i, count);
    const floats y = (x - mean) * by * load_some(a->scale, DTYPE_F32, i, count) +
                     load_some(a->bias, DTYPE_F32, i, count);
    store_some(a->target, to, at + i, y, count);
}

INLINE void norm_rows(const struct kernel_layer_norm *a, enum dtype to, enum dtype from)
{
    for (size_t row = 0; row < a->rows; ++row) {
        const size_t at = row * a->c;
        const float mean = row_sum(a->source, from, at, a->c) / (float)a->c;
        const float spread = row_spread(a->source, from, at, a->c, mean);
        const float by = 1.0f / sqrtf(spread / (float)a->c + a->epsilon);
        size_t i = 0;
        for (; i + LANES <= a->c; i += LANES)
            norm_some(a, to, from, at, i, LANES, mean, by);
        if (i < a->c) norm_some(a, to, from, at, i, a->c - i, mean, by);
    }
}

static void layer_norm(const struct kernel_layer_norm *arguments)
{
    const struct kernel_layer_norm a = *arguments;
    if (a.source_type == DTYPE_BF16 && a.target_type == DTYPE_BF16)
        norm_rows(&a, DTYPE_BF16, DTYPE_BF16);
    else
        norm_rows(&a, a.target_type, a.source_type);
}

/* ---- attention ---------------------------------------------------------------------- */

/* Up to 4 vectors of queries at a time: their chains of operations overlap. */
#define MOST_VECTORS 4

/* A vector of queries and one block of keys; sees: how many of the keys each sees. */
struct columns {
    floats peak, total, shift, sees;
};

INLINE void find_peaks(const struct kernel_softmax *a, struct columns *c, size_t query,
                       size_t vectors, bool causal)
{
    const size_t seen = (size_t)a->seen;
    for (size_t k = 0; k < seen; ++k)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; ++v) {
            floats x = load(a->scores, DTYPE_F32, k * a->queries + query + v * LANES);
            if (causal) x = select(all((float)k) < c[v].sees, x, c[v].peak);
            c[v].peak = larger(x, c[v].peak);
        }
}

/* What was summed relative to an older, lower peak shrinks. */
INLINE void shrink(const struct kernel_softmax *a, struct columns *c, size_t query)
{
    const floats before = load(a->peak, DTYPE_F32, query);
    const ints grown = c->peak > before;
    if (!any_lane(grown)) return;
    const floats less = larger(all(-126.0f), (before - c->peak) * a->factor);
    const floats by = select(grown, exponential2(less, DTYPE_F32), all(1.0f));
    c->total *= by;
    for (size_t i = 0; i < a->dim; ++i) {
        const size_t at = i * a->queries + query;
        store(a->sums, DTYPE_F32, at, load(a->sums, DTYPE_F32, at) * by);
    }
    store(a->peak, DTYPE_F32, query, c->peak);
}

INLINE floats probability_of(const struct kernel_softmax *a, struct columns *c,
                             size_t k, size_t query, bool causal)
{
    const floats x = load(a->scores, DTYPE_F32, k * a->queries + query);
    floats p = fading(x * a->factor - c->shift, DTYPE_BF16);
    if (causal) p = select(all((float)k) < c->sees, p, all(0));
    c->total += p;
    return p;
}

/* Keys k and k + 1 where paired (the second may not exist), else k alone. */
INLINE void weigh_key(const struct kernel_softmax *a, struct columns *c, size_t k,
                      size_t query, size_t at, bool paired, bool causal)
{
    const size_t seen = (size_t)a->seen;
    const floats even = k < seen ? probability_of(a, c, k, query, causal) : all(0);
    if (!paired) {
        store(a->probabilities, DTYPE_BF16, at, even);
        return;
    }
    const floats odd =
        k + 1 < seen ? probability_of(a, c, k + 1, query, causal) : all(0);
    store_pair(a->probabilities, at, even, odd);
}

INLINE void weigh(const struct kernel_softmax *a, struct columns *c, size_t query,
                  size_t vectors, bool paired, bool causal)
{
    const size_t step = paired ? 2 : 1;
    const size_t base =
        query / a->panel_queries * a->panel_step + query % a->panel_queries * step;
    for (size_t k = 0; k < a->keys; k += step)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; ++v)
            weigh_key(a, &c[v], k, query + v * LANES,
                      base + k / step * a->key_step + v * LANES * step, paired, causal);
}

INLINE void soften(const struct kernel_softmax *a, size_t query, size_t vectors,
                   bool paired, bool causal)
{
    struct columns c[MOST_VECTORS];
    for (size_t v = 0; v < vectors; ++v) {
        const size_t at = query + v * LANES;
        c[v].peak = load(a->peak, DTYPE_F32, at);
        c[v].total = load(a->total, DTYPE_F32, at);
        c[v].sees = lane_numbers() + (float)(a->first_seen + (int32_t)at);
    }
    find_peaks(a, c, query, vectors, causal);
    for (size_t v = 0; v < vectors; ++v) {
        shrink(a, &c[v], query + v * LANES);
        c[v].shift = c[v].peak * a->factor;
    }
    weigh(a, c, query, vectors, paired, causal);
    for (size_t v = 0; v < vectors; ++v)
        store(a->total, DTYPE_F32, query + v * LANES, c[v].total);
}

INLINE void soften_all(const struct kernel_softmax *a, bool paired, bool causal)
{
    const size_t wide = MOST_VECTORS * LANES;
    size_t query = 0;
    if (a->panel_queries % wide == 0)
        for (; query + wide <= a->queries; query += wide)
            soften(a, query, MOST_VECTORS, paired, causal);
    for (; query < a->queries; query += LANES)
        soften(a, query, 1, paired, causal);
}

static void softmax(const struct kernel_softmax *arguments)
{
    const struct kernel_softmax a = *arguments;
    if (a.paired && !a.causal)
        soften_all(&a, true, false);
    else
        soften_all(&a, a.paired, a.causal);
}

/* ---- transposing -------------------------------------------------------------------- */

INLINE void turn_some(const struct kernel_turn *a, enum dtype to, enum dtype from,
                      size_t row, size_t column, size_t row_count, size_t column_count)
{
    floats rows[LANES];
    for (size_t i = 0; i < LANES; ++i) {
        rows[i] = all(0);
        if (i >= row_count) continue;
        const void *const line =
            (const unsigned char *)a->source + (row + i) * a->source_stride;
        rows[i] = load_some(line, from, column, column_count);
        if (a->factor) rows[i] *= load_some(a->factor, DTYPE_F32, column, column_count);
    }
    turn_block(rows);
    for (size_t i = 0; i < LANES && i < column_count; ++i) {
        void *const line = (unsigned char *)a->target + (column + i) * a->target_stride;
        store_some(line, to, row, rows[i], row_count);
    }
}

/* Where a block begins: the last one earlier rather than being a part, so that some numbers are written twice. */
INLINE size_t block_start(size_t at, size_t count)
{
    return at + LANES > count && count >= LANES ? count - LANES : at;
}

INLINE void turn_all(const struct kernel_turn *a, enum dtype to, enum dtype from)
{
    for (size_t i = 0; i < a->rows; i += LANES) {
        const size_t row = block_start(i, a->rows);
        for (size_t k = 0; k < a->columns; k += LANES) {
            const size_t column = block_start(k, a->columns);
            if (row + LANES <= a->rows && column + LANES <= a->columns)
                turn_some(a, to, from, row, column, LANES, LANES);
            else
                turn_some(a, to, from, row, column, a->rows - row, a->columns - column);
        }
    }
}

static void turn(const struct kernel_turn *arguments)
{
    const struct kernel_turn a = *arguments;
    if (a.source_type == DTYPE_F32 && a.target_type == DTYPE_F32)
        turn_all(&a, DTYPE_F32, DTYPE_F32);
    else if (a.source_type == DTYPE_F32 && a.target_type == DTYPE_BF16)
        turn_all(&a, DTYPE_BF16, DTYPE_F32);
    else
        turn_all(&a, a.target_type, a.source_type);
}

/* ---- stored weights ----------------------------------------------------------------- */

INLINE void convert_all(const struct kernel_convert *a, enum dtype to, enum dtype from)
{
    size_t at = 0;
    for (; at + 4 * LANES <= a->count; at += 4 * LANES)
        for (size_t i = 0; i < 4 * LANES; i += LANES)
            store(a->target, to, at + i, load_stored(a->source, from, at + i));
    for (; at < a->count; at += LANES) {
        const size_t left = a->count - at;
        store_some(a->target, to, at, load_stored_some(a->source, from, at, left),
                   left);
    }
}

static void convert(const struct kernel_convert *arguments)
{
    const struct kernel_convert a = *arguments;
    if (a.target_type == DTYPE_F32 && a.source_type == DTYPE_F16)
        convert_all(&a, DTYPE_F32, DTYPE_F16);
    else if (a.target_type == DTYPE_F32 && a.source_type == DTYPE_BF16)
        convert_all(&a, DTYPE_F32, DTYPE_BF16);
    else if (a.target_type == DTYPE_F32 && a.source_type == DTYPE_F8_E4M3)
        convert_all(&a, DTYPE_F32, DTYPE_F8_E4M3);
    else if (a.target_type == DTYPE_BF16 && a.source_type == DTYPE_F8_E4M3)
        convert_all(&a, DTYPE_BF16, DTYPE_F8_E4M3);
    else
        convert_all(&a, a.target_type, a.source_type);
}

static void lookup(const struct kernel_lookup *arguments, size_t count)
{
    const struct kernel_lookup a = *arguments;
    for (size_t at = 0; at < count; at += LANES) {
        const size_t left = count - at;
        floats x = load_stored_some(a.row, a.row_type, at, left);
        if (a.position) x += load_stored_some(a.position, a.position_type, at, left);
        store_some(a.target, a.target_type, at, x, left);
    }
}

/* ---- lines of packed weights --------------------------------------------------------- */

static void read_lines(const struct kernel_lines *arguments)
{
    const struct kernel_lines a = *arguments;
    for (size_t line = 0; line < a.line_count; ++line) {
        const size_t from = line * a.line_step;
        float *const row = a.tile + line * a.tile_step * (a.paired ? 2 : 1);
        size_t i = 0;
        for (; !a.paired && i + LANES <= a.width; i += LANES)
            store(row, DTYPE_F32, i, load_stored(a.lines, a.type, from + i));
        if (!a.paired && i < a.width)
            store_part(row, DTYPE_F32, i,
                       load_stored_some(a.lines, a.type, from + i, a.width - i),
                       a.width - i);
        const uint16_t *const pairs = (const uint16_t *)a.lines + from;
        for (; a.paired && i + LANES <= a.width; i += LANES) {
            words both;
            memcpy(&both, pairs + 2 * i, sizeof both);
            store(row, DTYPE_F32, i, (floats)(both << 16));
            store(row + a.tile_step, DTYPE_F32, i, (floats)(both & 0xFFFF0000U));
        }
        for (; a.paired && i < a.width; ++i) {
            const uint32_t even = (uint32_t)pairs[2 * i] << 16,
                           odd = (uint32_t)pairs[2 * i + 1] << 16;
            memcpy(row + i, &even, sizeof even);
            memcpy(row + a.tile_step + i, &odd, sizeof odd);
        }
    }
}

static void write_lines(const struct kernel_lines *arguments)
{
    const struct kernel_lines a = *arguments;
    for (size_t line = 0; line < a.line_count; ++line) {
        const size_t to = line * a.line_step;
        const float *const row = a.tile + line * a.tile_step * (a.paired ? 2 : 1);
        size_t i = 0;
        for (; !a.paired && i + LANES <= a.width; i += LANES)
            store(a.lines, a.type, to + i, load(row, DTYPE_F32, i));
        if (!a.paired && i < a.width)
            store_part(a.lines, a.type, to + i,
                       load_part(row, DTYPE_F32, i, a.width - i), a.width - i);
        for (; a.paired && i + LANES <= a.width; i += LANES)
            store_pair(a.lines, to + 2 * i, load(row, DTYPE_F32, i),
                       load(row + a.tile_step, DTYPE_F32, i));
        for (; a.paired && i < a.width; ++i) {
            store_part(a.lines, a.type, to + 2 * i, load_part(row, DTYPE_F32, i, 1), 1);
            store_part(a.lines, a.type, to + 2 * i + 1,
                       load_part(row + a.tile_step, DTYPE_F32, i, 1), 1);
        }
    }
}

/* grid_loops.c, for the same processors */
void GRID_LINES(const struct grid_lines *arguments);
void GRID_SCALES(const struct grid_scales *arguments);

#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)

const struct kernels KERNELS_TABLE = {
    .name = NAME_OF(KERNELS_TABLE),
    .finish = finish,
    .gate = gate,
    .affine = affine,
    .channel_stats = channel_stats,
    .layer_norm = layer_norm,
    .softmax = softmax,
    .attend = attend,
    .attend_width = ATTEND_WIDTH,
    .attend_unit = ATTEND_UNIT,
#ifdef __AVX512BF16__
    .multiplies_bf16 = true,
#endif
    .turn = turn,
    .convert = convert,
    .grid_lines = GRID_LINES,
    .grid_scales = GRID_SCALES,
    .lookup = lookup,
    .combine_taps = combine_taps,
    .winograd_input = winograd_input,
    .tile_output = tile_output,
    .multiply = multiply,
    .multiply_width = LANES >= 8 ? STRIP : 0, /* where it was measured */
    .cut_strips = cut_strips,
    .read_lines = read_lines,
    .write_lines = write_lines,
};
