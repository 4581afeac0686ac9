/* attention_private — what the files of attention share: attention.c, which divides the work, and two cores that do it.
 *
 *   attention_fused.c  kernels.attend: scores never leave the first cache. All of float32, and bfloat16 where that kernel has it.
 *   attention_gemm.c   the library's GEMMs and kernels.softmax: bfloat16 elsewhere, that is with AMX or emulated.
 */
#ifndef COMPUTE_ATTENTION_PRIVATE_H
#define COMPUTE_ATTENTION_PRIVATE_H

#include "compute/layout.h"
#include "compute/plan_private.h"

#define ATTENTION_MOST_QUERIES 128 /* of a block */

enum {
    ATTENTION_Q,
    ATTENTION_K,
    ATTENTION_V
};

struct attention_core;

struct attention_gemm {
    struct weight_layout query_layout,
        probability_layout; /* [dim, queries], [keys, queries] */
    struct layout_lines query_lines, probability_lines;
    bool query_has_lines;
    const struct product *score_product, *sum_product;
    size_t key_bytes, query_bytes, score_bytes, probability_bytes, sum_bytes, row_bytes;
};

/* As struct kernel_attend. */
struct attention_fused {
    size_t width, dim_words, dims, key_rows, value_rows, tile_step;
    size_t key_bytes, query_bytes, score_bytes, sum_bytes, row_bytes, factor_bytes;
};

struct attention {
    struct attention_options options;
    enum dtype type;
    const struct attention_core *core;
    int32_t query_tokens, key_tokens;
    int32_t queries, query_blocks; /* of a block, of a head */
    int32_t keys, key_blocks;
    int32_t heads;      /* over all images */
    bool whole_heads;   /* a head is one thread's work; else waves of */
    int32_t wave_heads; /* this many */
    int32_t lanes;
    /* scratch: packed heads, one for each lane or of a wave; then the lanes' own */
    size_t block_bytes, head_bytes, packed_bytes, lane_bytes;
    struct attention_gemm gemm; /* of one of the cores */
    struct attention_fused fused;
};

struct attention_run {
    const struct plan *plan;
    const struct op *op;
    const struct attention *attention;
    unsigned char *packed, *lanes;
    int32_t first_head; /* of the wave */
    atomic_bool failed;
};

/* A block of queries of one head. */
struct attention_task {
    int32_t image, head;
    int32_t first, count; /* queries */
    int lane;
    const unsigned char *packed; /* the head's blocks of keys */
    unsigned char *scratch;      /* the lane's */
};

struct attention_core {
    /* Set queries and keys of a block and how many blocks there are, block_bytes and lane_bytes (multiples of 64). */
    enum dr_code (*prepare)(struct plan *plan, struct attention *a,
                            struct dr_error *err);
    /* Pack one block of keys, and their values, of a head (counted over all images). */
    void (*pack)(const struct attention_run *run, int32_t whole, int32_t block,
                 unsigned char *packed);
    /* Compute the result of the task's queries. False if the library failed. */
    bool (*attend)(const struct attention_run *run, const struct attention_task *task);
};

extern const struct attention_core attention_fused, attention_gemm;

/* The first number of a token's head in an input. */
const unsigned char *attention_head(const struct attention_run *run, int which,
                                    int32_t image, int32_t token, int32_t head);
/* Elements from token to token. */
size_t attention_step(const struct attention_run *run, int which);

/* Where the result of one of the task's queries lies. */
unsigned char *attention_result(const struct attention_run *run,
                                const struct attention_task *task, int32_t query);

/* sums [dim][queries, `step` apart] / total, transposed and rounded, are the result of `count` queries from `first` on.
 * total is overwritten. */
void attention_finish(const struct attention_run *run,
                      const struct attention_task *task, int32_t first, int32_t count,
                      const float *sums, size_t step, float *total);

#endif
