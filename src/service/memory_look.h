/* memory_look — what memory holds, for many who ask at once: the engine and the kernel are asked once for all of them.
 *
 *     memory_look(&look, &memory, &err);   by who wants to know; one at a time asks, the others wait for it
 *     memory_look_drop(&look);             by who has changed something: the next one asks again
 *
 * To ask the kernel costs milliseconds of processor time, more with a large model, which a running job would miss. So an
 * answer is kept for MEMORY_LOOK_KEEP_MS, or MEMORY_LOOK_SHARE times as long as the asking took (which is then one part in so
 * many of a processor), at most MEMORY_LOOK_LONGEST_MS, and given to all that come meanwhile. What it does not show by then
 * is only how the heap of a running process breathes. A region that is opened or closed, a switch, an unload, the end of a job drop it: who asks when one of
 * these is over never gets an answer from before. A drop in the middle of an asking counts: that answer is given to who
 * asked before the drop, and to nobody else.
 *
 * Threads: any. memory_look_drop takes no lock, so that it may be called while the engine is locked.
 */
#ifndef SERVICE_MEMORY_LOOK_H
#define SERVICE_MEMORY_LOOK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <darkroom/darkroom.h>

enum {
    MEMORY_LOOK_KEEP_MS = 250,
    MEMORY_LOOK_SHARE = 100,
    MEMORY_LOOK_LONGEST_MS = 1000
};

/* As dr_engine_memory: fills memory, which is then dr_memory_free's. */
typedef enum dr_code memory_look_ask(void *cookie, struct dr_memory *memory,
                                     struct dr_error *err);

struct memory_look {
    memory_look_ask *ask;
    void *cookie;
    double (*clock_ms)(void);
    _Atomic uint64_t drop_count;
    pthread_mutex_t lock; /* of what follows; held while somebody asks */
    bool is_kept;
    uint64_t kept_count; /* drop_count before it was asked for */
    double kept_from_ms, kept_until_ms;
    struct dr_memory kept;
};

/* cookie is borrowed. clock_ms: dr_clock_ms. finish: when nobody asks any more. */
void memory_look_init(struct memory_look *look, memory_look_ask *ask, void *cookie,
                      double (*clock_ms)(void));
void memory_look_finish(struct memory_look *look);

/* memory: a copy, the caller's to free with dr_memory_free. Errors: those of ask, which are not
 * kept; DR_NOMEM. */
enum dr_code memory_look(struct memory_look *look, struct dr_memory *memory,
                         struct dr_error *err) DR_MUST_CHECK;
void memory_look_drop(struct memory_look *look);

#endif
