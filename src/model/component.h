/* component — one network's weights: which tensors it needs, and the region that holds them.
 *
 *   component_spec   made from names and shapes: a list of packed weights (operands, weight.h), each
 *                    from one or more tensors of the file. Made by clip_text.c, unet.c, vae.c. It has
 *                    all dimensions, and does not depend on the image size.
 *   component        a spec whose weights are in memory: one read-only region, either private or
 *                    mapped from a pack (component_pack.h).
 *
 * An operand is stored in the type of its tensors if the arithmetic's type holds all numbers of it (weight.h): then what
 * a pack holds is as large as the file. Else, or if its tensors differ in type or have scales, it is stored in
 * the arithmetic's type.
 *
 * Loading reads the file with pread in pieces through a small scratch region, computes their
 * digest, converts and packs them. So one pass gives the weights and the digest that identifies
 * them. The spec and the file's index are kept when the weights are released: this is what a "saved
 * original" is, and it takes no memory for tensors.
 */
#ifndef MODEL_COMPONENT_H
#define MODEL_COMPONENT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"
#include "compute/weight.h"
#include "mem/region.h"
#include "weights/checkpoint.h"

enum {
    OPERAND_MAX_PARTS = 4,
    /* Of any dim that a network is built from: as many rows of one operand, and the sum of two widths, are
     * an int32_t. */
    COMPONENT_MAX_DIM = INT32_MAX / OPERAND_MAX_PARTS,
};

/* One operand: tensors stacked along their first dimension (q, k, v), optionally only the
 * columns [first_column, first_column + weight.in) of each (a 1x1 kernel over a concatenation
 * is two operands). */
struct operand {
    struct weight weight;
    int32_t part_count;
    int32_t parts[OPERAND_MAX_PARTS]; /* indices into index->tensors */
    int32_t first_column;
    bool transpose; /* the tensor is stored [in, out] (OpenCLIP's text_projection) */
};

enum {
    COMPONENT_LISTED_PROBLEMS = 5
}; /* named in a message; the rest is counted */

/* Names for one message at the end, the first few of count. */
struct problem_list {
    char text[416];
    size_t count;
};

enum {
    COMPONENT_DECODED_BYTES =
        6 /* a number of a piece in blocks: float32, a byte, its group's scales */
};

/* How weights are stored (weight.h). Whatever is not named here is stored in the arithmetic's type. */
enum component_storage {
    STORAGE_FILE,     /* as in the file, where that gives the same bytes */
    STORAGE_COMPUTED, /* in the arithmetic's type */
    STORAGE_F16, /* as STORAGE_FILE, but float32 rounded to float16. In bfloat16 the same as STORAGE_FILE */
    STORAGE_Q8, /* in blocks, where conversion_type has them; the rest as STORAGE_F16 */
    STORAGE_Q4,
};

struct component_spec {
    const struct component_index
        *index;                /* borrowed from the checkpoint; outlives the spec */
    struct operand **operands; /* in the order of definition */
    size_t operand_count;
    size_t operand_capacity;
    size_t weights_bytes; /* of the region, exact */
    size_t scratch_bytes; /* of the load, exact */
    size_t chunk_bytes;   /* of one read; two such buffers lie in the scratch */
    size_t plain_bytes;   /* of the largest operand's plain form */
    size_t
        run_bytes; /* of the largest run of a weight (weight.h); each of lane_count threads has one */
    int32_t lane_count;
    size_t scale_rows; /* the most rows of a tensor that has scales; 0: none has */
    size_t
        decoded_count; /* of numbers of a piece in blocks, while it is loaded; 0: none is */
    enum dtype dtype; /* of the arithmetic: DTYPE_BF16 or DTYPE_F32 */
    /* The way of component_spec_store, where it rounds a number that the file has: another picture. Else STORAGE_FILE. */
    enum component_storage rounded_to;
    /* weight->region of its operands: 0, a base, unless set before the first component_need. */
    int32_t region;
    struct pool *pool; /* of the network's spec: operands, layouts and names lie here */
    /* found while building */
    struct problem_list missing;
    struct problem_list misshapen;
    struct problem_list
        quantised;            /* of the misshapen: weights in a form that is not read */
    const char *quantisation; /* of the first of them */
    struct problem_list
        unused; /* tensors of the file that no operand takes: not an error here */
    struct dr_error
        failure; /* the first error that is not about the file: no memory, ... */
};

void component_spec_begin(struct component_spec *spec,
                          const struct component_index *index, enum dtype dtype,
                          struct pool *pool);

/* Called by model code for each weight of the network. name may have printf directives for block
 * numbers. Each returns the packed weight (its address does not change), or NULL after recording a problem:
 * the caller continues, so that one message lists everything that is missing. Expected dims of -1 are taken
 * from the tensor. A tensor with another shape, without elements or with integer values
 * is a problem too. */
struct operand_request {
    enum weight_kind kind;
    int32_t out, in; /* expected; -1: whatever the tensor has. VECTOR: in is not
                                  * looked at. A stack: out of all parts together */
    int32_t kernel_height, kernel_width; /* 0: as 1 */
    enum dtype dtype; /* where dtype_set; else the spec's (VECTOR: f32) */
    bool dtype_set;
    int32_t first_column; /* with in: a slice of the tensor's columns */
    bool column_slice;
    bool transpose;
    bool optional; /* NULL without a problem where absent */
    bool
        flatten; /* TABLE: of any rank, its dimensions after the first taken together */
};
const struct weight *component_need(struct component_spec *spec,
                                    const struct operand_request *request,
                                    const char *name, ...)
    __attribute__((format(printf, 3, 4)));
/* Several tensors of one shape stacked; names is NULL-terminated, at most OPERAND_MAX_PARTS. An
 * optional stack counts as absent only if all of its tensors are absent. */
const struct weight *component_need_stack(struct component_spec *spec,
                                          const struct operand_request *request,
                                          const char *const names[]);

/* Lay out the region. Errors: DR_UNSUPPORTED where weights are quantised, with how;
 * DR_INCOMPLETE lists the problems ("vae of FILE: 3 tensors are
 * missing: ...; 1 has another shape: ... is F16 [4, 4, 1, 1], not [8, 8, 1, 1]"); DR_NOMEM and
 * what weight_init says. */
enum dr_code component_spec_end(struct component_spec *spec,
                                struct dr_error *err) DR_MUST_CHECK;

/* Store all weights in another way than STORAGE_FILE, and lay the region out again: after component_spec_end, before
 * a plan, a pack or a load uses the spec. Errors: as component_spec_end's. */
enum dr_code component_spec_store(struct component_spec *spec,
                                  enum component_storage storage,
                                  struct dr_error *err) DR_MUST_CHECK;

/* The type that most of the weights' bytes are stored in. */
enum dtype component_stored_type(const struct component_spec *spec);
/* "f16", "q8", "q4": what STORAGE_F16 and those after it round to. */
const char *component_storage_name(enum component_storage storage);

/* Report the file's tensors that the network does not use as a finding (meaning.h) of the checkpoint. After
 * component_spec_end. Errors: DR_NOMEM. */
enum dr_code component_note_unused(const struct component_spec *spec,
                                   struct checkpoint *checkpoint,
                                   struct dr_error *err) DR_MUST_CHECK;

/* ---- weights in memory ---- */

struct component_pack;

struct component_load_options {
    struct ledger *ledger;
    const char *name; /* "unet", "vae": the region's component */
    const uint8_t
        *expected_digest; /* NULL: whatever it is; else DR_CHANGED if it differs */
    const struct component_progress *progress; /* may be NULL */
    struct component_pack *pack; /* settled (component_pack.h); NULL: private memory */
};

/* Read, digest, convert, pack, seal; or, if a pack is ready, map it. On success *weights is an open
 * read-only region and digest is the component's. On error *weights is closed and the ledger as
 * before. Tensors that no operand uses are still digested. Peak private bytes while it runs:
 * weights_bytes + scratch_bytes (page-rounded each); scratch_bytes alone where a pack is made; none
 * where one is ready. The file's identity is checked before and after. Errors: DR_OVER_BUDGET,
 * DR_NOMEM, DR_IO, DR_CHANGED, DR_NOT_FINITE (a weight is NaN or infinite, or becomes so in the
 * type that it is stored in: names the tensor), DR_CANCELLED. Fault places: FAULT_REGION, FAULT_READ (each piece),
 * FAULT_VERIFY (the digest at the end). Threads: the calling one and compute's team; compute_init has
 * been called. */
enum dr_code component_load(const struct component_spec *spec,
                            const struct component_load_options *options,
                            struct region *weights, uint8_t digest[DIGEST_BYTES],
                            struct dr_error *err) DR_MUST_CHECK;

#endif
