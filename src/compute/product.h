/* product — one matrix product of the library: rows x operand (+ bias) (+ what is there).
 *
 *     result[rows][out] = source[rows][in] * operand[in][out] + bias[out] (+ result)
 *
 * All heavy arithmetic of compute/ is this. A product is made for ONE thread and may be run
 * by all threads at once, each with its own lane (handles) and its own scratch memory: a
 * primitive of the library shared without a caller's scratchpad corrupts results silently.
 * source and result are dense. A plan makes each different product once (product_set).
 *
 * Threads: make and finish from one; product_run from any, one at a time for each lane.
 */
#ifndef COMPUTE_PRODUCT_H
#define COMPUTE_PRODUCT_H

#include <dnnl.h>
#include <stdbool.h>

#include "base/pool.h"
#include "compute/layout.h"

struct product_shape {
    int32_t rows;
    enum dtype result;
    bool bias; /* float32, [out] */
    bool add;  /* to what result holds, after one rounding of neither */
};

struct product_lane {
    dnnl_memory_t source, operand, bias, result, scratch;
};

/* What one call of the library makes: `out` outputs (0: there is no such part) of some inputs. */
struct product_part {
    int32_t out;
    bool bias, add; /* as product_shape's; later inputs are always added */
    dnnl_primitive_t primitive;
    struct product_lane *lanes;
};

struct product {
    struct product_shape shape;
    int32_t in, out;
    enum dtype type; /* of source and operand */
    dnnl_memory_desc_t operand;
    bool by_panels;             /* as the operand's layout; else one call makes all */
    int32_t part_in, panel_out; /* a call's inputs, which divide all, and outputs */
    size_t panel_bytes;
    struct product_part parts[2][2]; /* [first inputs, later][whole panels, the rest] */
    size_t scratch_bytes;            /* one lane's, a multiple of 64 */
    int lane_count;
    struct product *next;
};

/* The products of a plan. A zeroed set is empty. */
struct product_set {
    struct product *first;
    struct pool *pool; /* borrowed; set before use */
};

/* The product of this shape over operands of this layout: found or made. */
enum dr_code product_get(struct product_set *set, const struct product_shape *shape,
                         const struct weight_layout *layout, const struct product **out,
                         struct dr_error *err) DR_MUST_CHECK;

/* Destroys the library's objects; the records go with the pool. */
void product_set_finish(struct product_set *set);

struct product_call {
    const void *source, *operand;
    const float *bias; /* NULL where, and only where, the shape has none */
    void *result, *scratch;
};
/* False where the library fails. */
bool product_run(const struct product *product, int lane,
                 const struct product_call *call);

#endif
