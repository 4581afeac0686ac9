/* headroom — how much more memory and how many more threads the system would give to this process.
 *
 * Two libraries do not survive a refusal: oneDNN uses the result of its allocator without checking
 * it (a segmentation fault), and libgomp ends the process if a thread cannot be created. Limits
 * make refusals common: the address space (ulimit -v), data (ulimit -d), threads (ulimit -u, the
 * pids controller of a container). So code that is about to call them asks here first:
 *
 *     if (headroom_check(16 << 20, "the UNet's code", err)) return DR_NOMEM;
 *     const int threads = 1 + headroom_threads(count - 1);
 *
 * The answer is valid only for the moment: another thread of the process may take the memory.
 * Nothing stays reserved, nothing becomes resident.
 *
 * Threads: any.
 */
#ifndef MEM_HEADROOM_H
#define MEM_HEADROOM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
    HEADROOM_TEXT_BYTES = 256
};

/* Would the system provide this many more bytes, for the purpose `what`? Errors:
 * DR_NOMEM, naming the limit. */
enum dr_code headroom_check(size_t bytes, const char *what,
                            struct dr_error *err) DR_MUST_CHECK;

/* How many more threads, at most count, could run now, each with a stack of the default size.
 * The threads are created, and have ended when the function returns. */
int headroom_threads(int count);

/* The limit of this process that causes a refusal, with figures and advice, as a clause: "this process
 * may map 97.7 MiB (ulimit -v) and has mapped 90.1 MiB; raise this limit, or ...". False: the process
 * has no limit, and the text says so. */
bool headroom_describe(char text[static HEADROOM_TEXT_BYTES]);

#endif
