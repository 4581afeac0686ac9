/* headroom — what the system would still give to this process, asked before it is needed.
 *
 * Two libraries do not survive a refusal: oneDNN uses what its allocator returned without a look (a
 * segmentation fault), and libgomp ends the process where a thread cannot be made. Limits make
 * refusals common: the address space (ulimit -v), data (ulimit -d), threads (ulimit -u, the pids
 * controller of a container). So whoever is about to call them asks here first:
 *
 *     if (headroom_check(16 << 20, "the UNet's code", err)) return DR_NOMEM;
 *     const int threads = 1 + headroom_threads(count - 1);
 *
 * The answer holds for this moment: another thread of the process may take the room. Nothing stays
 * reserved, nothing becomes resident.
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

/* Would the system give so many bytes more for what? Errors: DR_NOMEM, with what limits it. */
enum dr_code headroom_check(size_t bytes, const char *what,
                            struct dr_error *err) DR_MUST_CHECK;

/* How many threads, count at most, could run now beside those that do, each with a stack of the
 * usual size. They are made, and are gone again when it returns. */
int headroom_threads(int count);

/* The limit of this process that a refusal is about, with numbers, and what to do, as a clause: "this
 * process may map 97.7 MiB (ulimit -v) and has mapped 90.1 MiB; raise that limit, or ...". False: it has
 * none, and the text says that. */
bool headroom_describe(char text[static HEADROOM_TEXT_BYTES]);

#endif
