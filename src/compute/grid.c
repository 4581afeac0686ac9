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
        [DTYPE_Q8_0] = {8, 32, 0, false, false},
        [DTYPE_Q5_0] = {8, 32, 0, false, false},
        [DTYPE_Q5_1] = {8, 32, 0, false, true },
        [DTYPE_Q4_0] = {4, 32, 8, false, false},
        [DTYPE_Q4_1] = {4, 32, 0, false, true },
        [DTYPE_Q6_K] = {8, 16, 0, true,  false},
        [DTYPE_Q5_K] = {8, 32, 0, true,  true },
        [DTYPE_Q4_K] = {4, 32, 0, true,  true },
        [DTYPE_Q3_K] = {4, 16, 4, true,  false},
        [DTYPE_Q2_K] = {4, 16, 0, true,  true },
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

struct areas {
    size_t a, b, bytes; /* offsets of the tables; of the whole */
    size_t groups;
};

static struct areas areas_of(const struct weight *weight, const struct grid *grid)
{
    const struct weight_layout *const layout = weight->layout;
    const size_t elements = layout->bytes / dtype_bytes(layout->type);
    const size_t panels = (size_t)divide_up(weight->out, PANEL);
    struct areas areas = {.groups = line_elements(weight) / grid->group};
    const size_t table =
        size_align(panels * areas.groups * PANEL * (grid->is_wide ? 4 : 2), ALIGN);
    areas.a = size_align(elements * grid->bits / 8, ALIGN);
    areas.b = areas.a + table;
    areas.bytes = areas.b + (grid->has_least ? table : 0);
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
        size_align((size_t)weight->out * plain.groups * sizeof(float), ALIGN);
    plain.a = size_align(elements, ALIGN);
    plain.b = plain.a + table;
    plain.bytes = plain.b + (grid->has_least ? table : 0);
    return plain;
}

/* ---- storing ---- */

/* One output's scales into the table of its panel. */
static void store_scales(const struct grid *grid, const float *from, size_t groups,
                         int32_t out, unsigned char *table)
{
    const size_t first = (size_t)(out / PANEL) * groups * PANEL + (size_t)(out % PANEL);
    for (size_t g = 0; g < groups; ++g) {
        const size_t at = first + g * PANEL;
        uint16_t half;
        if (grid->is_wide) {
            memcpy(table + at * 4, &from[g], sizeof *from);
            continue;
        }
        dtype_to_f16(&from[g], &half, 1); /* exact: it was one */
        memcpy(table + at * 2, &half, sizeof half);
    }
}

/* One output's nibbles: its numbers lie in the file's order, the kernel's taps of an input side by side. */
static void store_nibbles(const struct weight *weight, const struct grid *grid,
                          const int8_t *from, int32_t out, unsigned char *target)
{
    const struct weight_layout *const layout = weight->layout;
    struct layout_lines lines;
    if (!layout_lines(layout, &lines)) return;
    const size_t side = lines.paired ? 2 : 1, half = side * PANEL / 2;
    const size_t window = (size_t)weight->kernel_height * (size_t)weight->kernel_width;
    unsigned char *const panel = target + (size_t)(out / PANEL) * lines.panel_step / 2;
    for (size_t tap = 0; tap < window; ++tap)
        for (size_t in = 0; in < (size_t)weight->in; ++in) {
            const size_t row = tap * (size_t)weight->in + in;
            const size_t place = (size_t)(out % PANEL) * side + row % side;
            const int q = from[in * window + tap] + grid->offset;
            unsigned char *const byte = panel + row / side * half + place % half;
            *byte = (unsigned char)(place < half ? (*byte & 0xF0) | q
                                                 : (*byte & 0x0F) | q << 4);
        }
}

void grid_store_begin(const struct weight *weight, void *target)
{
    const struct grid *const grid = grid_of(weight->stored);
    const struct areas areas = areas_of(weight, grid);
    const int zero = grid->bits == 4 ? grid->offset * 0x11 : 0;
    memset(target, zero, areas.a);
    memset((unsigned char *)target + areas.a, 0, areas.bytes - areas.a);
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
    unsigned char *const out = target;
    const int32_t first = part * WEIGHT_PART_OUTPUTS;
    const int32_t end = weight->out - first < WEIGHT_PART_OUTPUTS
                            ? weight->out
                            : first + WEIGHT_PART_OUTPUTS;
    for (int32_t o = first; o < end; ++o) {
        const size_t row = (size_t)o * from.groups * sizeof(float);
        if (grid->bits == 8)
            store_octets(weight, q + (size_t)o * line, o, out);
        else
            store_nibbles(weight, grid, q + (size_t)o * line, o, out);
        store_scales(grid, (const float *)(const void *)(tables + from.a + row),
                     from.groups, o, out + to.a);
        if (grid->has_least)
            store_scales(grid, (const float *)(const void *)(tables + from.b + row),
                         from.groups, o, out + to.b);
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
    const unsigned char *a, *b; /* of the panel */
    int32_t side;
    int64_t groups[2]; /* that lie in the lines; -2: none yet */
    float a_line[2 * PANEL], b_line[2 * PANEL];
};

static void read_line(const struct maker *m, const unsigned char *table, int64_t group,
                      float *line, int32_t which)
{
    float values[PANEL] = {0};
    if (group >= 0) {
        const struct kernel_convert arguments = {
            .target = values,
            .source = table + (size_t)group * PANEL * (m->grid->is_wide ? 4 : 2),
            .target_type = DTYPE_F32,
            .source_type = m->grid->is_wide ? DTYPE_F32 : DTYPE_F16,
            .count = PANEL};
        if (m->grid->is_wide)
            memcpy(values, arguments.source, sizeof values);
        else
            m->kernels->convert(&arguments);
    }
    for (int32_t i = 0; i < PANEL; ++i)
        line[i * m->side + which] = values[i];
}

static void take_groups(struct maker *m, const int64_t groups[2])
{
    for (int32_t which = 0; which < m->side; ++which) {
        if (m->groups[which] == groups[which]) continue;
        m->groups[which] = groups[which];
        read_line(m, m->a, groups[which], m->a_line, which);
        if (m->grid->has_least) read_line(m, m->b, groups[which], m->b_line, which);
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
    const size_t table = panel * areas.groups * PANEL * (grid->is_wide ? 4 : 2);
    struct maker m = {
        .weight = weight,
        .grid = grid,
        .kernels = kernels,
        .a = bytes + areas.a + table,
        .b = bytes + areas.b + table,
        .side = side,
        .groups = {-2, -2}
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
