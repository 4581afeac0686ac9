#include "job/context_batch.h"

#include <assert.h>

int32_t context_layout_count(const struct context_layout *layout)
{
    return layout->part_count + (layout->guided ? 1 : 0);
}

int32_t context_batch_list(const struct context_layout *layout,
                           struct context_batch batches[GUIDANCE_MAX_CONTEXTS])
{
    const int32_t total = context_layout_count(layout);
    const bool is_alone =
        layout->guided && layout->negative_chunks != layout->part_chunks;
    int32_t count = 0, first = 0;
    assert(total > 0 && total <= GUIDANCE_MAX_CONTEXTS);
    if (is_alone) {
        batches[count++] = (struct context_batch){0, 1, layout->negative_chunks};
        first = 1;
    }
    for (int32_t n; first < total; first += n) {
        n = first + 1 < total ? 2 : 1;
        batches[count++] = (struct context_batch){first, n, layout->part_chunks};
    }
    return count;
}

int32_t context_batch_list_alone(const struct context_layout *layout,
                                 struct context_batch batches[GUIDANCE_MAX_CONTEXTS])
{
    const int32_t total = context_layout_count(layout);
    int32_t count = 0;
    if (!layout->guided || !layout->rests) return 0;
    for (int32_t first = 1, n; first < total; first += n) {
        n = first + 1 < total ? 2 : 1;
        batches[count++] = (struct context_batch){first, n, layout->part_chunks};
    }
    return count;
}
