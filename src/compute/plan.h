/* plan — one run of a network for one size: what it computes, in which order, and where every byte is.
 *
 * Life of a plan:
 *
 *   plan_create -> builder calls (plan_input, plan_conv, ...) -> plan_seal
 *       -> plan_bytes: the exact arena it needs     (nothing mapped yet: this is the estimate)
 *       -> plan_bind(arena, weight regions)         (addresses are handed out)
 *       -> plan_write(input); plan_run; plan_read(output)            ... as often as wanted
 *       -> plan_destroy
 *
 * Model code is a sequence of builder calls, written like the network itself. The plan derives
 * from it each value's first and last use, lays the buffers out (mem/arena_plan.h) and creates
 * the library's primitives with their scratchpads in the same arena. The forecast is computed from the
 * same list that is run. Nothing is allocated and no primitive is created during a run.
 *
 * Values are activations in channels-last memory: [n, h, w, c], dense. A token list
 * [n, tokens, c] is the same memory with h=1, w=tokens, or any h*w = tokens: a feature map is
 * a token list without a copy.
 *
 * A value can be too large to be kept completely (plan_options.whole_bytes): then it is computed in bands
 * (some rows of pixels at a time) each time it is used; see plan_band.h. The results are the same bytes.
 *
 * Errors while building are sticky: after the first, builder calls return an invalid value and
 * do nothing; plan_seal returns that first error. So a network's walk has no error branches.
 *
 * Rounding: plan->dtype (f32 or bf16) is the type of values between operators; all sums,
 * norms, softmax and activations are float32 inside an operator.
 *
 * Threads: one thread drives a plan; operators use compute_thread_count() threads inside.
 */
#ifndef COMPUTE_PLAN_H
#define COMPUTE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/dtype.h"
#include "base/error.h"
#include "compute/weight.h"

struct plan;
struct weight_deltas;

/* A handle to an activation. id 0 is "none" (or invalid, once an error has stuck), so that
 * zero-initialised options mean "none". */
struct value {
    int32_t id;
};
#define VALUE_NONE ((struct value){0})

struct shape {
    int32_t n, h, w, c;
};

enum activation {
    ACTIVATION_NONE,
    ACTIVATION_SILU,       /* x * sigmoid(x) */
    ACTIVATION_GELU,       /* exact, with erf */
    ACTIVATION_QUICK_GELU, /* x * sigmoid(1.702 x): CLIP-L */
};

/* ---- making ------------------------------------------------------------------------ */

struct plan_options {
    const char
        *name; /* "unet", "vae decoder": in errors, logs and profiles; borrowed */
    enum dtype dtype;        /* of values: DTYPE_F32 or DTYPE_BF16 */
    bool profile;            /* time each operator */
    bool exact_convolutions; /* no Winograd: each output is the sum of its products */
    bool
        by_lines; /* wide activations of one image are computed row by row; whole_bytes needs it */
    /* With by_lines: values of more bytes than this are made in bands, if their operators can do that;
     * 0: no bands. */
    size_t whole_bytes;
    /* With whole_bytes: as long as plan_bytes stays within this, some of those values are kept completely, so
     * that less is computed twice, and bands are taller, so that threads wait less; 0: neither. */
    size_t most_bytes;
    /* What adapters add to weights of this network (weight_delta.h); NULL: nothing. Borrowed until
     * plan_destroy. Not with by_lines. */
    const struct weight_deltas *deltas;
};

enum dr_code plan_create(struct plan **out, const struct plan_options *options,
                         struct dr_error *err) DR_MUST_CHECK;
void plan_destroy(struct plan **plan); /* NULL and *plan == NULL are fine */

/* Values that the caller writes before, or reads after, each run. Their memory in the arena is not
 * reused, neither during a run nor between runs; that of other values is. */
struct value plan_input(struct plan *plan, struct shape shape, enum dtype dtype);
struct value plan_output(struct plan *plan, struct value value,
                         enum dtype dtype); /* converts */
/* An input that stays the same over many runs, as a prompt does over the steps of a picture. What is made of such
 * inputs alone can be kept from run to run: plan_keep_steady. */
struct value plan_steady_input(struct plan *plan, struct shape shape, enum dtype dtype);
struct shape plan_shape(const struct plan *plan, struct value value);
enum dtype plan_dtype(const struct plan *plan, struct value value);

/* Assert that an input or output has the shape that the caller is about to write or read. Both the
 * network's code and its caller compute this shape; they are compared before memory is accessed. */
void plan_expect(const struct plan *plan, struct value value, struct shape shape,
                 enum dtype dtype);

/* Record an error found by model code (a wrong shape); it is sticky like all others. */
void plan_fail(struct plan *plan, enum dr_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- operators ---------------------------------------------------------------------- */

/* 2-D convolution, weight CONV. Output [n, ho, wo, out]. */
struct conv_options {
    const struct weight *weight;
    const struct weight *bias; /* VECTOR [out] or NULL */
    int32_t stride;            /* 1 or 2; 0 means 1 */
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    struct value residual; /* added to the result: same shape; or none */
    bool upsample;         /* nearest x2 of the input first, then this convolution;
                                * upsample_height/width give the size where it is not 2h, 2w */
    int32_t upsample_height, upsample_width; /* 0: twice the input */
    enum dtype dtype; /* of the result where result_dtype_set; else the plan's */
    bool dtype_set;
};
struct value plan_conv(struct plan *plan, struct value x,
                       const struct conv_options *options);

/* y = act(x W^T + b) + residual, over the last dimension. Weight LINEAR (or a 1x1 convolution).
 * The product runs in the weight's type: a float32 weight takes a float32 x. */
struct linear_options {
    const struct weight *weight;
    const struct weight *bias; /* VECTOR [out] or NULL */
    enum activation activation;
    struct value residual; /* added to the result: same shape; or none */
    struct value multiply; /* result *= this value (after activation); or none */
    enum dtype dtype;      /* of the result where dtype_set; else the plan's */
    bool dtype_set;
};
struct value plan_linear(struct plan *plan, struct value x,
                         const struct linear_options *options);

/* Group normalisation over concat(x, second) along channels, then optional SiLU.
 * Statistics in float32 over each group of one image, two passes or a compensated one; biased
 * variance. shift: a value [n or 1, 1, 1, c of x] in float32 that is added to x first (the time
 * embedding of a resnet). The concatenation exists only as the normalised result. */
struct group_norm_options {
    const struct weight *scale, *bias; /* VECTOR [c] */
    int32_t groups;
    float epsilon;
    bool silu;
    struct value second; /* or none */
    struct value shift;  /* or none */
};
struct value plan_group_norm(struct plan *plan, struct value x,
                             const struct group_norm_options *options);

struct layer_norm_options {
    const struct weight *scale, *bias; /* VECTOR [c] */
    float epsilon;
};
struct value plan_layer_norm(struct plan *plan, struct value x,
                             const struct layer_norm_options *options);

/* softmax(q k^T * scale) v in blocks of queries; the whole score matrix never exists.
 * q: columns [q_column, +heads*head_dim) of value q, k and v likewise: so a fused qkv
 * projection is used in place. k and v come from one token list (may be of another length than
 * q's). Output [as q's shape, heads*head_dim], plan's type. */
struct attention_options {
    struct value q, k, v;
    int32_t q_column, k_column, v_column;
    int32_t heads, head_dim;
    float scale;
    bool causal; /* token i sees tokens 0..i */
};
struct value plan_attention(struct plan *plan, const struct attention_options *options);

/* GEGLU: x holds [value | gate] along channels, result value * gelu(gate), half as wide. */
struct value plan_geglu(struct plan *plan, struct value x);

/* act(x), converted to dtype. Small vectors (time embedding). */
struct value plan_activate(struct plan *plan, struct value x,
                           enum activation activation, enum dtype dtype);

struct value plan_add(struct plan *plan, struct value a, struct value b);

/* Rows of a TABLE by int32 ids (an input of dtype DTYPE_I32, shape [n,1,t,1]), plus row t of
 * position (TABLE, at least t rows; may be NULL). An id below 0 is row -1 - id of vectors (TABLE, as wide; NULL:
 * there are none). Result [n,1,t,width]. An id outside the tables is the caller's error, asserted. */
struct embed_options {
    const struct weight *table, *position, *vectors;
};
struct value plan_embed(struct plan *plan, struct value ids,
                        const struct embed_options *options);

/* ---- using -------------------------------------------------------------------------- */

/* Make primitives, lay out buffers. Errors: the first sticky error; DR_NOMEM, DR_UNSUPPORTED. */
enum dr_code plan_seal(struct plan *plan, struct dr_error *err) DR_MUST_CHECK;

/* Keep what other operators read of the values that are made of steady inputs alone: they are computed in the
 * first run after plan_bind or after a steady input was written, and have memory of their own in the arena; or
 * not (as after plan_seal): they are computed in each run, and their memory is reused. The same bytes come out.
 * Changes plan_bytes; the plan must be bound again. Not with by_lines. Errors: as plan_seal's; then the plan
 * can only be destroyed. */
enum dr_code plan_keep_steady(struct plan *plan, bool keep,
                              struct dr_error *err) DR_MUST_CHECK;
/* Bytes of the values that plan_keep_steady(plan, true) keeps, kept now or not. After plan_seal. */
size_t plan_steady_bytes(const struct plan *plan);

/* Arena bytes, exact, scratchpads included. After plan_seal. */
size_t plan_bytes(const struct plan *plan);
/* Floating-point operations of the convolutions and GEMMs of one run; a multiply-add counts as 2. */
double plan_flop(const struct plan *plan);
/* The same without bands. The difference is what bands compute again. */
double plan_whole_flop(const struct plan *plan);
/* plan_options.whole_bytes; 0: nothing is in bands. */
size_t plan_whole_bytes(const struct plan *plan);
/* The next smaller plan_options.whole_bytes for which more values are in bands; 0: there is none.
 * After plan_seal. */
size_t plan_next_whole_bytes(const struct plan *plan);

/* The least length of plan_bind's list: 1 + the highest weight->region of the plan's operators; 0
 * where none has a weight. Known as soon as the operators are there. */
int32_t plan_region_count(const struct plan *plan);

/* Hand out addresses: arena holds plan_bytes (64-aligned); regions[i] is where the weights whose
 * region is i lie (weight->offset counts from it). The list is copied, the memory is borrowed until
 * the next plan_bind or plan_destroy; an entry that no operator reads may be NULL. May be called
 * again with other addresses. Errors, before any of it is touched: DR_BAD_INPUT where the arena is
 * not aligned, or the list lacks a region that an operator reads. */
enum dr_code plan_bind(struct plan *plan, void *arena, const void *const regions[],
                       int32_t region_count, struct dr_error *err) DR_MUST_CHECK;

/* ---- numbers in and out -----------------------------------------------------------------
 *
 * After plan_bind, between runs. No code above compute/ has an address in the arena: numbers are
 * copied. So a device needs only these functions and plan_run: its arena is in its own
 * memory, and plan_write, plan_clear, plan_read and plan_borrow are transfers.
 *
 * Elements are counted over the whole value, dense, in the order [n, h, w, c], and are of the
 * value's own dtype: plan_expect asserts both for whoever counts on them. A range that leaves the
 * value, a write to what is not an input and a read of what is neither input nor output are
 * asserted. Cost: one copy, no allocation.
 */
void plan_write(struct plan *plan, struct value input, size_t first, size_t count,
                const void *source);
/* The same with zeros. */
void plan_clear(struct plan *plan, struct value input, size_t first, size_t count);
void plan_read(const struct plan *plan, struct value value, size_t first, size_t count,
               void *target);

/* The complete value in memory that the host can read and change; only for an interface that must pass it
 * in one piece. Valid until plan_return, which must be called before the plan is run, read, written,
 * bound or destroyed; it stores the changes. One value at a time. */
void *plan_borrow(struct plan *plan, struct value value);
void plan_return(struct plan *plan);

struct plan_progress {
    void (*report)(void *cookie, double share_done); /* may be NULL; by share of FLOP */
    void *cookie;
    const struct cancel *cancel; /* may be NULL; looked at between operators */
};

/* Run all operators. Errors: DR_CANCELLED; DR_FAILED where the library fails.
 * Cost: no allocation. Same inputs, same plan, same thread count: same bytes. */
enum dr_code plan_run(struct plan *plan, const struct plan_progress *progress,
                      struct dr_error *err) DR_MUST_CHECK;

/* ---- looking ------------------------------------------------------------------------ */

struct plan_op_profile {
    const char *kind;   /* "conv 3x3", "linear", ... */
    struct shape shape; /* of the result */
    int32_t in;         /* input channels */
    double flop;    /* of one run; fewer multiplications count as the direct way's */
    uint64_t bytes; /* of whole values: inputs, weights and result, each counted once */
    double seconds; /* all runs so far, where the plan was made with profile */
    uint64_t
        runs; /* of the plan, to its end; in bands an operator may work several times in one */
};
/* Profiles of all operators in order; count in *count. After plan_seal; the plan owns them. */
const struct plan_op_profile *plan_profile(const struct plan *plan, size_t *count);

/* The buffers of the plan, for docs and `memory`: asserts their layout (arena_plan_check). */
void plan_check(const struct plan *plan);

#endif
