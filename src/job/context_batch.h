/* context_batch — in which batches the UNet is run for the contexts of one evaluation.
 *
 * The contexts are, in this order, the negative prompt (where there is guidance) and each part of the prompt. A
 * prompt has one part, or several with AND between them; all parts have the same number of chunks. Contexts of
 * the same length run in pairs, so what a job needs in memory does not grow with its parts:
 *
 *     negative and prompt of one length       [ negative prompt ]
 *     of two lengths                          [ negative ] [ prompt ]
 *     a AND b AND c, of one length            [ negative a ] [ b c ]
 *     a AND b AND c, the negative is longer   [ negative ] [ a b ] [ c ]
 *
 * Pure functions.
 */
#ifndef JOB_CONTEXT_BATCH_H
#define JOB_CONTEXT_BATCH_H

#include "sampling/guidance.h"

struct context_layout {
    bool guided;
    bool rests; /* some evaluations are not guided */
    int32_t part_count;
    int32_t part_chunks, negative_chunks;
};

struct context_batch {
    int32_t first, count; /* contexts */
    int32_t chunks;       /* of each */
};

/* With the negative prompt, where there is one. */
int32_t context_layout_count(const struct context_layout *layout);

/* All batches of one evaluation, in order; returns how many. */
int32_t context_batch_list(const struct context_layout *layout,
                           struct context_batch batches[GUIDANCE_MAX_CONTEXTS]);

/* Those of an evaluation that is not guided: the parts alone. 0 where none is guided anyway. */
int32_t context_batch_list_alone(const struct context_layout *layout,
                                 struct context_batch batches[GUIDANCE_MAX_CONTEXTS]);

#endif
