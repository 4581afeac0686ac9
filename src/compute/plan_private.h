/* plan_private — the insides of a plan, for plan*.c and the operator files.
 *
 * Values point to buffers: a reshaped value is another view of the same buffer. An operator
 * is a class (its functions), its values, and a record of its own. plan_seal calls prepare() of
 * each, which makes its products and says what scratch it needs; then come lives of buffers,
 * buffers that an operator may take over from an input ("in place"), and the layout.
 */
#ifndef COMPUTE_PLAN_PRIVATE_H
#define COMPUTE_PLAN_PRIVATE_H

#include <stdatomic.h>

#include "base/pool.h"
#include "base/size.h"
#include "compute/kernels.h"
#include "compute/plan.h"
#include "compute/product.h"
#include "mem/arena_plan.h"

#define OP_INPUTS   4
#define NOT_INPLACE (-1)

struct plan_value {
    struct shape shape;
    enum dtype dtype;
    int32_t buffer;
};

/* Rows [first, end) of an activation's images. */
struct lines {
    int32_t first, end;
};

/* Rows [first, first + count): pixels of a map, line by line. */
struct rows {
    int64_t first, count;
};

struct plan_buffer {
    size_t bytes;
    int32_t first, last; /* operators that write it first, and use it last */
    int32_t
        owner; /* the buffer whose memory it uses: its own, or that of an input (in place) */
    bool pinned; /* input or output */
    bool given;  /* input: written before the first operator */
    bool steady; /* made of steady inputs alone, or one of them */
    bool wanted; /* steady, made by an operator, and read by one that is not */
    size_t item; /* of the arena plan, where owner is itself */

    /* in bands (plan_band.h): */
    bool banded;
    bool kept;           /* it could be, but there is room for it whole */
    int32_t capacity;    /* lines that the buffer holds at most */
    struct lines window; /* that it holds, while a step runs */
    int32_t asked_end;   /* lines before this are to be made, */
    int32_t asked_by;    /* for this operator */
};

struct merge;
struct merge_set;

struct op;
struct op_class {
    const char *kind;
    /* Make products, set op->scratch_bytes and op->flop. */
    enum dr_code (*prepare)(struct plan *plan, struct op *op, struct dr_error *err);
    /* Compute these rows of the result. False if the library failed. */
    bool (*run)(const struct plan *plan, const struct op *op, struct rows rows);
    /* Can it compute only some rows of one image? */
    bool by_rows;
    int32_t
        line_step; /* lines that cost no more together than one of them; 0 means 1 */
    /* The lines of input k that lines of the result are made of; NULL: the same. */
    struct lines (*needs)(const struct op *op, int k, struct lines lines);
};

struct op {
    const struct op_class *class;
    struct value inputs[OP_INPUTS]; /* none: id 0 */
    struct value result;
    void *state;
    int32_t inplace; /* the input that result may overwrite element by element */
    bool taken;      /* it does */
    bool by_lines; /* no block of rows goes across lines: any lines can be made alone */
    bool in_bands; /* its result or an input is banded */
    bool steady;   /* all its inputs are */
    bool in_step;  /* it works in the step that runs */
    const int32_t *readers; /* operators that read its result */
    int32_t reader_count;
    size_t scratch_bytes;
    size_t scratch_item;
    int32_t scratch_first, scratch_last; /* operators in whose steps it is used */
    double flop;                         /* for the whole result */
    double run_flop;                     /* of one run of the plan */
    size_t weight_bytes;                 /* that one run reads, each counted once */
    struct merge_set
        *merges; /* weights with deltas, made before it runs (merge.h); NULL: none */
};

/* One step of a run: see plan_band.h. */
struct plan_step {
    enum {
        STEP_WHOLE,  /* an operator at once */
        STEP_FILL,   /* a whole result from banded values */
        STEP_MEASURE /* a group norm's statistics, of a value whole or banded */
    } kind;
    int32_t op;
    const int32_t *chain; /* operators that make the banded values for it, in order */
    int32_t chain_count;
};

/* A region of weights: by its index in plan_bind's list. */
struct plan_region {
    bool used; /* some operator reads a weight there */
    const unsigned char *data;
};

enum plan_phase {
    PLAN_BUILDING,
    PLAN_SEALED,
    PLAN_BOUND
};

struct plan {
    struct pool pool; /* holds this struct too */
    const char *name;
    enum dtype dtype;
    bool profile;
    int thread_count; /* when it was made: each thread has its own scratch in the arena */
    enum plan_phase phase;
    struct dr_error error;              /* the first; code DR_OK while there is none */
    const struct weight_deltas *deltas; /* or NULL; borrowed */
    struct merge *taken;                /* for the next operator */
    const unsigned char *merged;        /* of the operator that runs */

    struct plan_value *values; /* [0] is none */
    size_t value_count, value_capacity;
    struct plan_buffer *buffers;
    size_t buffer_count, buffer_capacity;
    struct op *ops;
    size_t op_count, op_capacity;
    struct plan_region *regions;
    size_t region_count, region_capacity;
    bool by_lines;
    bool exact_convolutions;
    size_t whole_bytes; /* 0: no limit */
    size_t most_bytes;  /* that kept values and taller bands may make of it */
    int32_t band_rows;  /* pixels of a band for each thread; 0: nothing is in bands */
    struct pool step_pool; /* of what steps are made of, which is made anew */
    struct plan_step *steps;
    size_t step_count;

    struct product_set products;
    struct arena_item *items;
    size_t item_count;
    size_t bytes;
    double flop, whole_flop;
    struct plan_op_profile *profiles;

    bool keeps_steady;
    bool has_steady; /* kept values are there, and of the inputs as they are */

    unsigned char *arena;
    bool is_borrowed; /* some value, by plan_borrow */
    const struct kernels *kernels;
};

/* ---- of plan_steady.c and plan_seal.c, for each other ---- */

/* Mark what is made of steady inputs alone. */
void plan_find_steady(struct plan *plan);
/* Lives and places in the arena, of what is kept and in bands now. */
enum dr_code plan_lay_out(struct plan *plan, struct dr_error *err) DR_MUST_CHECK;

/* ---- for operators, while building ---- */

/* Record memory, zeroed; NULL (and the error sticks) where there is none. */
void *plan_record(struct plan *plan, size_t bytes);
/* A new value with its own buffer. */
struct value plan_value_new(struct plan *plan, struct shape shape, enum dtype dtype);
/* Add the operator; returns op->result, or none where an error has stuck. */
struct value plan_add_op(struct plan *plan, const struct op *op);
bool plan_failed(const struct plan *plan);
/* Is the handle a value of this plan? If not, the plan fails. */
bool plan_has(struct plan *plan, struct value value, const char *what);
/* Check that the weight exists, is of this kind and has these sizes (0: any); else the plan fails. */
bool plan_has_vector(struct plan *plan, const struct weight *weight, int32_t n,
                     const char *what);

/* Note that an operator will read this weight (NULL: nothing to note): plan_weight gives only
 * these. Fails the plan where the weight's region is out of range. */
void plan_uses(struct plan *plan, const struct weight *weight);

static inline int64_t shape_rows(struct shape shape)
{
    return (int64_t)shape.n * shape.h * shape.w;
}
static inline bool shape_equal(struct shape a, struct shape b)
{
    return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

/* What some rows of an operator's result are of its FLOP. */
static inline double op_flop_of(const struct plan *plan, const struct op *op,
                                struct rows rows)
{
    return op->flop * (double)rows.count /
           (double)shape_rows(plan->values[op->result.id].shape);
}

/* ---- for operators, while running ---- */

/* Where a row of a value lies: one that the value has whole, or in its band. */
void *plan_row(const struct plan *plan, struct value value, int64_t row);
/* Address of a value, or of the part that a band holds, and the first row that is there. */
void *plan_address(const struct plan *plan, struct value value);
int32_t plan_first_line(const struct plan *plan, struct value value);
void *plan_scratch(const struct plan *plan, const struct op *op);
const void *plan_weight(const struct plan *plan, const struct weight *weight);

/* ---- for profiles ---- */

/* The bytes of an operator's inputs, weights and result, each counted once, however often it reads
 * them: an input that stands in several places (a fused qkv) is one. After prepare. */
uint64_t plan_touched_bytes(const struct plan *plan, const struct op *op);

#endif
