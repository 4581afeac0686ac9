/* load_progress — the progress of reading weights, summed over several components.
 *
 *     struct load_progress progress;
 *     load_progress_begin(&progress, &sink, total_bytes);
 *     for each component: its reader gets load_progress_part(&progress, "unet", bytes)
 *
 * Bytes are counted as they are stored in the files, so that a caller can compute a rate. done_bytes never
 * decreases, and equals total_bytes when the last part was read completely. Threads: of the call that is running.
 */
#ifndef PIPELINE_LOAD_PROGRESS_H
#define PIPELINE_LOAD_PROGRESS_H

#include "base/cancel.h"
#include "darkroom/darkroom.h"
#include "weights/checkpoint.h"

/* The callback that progress is reported to, and the flag that is set if it asks to stop. */
struct load_progress_sink {
    dr_load_report *report; /* may be NULL */
    void *cookie;
    struct cancel *cancel; /* every reader checks it, whoever set it */
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

/* Begin the next component (`component` is a static string) of so many bytes. The result is valid until the next
 * call. */
const struct component_progress *load_progress_part(struct load_progress *progress,
                                                    const char *component,
                                                    uint64_t bytes);

/* The current read is abandoned; this many bytes of something else are read instead. */
void load_progress_replace(struct load_progress *progress, uint64_t bytes);

#endif
