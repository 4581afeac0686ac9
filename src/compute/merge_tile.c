/* A tile between the packed weight and rows of float32. */
#include <string.h>

#include "compute/grid.h"
#include "compute/merge_private.h"

/* type: that of data. */
static void copy_slowly(const struct weight_layout *layout, const struct unit *unit,
                        unsigned char *data, enum dtype type, float *tile, bool writes)
{
    for (int32_t k = 0; k < unit->ins; ++k)
        for (int32_t o = 0; o < unit->outs; ++o) {
            const size_t at = layout_in(layout, unit->first_in + k) +
                              layout_out(layout, unit->first_out + o);
            float *const number = &tile[k * MERGE_PANEL + o];
            unsigned char *const place = data + at * dtype_bytes(type);
            if (!writes)
                dtype_to_f32(place, type, number, 1);
            else if (type == DTYPE_BF16)
                dtype_to_bf16(number, DTYPE_F32, (uint16_t *)(void *)place, 1);
            else
                memcpy(place, number, sizeof *number);
        }
}

/* A base in blocks (grid.h): some lines of its panel are made in the operand's type, and read from there. */
static void copy_blocks(const struct merging *run, const struct unit *unit,
                        const unsigned char *data, const struct layout_lines *lines,
                        float *tile)
{
    enum {
        LINES = 8
    };
    const struct weight *const base = run->merge->base;
    const int32_t side = lines->paired ? 2 : 1;
    float made[LINES * 2 * MERGE_PANEL]; /* holds either type */
    for (int32_t in = 0; in < unit->ins; in += LINES * side) {
        const int32_t left = unit->ins - in;
        const int32_t count =
            left < LINES * side ? (int32_t)divide_up(left, side) : LINES;
        grid_make_lines(base, data, run->plan->kernels, unit->first_out,
                        unit->first_in + in, count, made);
        const struct kernel_lines arguments = {
            .lines = (unsigned char *)made,
            .tile = tile + (size_t)in * MERGE_PANEL,
            .type = base->dtype,
            .paired = lines->paired,
            .line_count = (size_t)count,
            .line_step = lines->in_step,
            .tile_step = MERGE_PANEL,
            .width = (size_t)unit->outs,
        };
        run->plan->kernels->read_lines(&arguments);
    }
}

/* Between the packed weight and a tile [MERGE_TILE][64] of float32. The base is read as it is stored, the merged
 * weight written in its own type. */
static void copy_tile(const struct merging *run, const struct unit *unit,
                      unsigned char *data, float *tile, bool writes)
{
    const struct weight_layout *const layout = run->merge->base->layout;
    const enum dtype type = writes ? layout->type : run->merge->base->stored;
    struct layout_lines lines;
    if (!layout_lines(layout, &lines) ||
        (lines.paired && type != DTYPE_BF16 && !dtype_is_block(type))) {
        copy_slowly(layout, unit, data, type, tile, writes);
        return;
    }
    if (!writes && dtype_is_block(type)) {
        copy_blocks(run, unit, data, &lines, tile);
        return;
    }
    const int32_t side = lines.paired ? 2 : 1;
    const int32_t wide = (int32_t)lines.panel_out;
    for (int32_t o = 0; o < unit->outs;) {
        const int32_t output = unit->first_out + o;
        const int32_t left = wide - output % wide;
        const int32_t count = left < unit->outs - o ? left : unit->outs - o;
        const size_t at = (size_t)(output / wide) * lines.panel_step +
                          (size_t)(output % wide) * (size_t)side +
                          (size_t)(unit->first_in / side) * lines.in_step;
        const struct kernel_lines arguments = {
            .lines = data + at * dtype_bytes(type),
            .tile = tile + o,
            .type = type,
            .paired = lines.paired,
            .line_count = (size_t)divide_up(unit->ins, side),
            .line_step = lines.in_step,
            .tile_step = MERGE_PANEL,
            .width = (size_t)count,
        };
        if (writes)
            run->plan->kernels->write_lines(&arguments);
        else
            run->plan->kernels->read_lines(&arguments);
        o += count;
    }
}

static unsigned char *base_data(const struct merging *run)
{
    union {
        const void *borrowed;
        unsigned char *data;
    } either = {.borrowed = plan_weight(run->plan, run->merge->base)};
    return either.data; /* copy_tile only reads it */
}

void merge_read_tile(const struct merging *run, const struct unit *unit, float *tile)
{
    copy_tile(run, unit, base_data(run), tile, false);
}

void merge_write_tile(const struct merging *run, const struct unit *unit)
{
    copy_tile(run, unit, run->scratch + run->set->at + run->merge->merged.offset,
              unit->acc, true);
}
