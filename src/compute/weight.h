/* weight — one weight of a network, packed in the layout that the compute library executes.
 *
 * The weights of one component are one region of memory. A run may read several regions: a base,
 * its adapters, a control network. A weight knows its shape, its type, its layout, its bytes,
 * the index of its region in the list that plan_bind takes, and its offset in that region. Which
 * layout is best is the library's answer to "any", asked once with a typical size; it depends on
 * the weight's shape and type alone, never on the image, so that one copy serves every size.
 *
 *   kind     source tensor(s)                         in memory
 *   CONV     [out, in, kh, kw]                        library's blocked layout
 *   LINEAR   [out, in] (or [out, in, 1, 1])           library's blocked layout
 *   VECTOR   [n]                                      plain float32
 *   TABLE    [rows, width]                            plain (embeddings)
 *
 * A weight has two types: `dtype` is that of the arithmetic, float32 or bfloat16, and `stored` that of its
 * numbers in memory. If they differ, the numbers are converted when they are used, panel by panel in
 * memory of the core that uses them (panel.h), a table's rows at the lookup. A stored type is one
 * whose numbers dtype holds exactly (weight_can_store), so the result has the same bytes as with stored == dtype.
 *
 * Or it is a block type (grid.h): then dtype holds what its numbers are rounded to.
 *
 * A 1x1 convolution is a LINEAR: in channels-last memory they are the same product.
 */
#ifndef COMPUTE_WEIGHT_H
#define COMPUTE_WEIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/pool.h"

enum weight_kind {
    WEIGHT_CONV,
    WEIGHT_LINEAR,
    WEIGHT_VECTOR,
    WEIGHT_TABLE
};

enum {
    WEIGHT_MOST_REGIONS = 256 /* that one plan reads */
};

struct weight_layout; /* private: the library's description */

struct weight {
    enum weight_kind kind;
    enum dtype dtype;  /* DTYPE_F32 or DTYPE_BF16; a VECTOR is always DTYPE_F32 */
    enum dtype stored; /* weight_can_store(dtype, stored); of a VECTOR DTYPE_F32 */
    int32_t out;       /* rows: output channels; VECTOR: n; TABLE: rows */
    int32_t in;        /* input channels; VECTOR: 1; TABLE: width */
    int32_t kernel_height, kernel_width; /* 1 unless CONV */
    size_t bytes;                        /* as stored */
    /* Index in plan_bind's list: 0 unless its owner sets it, before a plan uses the weight. */
    int32_t region;
    size_t offset; /* in that region; set by whoever lays the region out */
    const struct weight_layout *layout;
};

struct weight_shape {
    enum weight_kind kind;
    enum dtype dtype;
    int32_t out, in, kernel_height, kernel_width;
};

/* Can numbers of arithmetic type dtype be stored in this type, because dtype holds all of its finite
 * numbers? */
bool weight_can_store(enum dtype dtype, enum dtype stored);

/* Decide layout and bytes; stored in dtype. Records lie in the pool. Errors: DR_UNSUPPORTED, DR_NOMEM. */
enum dr_code weight_init(struct weight *weight, const struct weight_shape *shape,
                         struct pool *pool, struct dr_error *err) DR_MUST_CHECK;

/* Store it in this type: changes bytes, so it comes before the region is laid out. False, with nothing changed,
 * where it cannot be stored so: another type than weight_can_store allows, a vector, a layout without panels; of a
 * block type what grid_fits says. */
bool weight_store_as(struct weight *weight, enum dtype stored);

/* Bytes of the plain form, which weight_store_part reads: out*in*kh*kw elements of weight->stored; of a block type
 * struct grid_plain's (grid.h). */
size_t weight_plain_bytes(const struct weight *weight);

/* Write the operand from its plain row-major form ([out,in,kh,kw], [out,in], [n] or
 * [rows,width]; elements already in weight->stored) to target (weight->bytes, 64-aligned).
 * Deterministic: padding is zeroed, so equal sources give equal bytes.
 * It is stored in parts of WEIGHT_PART_OUTPUTS outputs (a vector or a table is one part), so that a
 * part can be stored while the plain form of the next is still made: begin once, then each part
 * once, in any order, by any threads. */
#define WEIGHT_PART_OUTPUTS 64
int32_t weight_part_count(const struct weight *weight);
void weight_store_begin(const struct weight *weight, void *target);
void weight_store_part(const struct weight *weight, const void *plain, void *target,
                       int32_t part);

/* A part can also be stored run by run, each into memory of its own, which is then written to its place: where
 * a panel is a part, and each tap's inputs whole blocks of it. A run is one tap of some inputs of a part; all
 * runs, count of them for each part, hold all of the weight. */
int32_t weight_run_count(const struct weight *weight); /* 0: it cannot */
size_t weight_run_bytes(const struct weight *weight);  /* of the largest run */
/* Write run `run` of a part to target. Returns its bytes, and where they go in the stored weight in *place. */
size_t weight_store_run(const struct weight *weight, const void *plain, int32_t part,
                        int32_t run, void *target, size_t *place);

/* Add all that decides where the operand's bytes lie in its region: shape, type, offset, layout.
 * Equal digests mean that one copy of the bytes serves both, so the region's index is left out: the
 * same bytes may be another region of another run. */
void weight_add_to_digest(const struct weight *weight, struct digest *digest);

#endif
