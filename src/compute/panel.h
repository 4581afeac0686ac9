/* panel — the operand of a GEMM, made piece by piece from a weight as it is stored.
 *
 * A weight's operand (layout.h) consists of panels: blocks of up to 64 outputs, each with all of its inputs. Where a weight
 * is not stored in the type of the arithmetic, product.c makes one piece of one panel at a time in its scratch
 * memory, multiplies by it, and makes the next in the same place: panel_make is the only function that knows
 * how a stored type becomes an operand.
 *
 *     stored weight  --panel_make-->  piece of a panel, in a core's cache  --product-->  result
 *
 * What a stored type provides:
 *   - weight_init (weight.c): the bytes of the weight, and with them where a panel of it begins;
 *   - weight_store_part (weight.c): writing the outputs of a panel from their plain form;
 *   - panel_make: the numbers of a piece of a panel, in the operand's type and layout, and zeros where the
 *     layout has neither an input nor an output.
 * Number types (float16, bfloat16, float8) are stored in the operand's own layout with smaller elements: making
 * a piece is one pass from front to back. Then a run of inputs can also be read without a panel:
 * panel_has_layout, tiled_conv.c. Block types are stored as grids (grid.h), in the operand's order too: a run of
 * them is made by panel_make_run.
 *
 * The result depends on the weight alone, not on the piece, the thread or the processor. Nothing here
 * allocates. Threads: any.
 */
#ifndef COMPUTE_PANEL_H
#define COMPUTE_PANEL_H

#include <stdbool.h>

#include "compute/kernels.h"
#include "compute/layout.h"
#include "compute/weight.h"

/* Must the operand be made before it is multiplied? If not, the stored weight is the operand. */
bool panel_is_made(const struct weight *weight);

/* Are the numbers stored in the places of the operand's layout, as elements of weight->stored or as a grid? */
bool panel_has_layout(const struct weight *weight);

/* A stored weight that operands are made of. All borrowed. */
struct panel_source {
    const struct weight *weight;
    const void *data; /* weight->bytes */
    const struct kernels *kernels;
};

/* Inputs [in, in + in_count) of the panel that begins with an output. in: a multiple of the layout's in_block. */
struct panel_piece {
    int32_t output, in, in_count;
};

/* Bytes of a piece of so many inputs: whole blocks. */
size_t panel_piece_bytes(const struct weight_layout *layout, int32_t in_count);

/* Of a weight in blocks the `count` numbers of the operand that begin with this input of a panel, whole lines of it. */
void panel_make_run(const struct panel_source *source, int32_t in, int32_t output,
                    size_t count, void *target);

/* Write a piece of the operand to target (panel_piece_bytes; no alignment is needed). */
void panel_make(const struct panel_source *source, const struct panel_piece *piece,
                void *target);

#endif
