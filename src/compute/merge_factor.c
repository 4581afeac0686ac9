#include "compute/merge_factor.h"

#include <string.h>

float factor_number(const struct factor_matrix *matrix, size_t row, size_t column)
{
    const size_t at = row * matrix->columns + column;
    float number = 0;
    if (matrix->type == DTYPE_F32)
        return ((const float *)(const void *)matrix->data)[at];
    dtype_to_f32(matrix->data + at * dtype_bytes(matrix->type), matrix->type, &number,
                 1);
    return number;
}

static void read_line(const struct factor_matrix *matrix, size_t row, size_t column,
                      size_t count, float *line)
{
    const size_t at = row * matrix->columns + column;
    dtype_to_f32(matrix->data + at * dtype_bytes(matrix->type), matrix->type, line,
                 count);
}

/* Numbers of a line to places in `target`, step apart, in the weight's type. */
static void put_line(const float *line, int32_t count, enum dtype type, void *target,
                     size_t first, size_t step)
{
    if (type == DTYPE_F32) {
        float *const to = (float *)target + first;
        for (int32_t i = 0; i < count; ++i)
            to[(size_t)i * step] = line[i];
        return;
    }
    uint16_t *const to = (uint16_t *)target + first;
    uint16_t rounded[64];
    for (int32_t i = 0; i < count; i += 64) {
        const int32_t some = count - i < 64 ? count - i : 64;
        dtype_to_bf16(line + i, DTYPE_F32, rounded, (size_t)some);
        for (int32_t k = 0; k < some; ++k)
            to[(size_t)(i + k) * step] = rounded[k];
    }
}

static void put_up(const struct merge_factor *factor, const float *line, int32_t output,
                   void *panel)
{
    const struct layout_part part = {
        .source = line,
        .in_step = 1,
        .out_step = 1,
        .out_first = output,
        .in_count = factor->rank,
        .out_count = 1,
    };
    uint16_t rounded[64];
    if (factor->type == DTYPE_F32) {
        layout_pack(&factor->layout, &part, panel);
        return;
    }
    for (int32_t i = 0; i < factor->rank; i += 64) {
        const int32_t some = factor->rank - i < 64 ? factor->rank - i : 64;
        struct layout_part few = part;
        dtype_to_bf16(line + i, DTYPE_F32, rounded, (size_t)some);
        few.source = rounded;
        few.in_first = i;
        few.in_count = some;
        layout_pack(&factor->layout, &few, panel);
    }
}

void factor_make_up(const struct merge_factor *factor, const struct factor_matrix *up,
                    float scale, int32_t first, float *line, void *panel)
{
    const struct weight_delta *const delta = factor->delta;
    memset(panel, 0, factor->layout.bytes);
    for (int32_t o = 0; o < MERGE_PANEL; ++o) {
        const int32_t row = first + o - delta->first_row;
        if (row < 0 || row >= delta->row_count) continue;
        const size_t at = delta_at(factor->term->out, row);
        if (factor->term->up_is_turned)
            for (int32_t i = 0; i < factor->rank; ++i)
                line[i] = factor_number(up, (size_t)i, at);
        else
            read_line(up, at, 0, (size_t)factor->rank, line);
        for (int32_t i = 0; i < factor->rank; ++i)
            line[i] *= scale;
        put_up(factor, line, o, panel);
    }
}

static int32_t tile_end(const struct merge_factor *factor, int32_t first)
{
    const int32_t all = factor->in * factor->taps;
    return all - first < MERGE_TILE ? all : first + MERGE_TILE;
}

/* Inputs that follow each other in the file too: lines of it, turned. */
static void turn_lines(const struct merge_factor *factor,
                       const struct factor_matrix *down, int32_t first, int32_t end,
                       float *line, void *rows)
{
    const size_t column = (size_t)(factor->delta->first_column + first);
    for (int32_t r = 0; r < factor->rank; ++r) {
        read_line(down, (size_t)r, column, (size_t)(end - first), line);
        put_line(line, end - first, factor->type, rows, (size_t)r,
                 (size_t)factor->padded);
    }
}

/* One packed input: its numbers of all ranks. */
static void make_row(const struct merge_factor *factor,
                     const struct factor_matrix *down, const float *core, int32_t k,
                     float *line)
{
    const struct delta_term *const term = factor->term;
    const struct factor_place place = factor_place(factor, k);
    const size_t input = delta_at(term->in, place.input);
    if (!core) {
        const size_t taps = term->has_taps ? (size_t)factor->taps : 1;
        const size_t column = input * taps + (taps > 1 ? (size_t)place.tap : 0);
        for (int32_t r = 0; r < factor->rank; ++r)
            line[r] = factor_number(down, (size_t)r, column);
        return;
    }
    const int32_t inner = term->down->out;
    const size_t padded = (size_t)factor->padded;
    const float *from = core + (size_t)place.tap * (size_t)inner * padded;
    memset(line, 0, (size_t)factor->rank * sizeof *line);
    for (int32_t b = 0; b < inner; ++b, from += padded) {
        const float x = factor_number(down, (size_t)b, input);
        for (int32_t r = 0; r < factor->rank; ++r)
            line[r] += x * from[r];
    }
}

void factor_make_down(const struct merge_factor *factor,
                      const struct factor_matrix *down, const float *core,
                      int32_t first, float *line, void *rows)
{
    const struct delta_term *const term = factor->term;
    const int32_t end = tile_end(factor, first);
    const size_t row_bytes = (size_t)factor->padded * dtype_bytes(factor->type);
    memset(rows, 0, MERGE_TILE * row_bytes);
    if (!core && factor->taps == 1 && term->in.step == 1 &&
        end + factor->delta->first_column <= term->in.count) {
        turn_lines(factor, down, first, end, line, rows);
        return;
    }
    for (int32_t k = first; k < end; ++k) {
        make_row(factor, down, core, k, line);
        put_line(line, factor->rank, factor->type,
                 (unsigned char *)rows + (size_t)(k - first) * row_bytes, 0, 1);
    }
}

void factor_make_core(const struct merge_factor *factor,
                      const struct factor_matrix *core, int32_t tap, float *target)
{
    const int32_t inner = factor->term->down->out;
    const size_t taps = (size_t)factor->taps;
    for (int32_t b = 0; b < inner; ++b)
        for (int32_t r = 0; r < factor->padded; ++r)
            *target++ = r < factor->rank ? factor_number(core, (size_t)r,
                                                         (size_t)b * taps + (size_t)tap)
                                         : 0.0F;
}
