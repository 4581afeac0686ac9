/* grid.h's loop. Compiled once for each kind of processor, as kernel_loops.c is, but without -ffp-contract=fast: a q + b
 * is two roundings, as the reference has it. Loops have a fixed length, so that the compiler makes vectors of
 * them. */
#include <string.h>

#include "compute/grid.h"

enum {
    STEP = 64
};

void GRID_LINES(const struct grid_lines *arguments);

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

static inline __attribute__((always_inline)) void octets(const struct grid_lines *g,
                                                         bool has_least)
{
    const int8_t *const q = g->q;
    for (size_t at = 0; at < g->n * g->lines; at += STEP)
        scale(g, q + at, at, at % g->n, has_least);
}

/* The low halves of a line's bytes are its first numbers, the high halves the others. */
static inline __attribute__((always_inline)) void nibbles(const struct grid_lines *g,
                                                          bool has_least)
{
    const size_t half = g->n / 2;
    for (size_t line = 0; line < g->lines; ++line) {
        const uint8_t *const restrict from = (const uint8_t *)g->q + line * half;
        const int8_t offset = (int8_t)g->offset;
        int8_t q[2 * STEP];
        for (size_t i = 0; i < half; i += STEP / 2)
            for (size_t k = 0; k < STEP / 2; ++k) {
                q[i + k] = (int8_t)((from[i + k] & 15) - offset);
                q[half + i + k] = (int8_t)((from[i + k] >> 4) - offset);
            }
        for (size_t i = 0; i < g->n; i += STEP)
            scale(g, q + i, line * g->n + i, i, has_least);
    }
}

void GRID_LINES(const struct grid_lines *arguments)
{
    const struct grid_lines g = *arguments;
    if (g.bits == 8 && !g.b)
        octets(&g, false);
    else if (g.bits == 8)
        octets(&g, true);
    else if (!g.b)
        nibbles(&g, false);
    else
        nibbles(&g, true);
}
