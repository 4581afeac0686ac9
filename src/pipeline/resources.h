/* resources — what the engine provides to the layers that hold and use weights: the ledger that counts
 * their bytes, the pack directory, the number type, the callbacks, and the cancel flag.
 *
 * The engine owns the struct. The layers below borrow it during a call, so that they do not depend on
 * the engine.
 *
 * Threads: of the running call; any thread and any signal handler may request its `cancel`.
 */
#ifndef PIPELINE_RESOURCES_H
#define PIPELINE_RESOURCES_H

#include "base/cancel.h"
#include "darkroom/darkroom.h"
#include "mem/region.h"
#include "model/component.h"
#include "pipeline/cache_drop.h"
#include "pipeline/load_progress.h"
#include "weights/pack_store.h"

struct resources {
    enum dtype dtype; /* of the arithmetic, and of values between operators */
    enum component_storage storage; /* of weights */
    struct ledger ledger;
    struct pack_store packs;
    struct cancel *cancel;   /* of the running call; borrowed, never NULL */
    struct cache_drop cache; /* of the running call */
    void (*log)(void *cookie, enum dr_log_level level, const char *line); /* or NULL */
    void *log_cookie;
    dr_load_report *load_progress; /* or NULL */
    void *load_cookie;
};

void resources_log(const struct resources *resources, enum dr_log_level level,
                   const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Would this many more private bytes be within the ledger's limit? */
bool resources_fit(const struct resources *resources, size_t bytes);

/* Begin to report the progress of reading this many bytes. */
void resources_begin_progress(struct resources *resources,
                              struct load_progress *progress, uint64_t total_bytes);

/* pipeline_settle with these packs, this ledger and this cancel flag. pipeline_unsettle releases what
 * was reserved and not used. slots: a mask. other: a source that may take the VAE's slot, or NULL. Errors: DR_CANCELLED. */
enum dr_code resources_settle(struct resources *resources, struct pipeline *pipeline,
                              unsigned slots, struct source *other,
                              struct dr_error *err) DR_MUST_CHECK;

#endif
