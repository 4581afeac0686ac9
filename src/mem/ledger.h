/* ledger — the table of every region that this engine holds.
 *
 * Why it exists: only the code that requests memory knows what it is for. Every mapping for data
 * goes through region.h. It is entered here before the system is asked and removed after the system
 * has it back. So at any moment the ledger's bytes of each region can be compared with the kernel's
 * own figures (kernel_view.h).
 *
 * Invariants (ledger_check): the list is sound; private_bytes and mapped_bytes are the sums
 * over the list; current <= peak; private_bytes <= limit_bytes where a limit is set.
 *
 * Threads: one thread changes a ledger. If other threads read it meanwhile, it has a lock, which
 * region.h holds during each complete operation. Whoever holds the lock sees no unfinished region,
 * and sums that match the list.
 */
#ifndef MEM_LEDGER_H
#define MEM_LEDGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* X(NAME, "name"): what a region's bytes are. */
#define REGION_TAGS(X)            \
    X(WEIGHTS, "weights")         \
    X(ACTIVATIONS, "activations") \
    X(LATENTS, "latents")         \
    X(EMBEDDINGS, "embeddings")   \
    X(IMAGE, "image")             \
    X(SCRATCH, "scratch")

enum region_tag {
#define X(name, text) REGION_##name,
    REGION_TAGS(X)
#undef X
    REGION_TAG_COUNT
};

enum region_kind {
    REGION_PRIVATE, /* anonymous, populated when reserved: bytes = smaps Rss */
    REGION_MAPPED,  /* a file, read-only and shared: bytes = smaps Size, Rss <= Size */
};

struct region;

/* Called for each region when the system has provided it, and after the system has it back; then
 * its bytes are already subtracted from the sums. Runs in the thread that opened or closed it and
 * must not open or close regions. */
enum ledger_change {
    LEDGER_OPENED,
    LEDGER_CLOSED
};
struct ledger_observer {
    void (*changed)(void *cookie, enum ledger_change change,
                    const struct region *region); /* may be NULL */
    void *cookie;
};

struct ledger {
    pthread_mutex_t *lock; /* recursive, borrowed; NULL: no other thread looks */
    struct region *first;  /* in order of creation */
    struct region *last;
    size_t count;
    size_t private_bytes; /* current */
    size_t mapped_bytes;
    size_t peak_private_bytes; /* since ledger_reset_peak */
    size_t peak_mapped_bytes;
    struct ledger_observer observer;
    size_t limit_bytes;    /* maximum private bytes of regions; 0 = no limit */
    uint64_t opened_count; /* regions ever opened */
    size_t tag_bytes[REGION_TAG_COUNT];      /* current, private and mapped */
    size_t tag_peak_bytes[REGION_TAG_COUNT]; /* since ledger_reset_peak */
};

/* A zeroed ledger is a valid empty one without a limit and without a lock. */

/* The thread that changes the ledger, or state that is looked at beside it, holds the lock while it
 * does; so does a thread that looks. May be nested. ledger NULL, or without a lock: nothing. */
void ledger_lock(const struct ledger *ledger);
void ledger_unlock(const struct ledger *ledger);

/* Called by region.c only; all other code opens, maps, moves and closes regions. reserve:
 * before the system is asked for region->bytes. Refuses private bytes beyond the limit
 * (DR_OVER_BUDGET: need, in use, limit) and then leaves all as it was. withdraw: the system
 * refused; the ledger is restored to `before`, its state before the reserve, including
 * peaks. refund: after the system has the bytes back. replace: the same bytes under another
 * struct. announce: tell the observer. */
enum dr_code ledger_reserve(struct ledger *ledger, struct region *region,
                            struct dr_error *err) DR_MUST_CHECK;
void ledger_withdraw(struct ledger *ledger, struct region *region,
                     const struct ledger *before);
void ledger_refund(struct ledger *ledger, struct region *region);
void ledger_replace(struct ledger *ledger, struct region *old,
                    struct region *new_region);
void ledger_announce(const struct ledger *ledger, enum ledger_change change,
                     const struct region *region);

/* Resets the peaks to the current figures. */
void ledger_reset_peak(struct ledger *ledger);

const char *region_tag_name(enum region_tag tag);
const char *region_kind_name(enum region_kind kind);

/* Checks the invariants; asserts on the first that does not hold. */
void ledger_check(const struct ledger *ledger);

#endif
