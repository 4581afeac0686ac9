/* projection — a GEMM of many rows and one weight, in blocks of rows; convolutions and linears use it.
 *
 *   a block of rows  --gather-->  [rows][in]  --product-->  [rows][out]  --finish-->  result
 *
 * One task of the team is one block: its rows are gathered into the worker's scratch memory (a linear
 * reads them in place), multiplied by one thread, and written. Bias and residual are added by the GEMM
 * itself; what the library does slowly (activations, a factor, other types) is done from a float32
 * buffer that stays in the cache.
 *
 * The order in which an output number is summed depends only on the weight, not on the block that its row
 * is in; see projection_test.
 */
#ifndef COMPUTE_PROJECTION_H
#define COMPUTE_PROJECTION_H

#include "compute/plan_private.h"

/* Write rows [first, first + count) of the left-hand matrix, dense, to target. */
typedef void projection_gather(const void *context, int64_t first, int32_t count,
                               void *target);

/* The operator's inputs. */
enum {
    PROJECTION_X,
    PROJECTION_RESIDUAL,
    PROJECTION_MULTIPLY
};

struct projection {
    const struct weight *weight, *bias; /* bias may be NULL */
    enum activation activation;
    bool
        gated; /* the weight's outputs are [value | gate]: value * gelu(gate), half as wide */
    projection_gather *gather; /* NULL: the rows lie as they are */
    const void *gather_context;
    /* found by projection_prepare */
    int64_t rows;   /* that are cut into blocks: of all images, or of each line */
    int64_t blocks; /* that they are cut into */
    int32_t block_rows;
    bool own; /* product_is_own */
    bool staged;
    int32_t columns; /* threads that share the outputs of one block: tasks of it */
    int32_t chunk;   /* outputs at a time */
    const struct product *products[2]; /* for whole blocks, and for the last */
    int32_t lanes;
    size_t gathered_bytes, stage_bytes, lane_bytes; /* of scratch, for one lane */
};

enum dr_code projection_prepare(struct plan *plan, struct op *op,
                                struct projection *projection, struct dr_error *err);
/* All rows, or some lines of an operator that runs by lines. */
bool projection_run(const struct plan *plan, const struct op *op,
                    const struct projection *projection, struct rows rows);

/* Can this weight's outputs be divided into value and gate, for `gated`? */
bool projection_can_gate(const struct weight *weight);

#endif
