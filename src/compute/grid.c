#include "compute/grid.h"

#include <assert.h>
#include <string.h>

#include "base/block_codec.h"
#include "base/size.h"

enum {
    PANEL = 64,
    ALIGN = 64
};

const struct grid *grid_of(enum dtype stored)
{
    static const struct grid grids[DTYPE_COUNT] = {
        [DTYPE_Q8_0] = {8, 32, 0,  1,  0, false},
        [DTYPE_Q5_0] = {5, 32, 16, 1,  0, false},
        [DTYPE_Q5_1] = {5, 32, 0,  1,  0, true },
        [DTYPE_Q4_0] = {4, 32, 8,  1,  0, false},
        [DTYPE_Q4_1] = {4, 32, 0,  1,  0, true },
        [DTYPE_Q6_K] = {6, 16, 32, 16, 8, false},
        [DTYPE_Q5_K] = {5, 32, 0,  8,  8, true },
        [DTYPE_Q4_K] = {4, 32, 0,  8,  8, true },
        [DTYPE_Q3_K] = {3, 16, 4,  16, 8, false},
        [DTYPE_Q2_K] = {2, 16, 0,  16, 4, true },
    };
    assert(dtype_is_block(stored));
    return &grids[stored];
}

static size_t line_elements(const struct weight *weight)
{
    return (size_t)weight->in * (size_t)weight->kernel_height *
           (size_t)weight->kernel_width;
}

bool grid_fits(const struct weight *weight, enum dtype stored)
{
    struct layout_lines lines;
    if (!dtype_is_block(stored) || !weight->layout ||
        !layout_has_panels(weight->layout) || !layout_lines(weight->layout, &lines))
        return false;
    return lines.panel_out == PANEL &&
           lines.in_step == (lines.paired ? 2 : 1) * PANEL &&
           line_elements(weight) % grid_of(stored)->group == 0;
}

/* ---- places ---- */

/* Offsets of the tables, and how many lines of 64 outputs one has for a panel. */
struct areas {
    size_t units[2], factors[2], phases, bytes;
    size_t groups, unit_lines;
};

static struct areas areas_of(const struct weight *weight, const struct grid *grid)
{
    const struct weight_layout *const layout = weight->layout;
    const size_t elements = layout->bytes / dtype_bytes(layout->type);
    const size_t panels = (size_t)divide_up(weight->out, PANEL);
    const size_t tables = grid->has_least ? 2 : 1;
    const size_t groups = line_elements(weight) / grid->group;
    struct areas areas = {.groups = groups,
                          .unit_lines = (groups + 2 * grid->shared - 2) / grid->shared};
    const size_t units = panels * areas.unit_lines * PANEL * sizeof(uint16_t);
    const size_t factors = grid->factor_bits ? panels * groups * PANEL : 0;
    areas.units[0] = size_align(elements * grid->bits / 8, ALIGN);
    areas.units[1] = areas.units[0] + units;
    areas.factors[0] = areas.units[0] + tables * units;
    areas.factors[1] = areas.factors[0] + factors;
    areas.phases = areas.factors[0] + (grid->factor_bits == 8 ? tables : 1) * factors;
    areas.bytes = areas.phases + (grid->shared > 1 ? panels * PANEL : 0);
    return areas;
}

size_t grid_bytes(const struct weight *weight, enum dtype stored)
{
    return areas_of(weight, grid_of(stored)).bytes;
}

struct grid_plain grid_plain(const struct weight *weight)
{
    const struct grid *const grid = grid_of(weight->stored);
    const size_t elements = (size_t)weight->out * line_elements(weight);
    struct grid_plain plain = {.groups = line_elements(weight) / grid->group};
    const size_t table =
        size_align((size_t)weight->out * plain.groups * sizeof(struct block_scale),
                   ALIGN);
    plain.a = size_align(elements, ALIGN);
    plain.b = plain.a + table;
    plain.bytes = plain.b + (grid->has_least ? table : 0);
    return plain;
}

/* ---- storing ---- */

/* One output's scales: a, or a and b. */
struct scales {
    const struct block_scale *values[2];
    int32_t count;
    size_t groups;
};

/* The groups before the first that have its unit too, in the file: any number that fits will do. */
static size_t find_phase(const struct grid *grid, const struct scales *from)
{
    for (size_t phase = 0; phase < grid->shared; ++phase) {
        bool fits = true;
        for (size_t g = 1; g < from->groups && fits; ++g)
            for (int32_t k = 0; k < from->count && (phase + g) % grid->shared; ++k)
                fits &= from->values[k][g].unit == from->values[k][g - 1].unit;
        if (fits) return phase;
    }
    assert(!"groups of one block have one unit");
    return 0;
}

static void store_factors(const struct grid *grid, const struct areas *to,
                          const struct scales *from, size_t at, unsigned char *target)
{
    for (size_t g = 0; g < from->groups; ++g, at += PANEL) {
        const int a = from->values[0][g].times,
                  b = from->count > 1 ? from->values[1][g].times : 0;
        if (grid->factor_bits == 4) {
            target[to->factors[0] + at] = (unsigned char)(a | b << 4);
            continue;
        }
        target[to->factors[0] + at] = (unsigned char)a;
        if (grid->has_least) target[to->factors[1] + at] = (unsigned char)b;
    }
}

static void store_scales(const struct grid *grid, const struct areas *to,
                         const struct scales *from, int32_t out, unsigned char *target)
{
    const size_t panel = (size_t)(out / PANEL), place = (size_t)(out % PANEL);
    const size_t phase = grid->shared > 1 ? find_phase(grid, from) : 0;
    const size_t first = panel * to->unit_lines * PANEL + place;
    for (size_t g = 0; g < from->groups; ++g) {
        const size_t at = first + (phase + g) / grid->shared * PANEL;
        for (int32_t k = 0; k < from->count; ++k)
            memcpy(target + to->units[k] + at * sizeof(uint16_t),
                   &from->values[k][g].unit, sizeof(uint16_t));
    }
    if (grid->factor_bits)
        store_factors(grid, to, from, panel * to->groups * PANEL + place, target);
    if (grid->shared > 1)
        target[to->phases + panel * PANEL + place] = (unsigned char)phase;
}

/* Where a number of a line lies: a part has its bits from `from_bit` on. */
struct part_place {
    size_t byte;
    unsigned shift, mask, from_bit;
};

enum {
    MOST_PARTS = 2
};

/* Of number `place` of a line of n. Returns how many parts it has. */
static int32_t find_parts(const struct grid *grid, size_t n, size_t place,
                          struct part_place parts[static MOST_PARTS])
{
    int32_t count = 0;
    size_t start = 0;
    for (unsigned at = 0; at < grid->bits; ++count) {
        const unsigned left = grid->bits - at;
        const unsigned width = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        const size_t bytes = n * width / 8;
        parts[count] = (struct part_place){.byte = start + place % bytes,
                                           .shift = (unsigned)(place / bytes) * width,
                                           .mask = (1U << width) - 1U,
                                           .from_bit = at};
        start += bytes;
        at += width;
    }
    return count;
}

static void put_parts(unsigned char *line, const struct part_place *parts,
                      int32_t count, unsigned number)
{
    for (int32_t i = 0; i < count; ++i) {
        const struct part_place *const p = &parts[i];
        const unsigned kept = line[p->byte] & ~(p->mask << p->shift);
        line[p->byte] =
            (unsigned char)(kept | (number >> p->from_bit & p->mask) << p->shift);
    }
}

static size_t line_numbers(const struct layout_lines *lines)
{
    return (size_t)(lines->paired ? 2 : 1) * PANEL;
}

/* One output's integers: its numbers lie in the file's order, the kernel's taps of an input side by side. */
static void store_parts(const struct weight *weight, const struct grid *grid,
                        const int8_t *from, int32_t out, unsigned char *target)
{
    const struct weight_layout *const layout = weight->layout;
    struct layout_lines lines;
    if (!layout_lines(layout, &lines)) return;
    const size_t n = line_numbers(&lines), side = n / PANEL;
    const size_t pair = side - 1; /* as a shift, and as a mask */
    const size_t line_bytes = n * grid->bits / 8;
    const size_t window = (size_t)weight->kernel_height * (size_t)weight->kernel_width;
    unsigned char *const panel =
        target + (size_t)(out / PANEL) * lines.panel_step * grid->bits / 8;
    struct part_place parts[2][MOST_PARTS];
    int32_t count = 0;
    for (size_t k = 0; k < side; ++k)
        count = find_parts(grid, n, (size_t)(out % PANEL) * side + k, parts[k]);
    for (size_t tap = 0; tap < window; ++tap)
        for (size_t in = 0; in < (size_t)weight->in; ++in) {
            const size_t row = tap * (size_t)weight->in + in;
            put_parts(panel + (row >> pair) * line_bytes, parts[row & pair], count,
                      (unsigned)(from[in * window + tap] + grid->offset));
        }
}

/* Places without a number are 0. */
void grid_store_begin(const struct weight *weight, void *target)
{
    const struct grid *const grid = grid_of(weight->stored);
    const struct areas areas = areas_of(weight, grid);
    struct layout_lines lines;
    memset(target, 0, areas.bytes);
    if (grid->offset == 0 || !layout_lines(weight->layout, &lines)) return;
    const size_t n = line_numbers(&lines), line_bytes = n * grid->bits / 8;
    unsigned char *const first = target;
    for (size_t i = 0; i < n; ++i) {
        struct part_place parts[MOST_PARTS];
        put_parts(first, parts, find_parts(grid, n, i, parts), grid->offset);
    }
    for (size_t at = line_bytes; at + line_bytes <= areas.units[0]; at += line_bytes)
        memcpy(first + at, first, line_bytes);
}

/* One output's octets, by the layout's own places. */
static void store_octets(const struct weight *weight, const int8_t *from, int32_t out,
                         unsigned char *target)
{
    const int32_t window = weight->kernel_height * weight->kernel_width;
    for (int32_t tap = 0; tap < window; ++tap) {
        const struct layout_part part = {.source = from + tap,
                                         .in_step = (size_t)window,
                                         .out_step = 1,
                                         .element_bytes = 1,
                                         .in_first = tap * weight->in,
                                         .out_first = out,
                                         .in_count = weight->in,
                                         .out_count = 1};
        layout_pack(weight->layout, &part, target);
    }
}

void grid_store_part(const struct weight *weight, const void *plain, void *target,
                     int32_t part)
{
    const struct grid *const grid = grid_of(weight->stored);
    const struct grid_plain from = grid_plain(weight);
    const struct areas to = areas_of(weight, grid);
    const size_t line = line_elements(weight);
    const int8_t *const q = plain;
    const unsigned char *const tables = plain;
    const struct block_scale *const a = (const void *)(tables + from.a),
                                    *const b = (const void *)(tables + from.b);
    const int32_t first = part * WEIGHT_PART_OUTPUTS;
    const int32_t end = weight->out - first < WEIGHT_PART_OUTPUTS
                            ? weight->out
                            : first + WEIGHT_PART_OUTPUTS;
    for (int32_t o = first; o < end; ++o) {
        const size_t row = (size_t)o * from.groups;
        const struct scales scales = {
            .values = {a + row, b + row},
            .count = grid->has_least ? 2 : 1,
            .groups = from.groups
        };
        if (grid->bits == 8)
            store_octets(weight, q + (size_t)o * line, o, target);
        else
            store_parts(weight, grid, q + (size_t)o * line, o, target);
        store_scales(grid, &to, &scales, o, target);
    }
}

/* ---- making ---- */

/* Where the scales of one side of a line are; group -1: zeros, of an input that is not there. */
static int64_t group_of(const struct weight *weight, const struct grid *grid,
                        int32_t row)
{
    const int32_t window = weight->kernel_height * weight->kernel_width;
    if (row >= weight->in * window) return -1;
    const int32_t tap = row / weight->in, in = row % weight->in;
    return ((int64_t)in * window + tap) / grid->group;
}

/* What stays the same from line to line: the scales of their groups, side by side as the line's numbers are. */
struct maker {
    const struct weight *weight;
    const struct grid *grid;
    const struct kernels *kernels;
    const unsigned char *units[2], *factors[2], *phases; /* of the panel */
    size_t unit_lines;
    int32_t side;
    int64_t groups[2]; /* that lie in the lines; -2: none yet */
    float a_line[2 * PANEL], b_line[2 * PANEL];
};

static void read_units(const struct maker *m, const unsigned char *from, float *values)
{
    const struct kernel_convert arguments = {.target = values,
                                             .source = from,
                                             .target_type = DTYPE_F32,
                                             .source_type = DTYPE_F16,
                                             .count = PANEL};
    m->kernels->convert(&arguments);
}

/* a (0) or b (1) of a group into its places of the line. Each output's unit is one of two neighbours, by its phase. */
static void read_line(const struct maker *m, int32_t which, int64_t group, float *line,
                      int32_t side_idx)
{
    const struct grid *const grid = m->grid;
    const size_t line_bytes = PANEL * sizeof(uint16_t);
    float units[PANEL] = {0}, next[PANEL];
    struct grid_scales arguments = {.target = line + side_idx,
                                    .step = (size_t)m->side,
                                    .units = units,
                                    .next = units};
    if (group >= 0) {
        const size_t g = (size_t)group, first = g / grid->shared;
        const unsigned char *const from = m->units[which] + first * line_bytes;
        read_units(m, from, units);
        if (grid->factor_bits) {
            const bool is_tight = grid->factor_bits == 4;
            arguments.is_tight = is_tight;
            arguments.shift = which * 4;
            arguments.factors = m->factors[is_tight ? 0 : which] + g * PANEL;
            arguments.phases = m->phases;
            arguments.enough = (uint8_t)(grid->shared - g % grid->shared);
            if (first + 1 < m->unit_lines) {
                read_units(m, from + line_bytes, next);
                arguments.next = next;
            }
        }
    }
    m->kernels->grid_scales(&arguments);
}

static void take_groups(struct maker *m, const int64_t groups[2])
{
    for (int32_t which = 0; which < m->side; ++which) {
        if (m->groups[which] == groups[which]) continue;
        m->groups[which] = groups[which];
        read_line(m, 0, groups[which], m->a_line, which);
        if (m->grid->has_least) read_line(m, 1, groups[which], m->b_line, which);
    }
}

void grid_make_lines(const struct weight *weight, const void *data,
                     const struct kernels *kernels, int32_t output, int32_t in,
                     int32_t count, void *target)
{
    const struct grid *const grid = grid_of(weight->stored);
    const struct areas areas = areas_of(weight, grid);
    const unsigned char *const bytes = data;
    struct layout_lines lines;
    const bool has_lines = layout_lines(weight->layout, &lines);
    assert(has_lines && output % PANEL == 0);
    (void)has_lines;
    const int32_t side = lines.paired ? 2 : 1;
    const size_t n = (size_t)side * PANEL, panel = (size_t)(output / PANEL);
    const size_t units = panel * areas.unit_lines * PANEL * sizeof(uint16_t);
    const size_t factors = panel * areas.groups * PANEL;
    struct maker m = {
        .weight = weight,
        .grid = grid,
        .kernels = kernels,
        .units = {bytes + areas.units[0] + units,     bytes + areas.units[1] + units},
        .factors = {bytes + areas.factors[0] + factors,
                  bytes + areas.factors[1] + factors                                },
        .phases = bytes + areas.phases + panel * PANEL,
        .unit_lines = areas.unit_lines,
        .side = side,
        .groups = {-2,                                 -2                            }
    };
    size_t at = panel * lines.panel_step + (size_t)(in / side) * n;
    unsigned char *to = target;
    for (int32_t line = 0; line < count;) {
        const int32_t row = in + line * side;
        int64_t groups[2] = {group_of(weight, grid, row),
                             side == 2 ? group_of(weight, grid, row + 1) : 0};
        int32_t same = 1; /* lines that have these scales */
        while (
            line + same < count &&
            group_of(weight, grid, row + same * side) == groups[0] &&
            (side == 1 || group_of(weight, grid, row + same * side + 1) == groups[1]))
            ++same;
        take_groups(&m, groups);
        const struct grid_lines arguments = {.target = to,
                                             .type = weight->dtype,
                                             .q = bytes + at * grid->bits / 8,
                                             .a = m.a_line,
                                             .b = grid->has_least ? m.b_line : NULL,
                                             .n = n,
                                             .lines = (size_t)same,
                                             .bits = grid->bits,
                                             .offset = grid->offset};
        if (groups[0] < 0 && (side == 1 || groups[1] < 0))
            memset(to, 0, (size_t)same * n * dtype_bytes(weight->dtype));
        else
            kernels->grid_lines(&arguments);
        line += same;
        at += (size_t)same * n;
        to += (size_t)same * n * dtype_bytes(weight->dtype);
    }
}
