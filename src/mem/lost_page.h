/* lost_page — a mapped file that is cut short must fail the job, not the process.
 *
 * Reading a page of a mapping that its file no longer has (or cannot give: a broken disk) raises
 * SIGBUS in the reading thread. For mappings that are watched here the handler puts a page of
 * zeros there, marks the mapping, and lets the thread go on; whoever reads the mapping asks for
 * the mark when a step is done, and throws its result away. Nothing jumps. A SIGBUS anywhere else
 * goes to whoever handled it before.
 *
 * The handler runs on a stack of its own: the compute library's kernels keep other things in the
 * stack pointer's register (compute/team.h). A thread that reads watched mappings from within
 * such kernels calls lost_page_prepare_thread first.
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

/* Has a page of it been lost since? */
bool lost_page_happened(int watch);

/* Give the calling thread a signal stack, if it has none. Cheap when repeated. */
void lost_page_prepare_thread(void);

#endif
