/* compute — the process-wide facts of the compute library: processor, precision, threads.
 *
 * compute/ is the only directory that uses oneDNN. What it offers to the layers above:
 *   weight.h     one weight of a network, packed in the layout that the library executes
 *   plan.h       one network for one size: its values, operators, buffers and primitives
 *   reference_fixture.h  the same operators as plain loops, for tests
 */
#ifndef COMPUTE_COMPUTE_H
#define COMPUTE_COMPUTE_H

#include <stdbool.h>

#include "base/dtype.h"
#include "base/error.h"

/* Set the number of threads (0: one for each core this process may use: core_count.h) and turn off the
 * library's primitive cache, which would keep memory after a plan is destroyed. Call once
 * before anything else here; again to change the number. While a plan exists, on whatever
 * thread, the number cannot change: 0 keeps it, another number is DR_BUSY. Any thread. */
enum dr_code compute_init(int thread_count, struct dr_error *err) DR_MUST_CHECK;
int compute_thread_count(void);

/* The number of requested threads that the system refused to create: because of a limit on threads or
 * on address space. */
int compute_refused_threads(void);

/* Does this processor multiply bfloat16 in hardware (AVX512-BF16 or AMX)? */
bool compute_has_bf16(void);

/* Can the library compute in bfloat16 on this processor? With AVX512 but without bfloat16 hardware it
 * emulates it: half the memory of float32, several times the time. */
bool compute_can_bf16(void);

/* "oneDNN 2.6.3, AVX512-BF16, 2 threads": for the log and docs. The calling thread's, until it calls
 * again. */
const char *compute_description(void);

/* The same without the threads: what the layouts of weights depend on. Static storage. */
const char *compute_platform(void);

/* Return to the system what the library and malloc keep after plans were destroyed (malloc_trim). */
void compute_trim(void);

#endif
