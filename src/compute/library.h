/* library — the one handle to oneDNN that compute/ shares.
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

/* May it use AMX for bfloat16 here? */
bool library_has_amx(void);

/* Before what is made of the library's objects, or run: it does not survive a refused allocation
 * (mem/headroom.h). Errors: DR_NOMEM. */
enum dr_code library_room(const char *what, struct dr_error *err) DR_MUST_CHECK;

/* Primitives made between these two are made for one thread. Returns what to pass back. */
int library_begin_single(void);
void library_end_single(int before);

/* A plan lives between these two: the number of threads, which its buffers count on, stays as it
 * is. Any thread. Begin returns that number; 0 before compute_init. */
int library_begin_plan(void);
void library_end_plan(void);

/* DR_OK for success; DR_NOMEM, DR_UNSUPPORTED or DR_FAILED with "what: the library says". */
enum dr_code library_check(dnnl_status_t status, const char *what,
                           struct dr_error *err) DR_MUST_CHECK;

#endif
