/* product — one GEMM: rows x operand (+ bias) (+ what the result holds already).
 *
 *     result[rows][out] = source[rows][in] * operand[in][out] + bias[out] (+ result)
 *
 * All heavy arithmetic of compute/ is done by GEMMs; the operand is the packed weight. A product is created for
 * ONE thread and may be run by all threads at once, each as a worker (lane) with its own handles and its own scratch
 * memory: a primitive of the library that is shared without separate scratchpads gives wrong results silently.
 * source and result are dense. A plan creates each different product once (product_set).
 *
 * The GEMM is the library's (product.c), or, where the kernels have one that is faster, theirs (product_own.c).
 * The order in which a row is summed depends only on its inputs and the type, not on the other rows and outputs. The
 * library does not guarantee this; product.c does (decisions/0006).
 *
 * Threads: make and finish from one; product_run from any, one at a time for each lane.
 */
#ifndef COMPUTE_PRODUCT_H
#define COMPUTE_PRODUCT_H

#include <dnnl.h>
#include <stdbool.h>

#include "base/pool.h"
#include "compute/layout.h"
#include "compute/panel.h"

struct product_shape {
    int32_t rows;
    enum dtype result;
    bool bias; /* float32, [out] */
    bool add;  /* to what result holds, after one rounding of neither */
    bool made; /* the operand is made piece by piece (panel.h); its layout has panels */
    bool library; /* the library's GEMM, even where product_is_own */
};

struct product_lane {
    dnnl_memory_t source, operand, bias, result, scratch;
};

/* What one call of the library makes: `out` outputs (0: there is no such part) of `in` inputs. */
struct product_part {
    int32_t in, out;
    int32_t rows;   /* more than the product's: the others are zeros */
    bool bias, add; /* as product_shape's; later inputs are always added */
    bool boxed_source, boxed_result; /* copied to the scratch memory, and from it */
    dnnl_primitive_t primitive;
    struct product_lane *lanes;
};

struct product {
    struct product_shape shape;
    const struct kernels *kernels; /* whose GEMM it is; NULL: the library's */
    int32_t in, out;
    enum dtype type; /* of source and operand */
    dnnl_memory_desc_t operand;
    bool for_amx;               /* every call is to use it */
    bool by_panels;             /* as the operand's layout: a panel is plain rows */
    bool by_blocks;             /* a panel is a column of the operand's blocks */
    int32_t part_in, panel_out; /* a call's inputs and outputs, but for the last */
    size_t panel_bytes;
    struct product_part
        parts[3][2]; /* [first inputs, more, last][whole panels, the rest] */
    /* one lane's scratch: [the library's][source][result][piece of a panel], each a multiple of 64 */
    size_t library_bytes, source_bytes, result_bytes, piece_bytes, scratch_bytes;
    int lane_count;
    struct product *next;
};

/* The products of a plan. A zeroed set is empty. */
struct product_set {
    struct product *first;
    struct pool *pool;             /* borrowed; set before use */
    const struct kernels *kernels; /* borrowed; NULL: the library's GEMMs alone */
};

/* Are products of such operands made by this layer's own GEMM, of any number of rows alike? */
bool product_is_own(const struct product_set *set, const struct weight_layout *layout);

/* Must the caller take the result in float32, and add the residual and convert it itself? Yes if the inputs are multiplied
 * in parts: a bfloat16 result would be rounded after each part, and a residual comes last, as where it is staged for other
 * reasons. */
bool product_wants_stage(const struct product_set *set,
                         const struct weight_layout *layout, enum dtype result,
                         bool add);

/* The product of this shape for operands of this layout; created if the set does not have it. */
enum dr_code product_get(struct product_set *set, const struct product_shape *shape,
                         const struct weight_layout *layout, const struct product **out,
                         struct dr_error *err) DR_MUST_CHECK;

/* Destroys the library's objects; the records go with the pool. */
void product_set_finish(struct product_set *set);

struct product_call {
    const void *source;
    const void *operand;               /* NULL where the shape has `made` */
    const struct panel_source *panels; /* what the operand is made of, there */
    int32_t output;                    /* ... of which it is the outputs from here on */
    const float *bias; /* NULL where, and only where, the shape has none */
    void *result, *scratch;
    /* of a product that is own: added instead of what result holds, of its type; may be NULL */
    const void *add;
};
/* False where the library fails. */
bool product_run(const struct product *product, int lane,
                 const struct product_call *call);

#endif
