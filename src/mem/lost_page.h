/* lost_page — a truncated mapped file must fail the job, not the process.
 *
 * Reading a mapped page that the file no longer has (or that a broken disk cannot return) raises
 * SIGBUS in the reading thread. For watched mappings the handler maps a page of zeros there,
 * marks the mapping, and lets the thread continue. The code that reads the mapping checks the
 * mark when a step is finished and discards its result if it is set. There is no longjmp. Any
 * other SIGBUS is passed to the previous handler.
 *
 * The handler has its own stack, because the compute library's kernels use the stack pointer
 * register for other data (compute/team.h). A thread that reads watched mappings inside such
 * kernels calls lost_page_prepare_thread first.
 *
 * Threads: watch and unwatch from any thread; the handler takes no lock.
 */
#ifndef MEM_LOST_PAGE_H
#define MEM_LOST_PAGE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LOST_PAGE_NO_WATCH = -1
};

/* Watch whole pages [data, data + bytes), mapped with this protection (PROT_READ, ...), which the
 * page of zeros gets too. Returns the watch's number, or LOST_PAGE_NO_WATCH where
 * all are in use. The first one installs the handler. */
int lost_page_watch(const void *data, size_t bytes, int protection);
void lost_page_unwatch(int watch);

/* Has it lost a page since? */
bool lost_page_happened(int watch);

/* Give the calling thread a signal stack, if it has none. Cheap when repeated. */
void lost_page_prepare_thread(void);

#endif
