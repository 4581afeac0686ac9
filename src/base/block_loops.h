/* block_loops — the decoding of each block type, compiled for each kind of processor. Private to
 * block_codec.c. All kinds give the same bytes. */
#ifndef BASE_BLOCK_LOOPS_H
#define BASE_BLOCK_LOOPS_H

#include "base/dtype.h"

typedef void block_loop(const unsigned char *restrict source, float *restrict target,
                        size_t block_count);

/* By type; NULL for a plain one. */
extern block_loop *const block_loops_baseline[DTYPE_COUNT];
#ifdef __x86_64__
extern block_loop *const block_loops_avx2[DTYPE_COUNT];
extern block_loop *const block_loops_avx512[DTYPE_COUNT];
#endif

#endif
