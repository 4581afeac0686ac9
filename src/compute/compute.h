/* compute — the process-wide facts of the compute library: processor, precision, threads.
 *
 * compute/ is the only folder that knows oneDNN. What it offers upward:
 *   weight.h     one operand of a network in the layout that the library executes
 *   plan.h       a network's run: values, operators, buffers, primitives; made, bound, run
 *   reference_fixture.h  the same operators as plain loops, for tests
 */
#ifndef COMPUTE_COMPUTE_H
#define COMPUTE_COMPUTE_H

#include <stdbool.h>

#include "base/dtype.h"
#include "base/error.h"

/* Set the number of threads (0: one for each core this process may use) and turn off the
 * library's primitive cache, which would keep memory after a plan is destroyed. Call once
 * before anything else here; again to change the number. While a plan exists, on whatever
 * thread, the number stays: 0 takes it as it is, another is DR_BUSY. Any thread. */
enum dr_code compute_init(int thread_count, struct dr_error *err) DR_MUST_CHECK;
int compute_thread_count(void);

/* So many more were wanted, and the system would not make them: a limit on threads or on addresses. */
int compute_refused_threads(void);

/* Does this processor multiply bfloat16 in hardware (AVX512-BF16 or AMX)? */
bool compute_has_bf16(void);

/* Does the library compute in bfloat16 here? Without such hardware it emulates it on AVX512: half
 * of float32's memory, several times its time. */
bool compute_can_bf16(void);

/* "oneDNN 2.6.3, AVX512-BF16, 2 threads": for the log and docs. The calling thread's, until it calls
 * again. */
const char *compute_description(void);

/* The same without the threads: what the layouts of weights depend on. Static storage. */
const char *compute_platform(void);

/* Give back what the library and malloc keep after plans were destroyed (malloc_trim). */
void compute_trim(void);

#endif
