#include "compute/panel.h"

#include "base/size.h"
#include "compute/grid.h"

bool panel_is_made(const struct weight *weight)
{
    return weight->stored != weight->dtype;
}

bool panel_has_layout(const struct weight *weight)
{
    return weight_can_store(weight->dtype, weight->stored) ||
           dtype_is_block(weight->stored);
}

static size_t piece_elements(const struct weight_layout *layout, int32_t in_count)
{
    return (size_t)divide_up(in_count, layout->in_block) * layout->in_stride;
}

size_t panel_piece_bytes(const struct weight_layout *layout, int32_t in_count)
{
    return piece_elements(layout, in_count) * dtype_bytes(layout->type);
}

void panel_make_run(const struct panel_source *source, int32_t in, int32_t output,
                    size_t count, void *target)
{
    const struct weight *const weight = source->weight;
    struct layout_lines lines;
    if (!layout_lines(weight->layout, &lines)) return;
    grid_make_lines(weight, source->data, source->kernels, output, in,
                    (int32_t)(count / lines.in_step), target);
}

void panel_make(const struct panel_source *source, const struct panel_piece *piece,
                void *target)
{
    const struct weight *const weight = source->weight;
    const struct weight_layout *const layout = weight->layout;
    if (dtype_is_block(weight->stored)) {
        panel_make_run(source, piece->in, piece->output,
                       piece_elements(layout, piece->in_count), target);
        return;
    }
    const size_t first =
        layout_out(layout, piece->output) + layout_in(layout, piece->in);
    const struct kernel_convert arguments = {
        .target = target,
        .source =
            (const unsigned char *)source->data + first * dtype_bytes(weight->stored),
        .target_type = weight->dtype,
        .source_type = weight->stored,
        .count = piece_elements(layout, piece->in_count),
    };
    source->kernels->convert(&arguments);
}
