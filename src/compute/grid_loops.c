/* grid.h's loop. Compiled once for each kind of processor, as kernel_loops.c is, but without -ffp-contract=fast: a q + b
 * is two roundings, as the reference has it. Loops have a fixed length, so that the compiler makes vectors of
 * them. */
#include <string.h>

#include "compute/grid.h"

enum {
    STEP = 64
};

void GRID_LINES(const struct grid_lines *arguments);
void GRID_SCALES(const struct grid_scales *arguments);

static inline __attribute__((always_inline)) uint16_t narrow(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/* 64 numbers from `at` on. */
static inline __attribute__((always_inline)) void finish(const struct grid_lines *g,
                                                         const float *restrict values,
                                                         size_t at)
{
    if (g->type == DTYPE_F32) {
        memcpy((float *)g->target + at, values, STEP * sizeof *values);
        return;
    }
    uint16_t *const restrict target = (uint16_t *)g->target + at;
    for (int i = 0; i < STEP; ++i)
        target[i] = narrow(values[i]);
}

static inline __attribute__((always_inline)) void scale(const struct grid_lines *g,
                                                        const int8_t *restrict q,
                                                        size_t at, size_t place,
                                                        bool has_least)
{
    const float *const restrict a = g->a + place;
    float values[STEP];
    for (int i = 0; i < STEP; ++i)
        values[i] = a[i] * (float)q[i];
    if (has_least) {
        const float *const restrict b = g->b + place;
        for (int i = 0; i < STEP; ++i)
            values[i] += b[i];
    }
    finish(g, values, at);
}

static inline __attribute__((always_inline)) void octets(const struct grid_lines *g)
{
    const int8_t *const q = g->q;
    for (size_t at = 0; at < g->n * g->lines; at += STEP)
        scale(g, q + at, at, at % g->n, false);
}

/* 16 numbers of a line, a byte each. */
typedef uint64_t lane __attribute__((vector_size(16)));
typedef uint8_t lane_bytes __attribute__((vector_size(16)));
enum {
    LANE = sizeof(lane),
    SOME = 16
};

/* Numbers `at` to at + 15 of a part (grid.h) of `width` bits. A shift of words moves bits from byte to byte, which the
 * mask takes away. All but the pointer are constants once this is inlined. */
static inline __attribute__((always_inline)) lane part_of(const uint8_t *from, size_t n,
                                                          int width, size_t at)
{
    const size_t bytes = n * (size_t)width / 8;
    const uint64_t mask = UINT64_C(0x0101010101010101) * ((1U << width) - 1U);
    lane bits;
    if (bytes >= LANE) {
        memcpy(&bits, from + at % bytes, LANE);
        bits >>= (uint64_t)(at / bytes) * (uint64_t)width;
    } else { /* 8 bytes, of single bits */
        uint64_t word;
        memcpy(&word, from, sizeof word);
        bits = (lane){word >> at / 8, word >> (at / 8 + 1)};
    }
    return bits & mask;
}

static inline __attribute__((always_inline)) void take_line(const uint8_t *from,
                                                            int8_t *q, size_t n,
                                                            int bits, uint8_t offset)
{
    const int first = bits >= 4 ? 4 : 2, second = bits - first;
    const uint8_t *const rest = from + n * (size_t)first / 8;
#pragma GCC unroll 8
    for (size_t at = 0; at < n; at += LANE) {
        lane numbers = part_of(from, n, first, at);
        if (second > 0) numbers |= part_of(rest, n, second, at) << first;
        const lane_bytes bytes = (lane_bytes)numbers - offset;
        memcpy(q + at, &bytes, LANE);
    }
}

/* Some lines are taken before they are scaled: a load of what was just stored in other pieces has to wait. */
static inline __attribute__((always_inline)) void lines_of(const struct grid_lines *g,
                                                           size_t n, int bits)
{
    int8_t q[SOME * 2 * STEP];
    for (size_t first = 0; first < g->lines; first += SOME) {
        const size_t left = g->lines - first, some = left < SOME ? left : SOME;
        for (size_t line = 0; line < some; ++line)
            take_line((const uint8_t *)g->q + (first + line) * n * (size_t)bits / 8,
                      q + line * n, n, bits, (uint8_t)g->offset);
        for (size_t at = 0; at < some * n; at += STEP)
            if (g->b)
                scale(g, q + at, first * n + at, at % n, true);
            else
                scale(g, q + at, first * n + at, at % n, false);
    }
}

static inline __attribute__((always_inline)) void parts(const struct grid_lines *g,
                                                        int bits)
{
    if (g->n == STEP)
        lines_of(g, STEP, bits);
    else
        lines_of(g, 2 * STEP, bits);
}

void GRID_LINES(const struct grid_lines *arguments)
{
    const struct grid_lines g = *arguments;
    switch (g.bits) {
    case 8: octets(&g); break;
    case 6: parts(&g, 6); break;
    case 5: parts(&g, 5); break;
    case 4: parts(&g, 4); break;
    case 3: parts(&g, 3); break;
    default: parts(&g, 2); break;
    }
}

static inline __attribute__((always_inline)) void put_scales(
    const struct grid_scales *g, size_t step, bool has_factors, bool is_tight)
{
    float *const restrict target = g->target;
    const int shift = g->shift;
    const uint8_t enough = g->enough;
    for (size_t i = 0; i < STEP; ++i) {
        float value = g->units[i];
        if (has_factors) {
            const float factor = is_tight ? (float)(g->factors[i] >> shift & 15)
                                          : (float)(int8_t)g->factors[i];
            value = g->phases[i] >= enough ? g->next[i] : value;
            value *= factor;
        }
        target[i * step] = value;
    }
}

static inline __attribute__((always_inline)) void put_scales_of(
    const struct grid_scales *g, size_t step)
{
    if (!g->factors)
        put_scales(g, step, false, false);
    else if (g->is_tight)
        put_scales(g, step, true, true);
    else
        put_scales(g, step, true, false);
}

void GRID_SCALES(const struct grid_scales *arguments)
{
    const struct grid_scales g = *arguments;
    if (g.step == 1)
        put_scales_of(&g, 1);
    else
        put_scales_of(&g, 2);
}
