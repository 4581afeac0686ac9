/* library — the oneDNN engine and stream that all of compute/ shares.
 *
 * Primitives are made for one thread and run by many (product.h): the engine and the stream
 * hold no state between calls on a CPU, so all threads use the same.
 */
#ifndef COMPUTE_LIBRARY_H
#define COMPUTE_LIBRARY_H

#include <dnnl.h>
#include <stdbool.h>

#include "base/dtype.h"
#include "base/error.h"

/* Valid after compute_init. */
dnnl_engine_t library_engine(void);
dnnl_stream_t library_stream(void);

dnnl_data_type_t library_type(enum dtype type); /* DTYPE_F32 or DTYPE_BF16 */

/* May the library use AMX for bfloat16 on this processor? */
bool library_has_amx(void);

/* Are products in bfloat16 faster by a table's own kernels? kernels_multiply: the table can (multiplies_bf16). AMX multiplies
 * several times as fast as they do. */
static inline bool library_is_slower_in_bf16(bool kernels_multiply)
{
    return kernels_multiply && !library_has_amx();
}

/* Call this before creating or running the library's objects: the library crashes if an allocation is
 * refused, so enough memory must be available (mem/headroom.h). Errors: DR_NOMEM. */
enum dr_code library_room(const char *what, struct dr_error *err) DR_MUST_CHECK;

/* Primitives that are created between these two calls run on one thread. The first returns what the
 * second takes. */
int library_begin_single(void);
void library_end_single(int before);

/* A plan calls the first when it is created and the second when it is destroyed: between them the
 * number of threads, which its buffers depend on, cannot change. Any thread. The first returns that
 * number; 0 before compute_init. */
int library_begin_plan(void);
void library_end_plan(void);

/* DR_OK for success; DR_NOMEM, DR_UNSUPPORTED or DR_FAILED with "what: the library says". */
enum dr_code library_check(dnnl_status_t status, const char *what,
                           struct dr_error *err) DR_MUST_CHECK;

#endif
