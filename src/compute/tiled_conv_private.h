/* tiled_conv_private — the insides of tiled_conv.h: what its files share.
 *
 *     tiled_conv.c         the operator: shapes, scratch memory, which lines it needs
 *     tiled_conv_tile.c    what happens to a tile: its window, its outputs; and the taps
 *     tiled_conv_block.c   GEMMs of product.h, of blocks of tiles
 *     tiled_conv_panel.c   GEMMs of this layer's kernels, of panels of outputs
 */
#ifndef COMPUTE_TILED_CONV_PRIVATE_H
#define COMPUTE_TILED_CONV_PRIVATE_H

#include "compute/panel.h"
#include "compute/tiled_conv.h"

enum {
    TAPS = 9
};

enum {
    TILED_X,
    TILED_RESIDUAL
};

enum {
    MOST_ROW = 6 /* points */
};

struct recipe {
    enum kernel_tiles tiles;
    int32_t row;     /* points in a row of them */
    int32_t points;  /* products: row x row */
    int32_t parts;   /* input pixels side by side in a row of one: pieces / points */
    int32_t pieces;  /* combined taps */
    int32_t outputs; /* lines and columns of a tile */
    int32_t tile_inputs; /* input lines from tile to tile */
    int32_t side; /* of the window, which begins one line above and one column before */
    int32_t spread;         /* numbers in a row of the transformed window */
    int32_t from[MOST_ROW]; /* which of them a point of a row multiplies */
};

struct tiled_conv {
    struct recipe recipe;
    const struct weight *weight, *bias; /* bias may be NULL */
    struct shape shape;                 /* of the result */
    int32_t tile_lines, tile_columns;   /* of one image */
    int32_t panel_out, panels;          /* outputs of one product; of all */
    int32_t block_tiles;
    /* A window's row of one point: chunks of so many inputs, [chunk][block][chunk_in]. */
    int32_t chunk_in;
    size_t operand_step, source_step, result_step; /* bytes from point to point */
    int32_t lanes;
    size_t windows_at, lanes_at, stage_at, lane_bytes; /* of the scratch memory */
    /* of GEMMs of product.h */
    struct weight_layout
        operand;          /* of one product: parts x in inputs, a panel of outputs */
    int32_t chunk_panels; /* combined at once, but for the last */
    int64_t
        tiles; /* that are cut into blocks: of all images, or of each line of tiles */
    int64_t blocks; /* that they are cut into */
    int32_t
        group_blocks; /* 0: combined weights stay, and a task makes the windows it needs */
    const struct product *products[2]; /* for whole blocks, and for the last */
    /* of panels */
    int32_t group_tiles;
    int32_t combined_points; /* at once: those of a row, or all */
    size_t made_at;
};

/* One run of the operator. */
struct tiled_run {
    const struct plan *plan;
    const struct op *op;
    const struct tiled_conv *conv;
    struct lines lines; /* to make, of each image */
    struct lines seen;  /* that they are made of */
    unsigned char *scratch;
    int64_t first_block;              /* of the group; or of all that is to be made */
    int32_t block_count;              /* of the group */
    int32_t first_panel, panel_count; /* of the chunk */
    int64_t first_tile;               /* of the group */
    int32_t tile_count;               /* of the group */
    atomic_bool failed;
};

/* A block's tiles. */
struct tiled_block {
    int64_t first;
    int32_t tiles;
    unsigned char *windows;
};

/* Numbers of a transformed window; and the one that a point multiplies. */
static inline int32_t tiled_numbers(const struct recipe *recipe)
{
    return recipe->spread * recipe->spread;
}

static inline int32_t tiled_number_of(const struct recipe *recipe, int32_t point)
{
    return recipe->from[point / recipe->row] * recipe->spread +
           recipe->from[point % recipe->row];
}

static inline int32_t at_most(int32_t count, int32_t most)
{
    return count < most ? count : most;
}

/* Not a multiple of 4096, or what is written side by side for all points would want the same few
 * places of the first cache. */
static inline size_t step_between_points(size_t bytes)
{
    return size_align(bytes, 4096) + 64;
}

/* ---- tiled_conv_tile.c ---- */

/* Windows of tiles [first, end) of the block: of tile i to row i. A line that is not seen counts as zeros. */
void tiled_make_windows(const struct tiled_run *run, const struct tiled_block *block,
                        int32_t first, int32_t end);
/* Of a weight in blocks: the nine taps of such a run as numbers, one after the other, where they are combined several
 * times. */
void tiled_make_taps(const struct tiled_run *run, int32_t in, int32_t output,
                     size_t count, unsigned char *target);
/* Combine `count` numbers of all taps, from this input and output on: they follow each other in the weight's
 * layout. This and tiled_make_taps are the only places where taps are read. */
struct tiled_taps {
    int32_t in, output;
    size_t count;
    int32_t row;               /* of points; -1: all */
    const unsigned char *made; /* by tiled_make_taps; NULL: they are read as stored */
};
void tiled_combine(const struct tiled_run *run, const struct tiled_taps *taps,
                   unsigned char *const targets[]);
/* A block's results of a panel, from this output on. */
void tiled_write_outputs(const struct tiled_run *run, const struct tiled_block *block,
                         int32_t output, const unsigned char *stage);

/* ---- the two orders ---- */

/* Can this weight be multiplied in this order? Sets what depends only on shapes. */
bool tiled_block_choose(struct tiled_conv *t, struct dr_error *err);
enum dr_code tiled_block_prepare(struct plan *plan, struct op *op,
                                 struct dr_error *err) DR_MUST_CHECK;
/* Make the lines of the run; false if the library failed. */
bool tiled_block_run(struct tiled_run *run);

bool tiled_panel_choose(struct tiled_conv *t);
void tiled_panel_prepare(struct op *op);
void tiled_panel_run(struct tiled_run *run);

#endif
