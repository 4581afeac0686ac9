/* load_progress — how far a reading of weights is, over several components.
 *
 *     struct load_progress progress;
 *     load_progress_begin(&progress, &sink, total_bytes);
 *     for each component: its reader gets load_progress_part(&progress, "unet", bytes)
 *
 * Bytes are those of the files, so that a caller sees a pace. done_bytes never falls and is
 * total_bytes when the last part was read whole. Threads: of the call that is running.
 */
#ifndef PIPELINE_LOAD_PROGRESS_H
#define PIPELINE_LOAD_PROGRESS_H

#include "base/cancel.h"
#include "darkroom/darkroom.h"
#include "weights/checkpoint.h"

/* Who is told, and what is set where the answer is to stop. */
struct load_progress_sink {
    dr_load_report *report; /* may be NULL */
    void *cookie;
    struct cancel *cancel; /* looked at by every reader, by whomever it was set */
};

struct load_progress {
    /* private */
    struct load_progress_sink sink;
    const char *component;
    uint64_t before_bytes, part_bytes; /* of the parts before this one; of this one */
    uint64_t done_bytes, total_bytes;
    double started_ms;
    struct component_progress reader;
};

void load_progress_begin(struct load_progress *progress,
                         const struct load_progress_sink *sink, uint64_t total_bytes);

/* The next reading: of `component` (static), bytes long. Borrowed until the next call. */
const struct component_progress *load_progress_part(struct load_progress *progress,
                                                    const char *component,
                                                    uint64_t bytes);

/* What was being read is given up; so many bytes of something else are left in its place. */
void load_progress_replace(struct load_progress *progress, uint64_t bytes);

#endif
