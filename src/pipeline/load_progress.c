#include "pipeline/load_progress.h"

#include "base/clock.h"

void load_progress_begin(struct load_progress *progress,
                         const struct load_progress_sink *sink, uint64_t total_bytes)
{
    *progress = (struct load_progress){.sink = *sink,
                                       .total_bytes = total_bytes,
                                       .started_ms = clock_ms()};
}

static void report_part(void *cookie, double share)
{
    struct load_progress *const progress = cookie;
    const struct load_progress_sink *const sink = &progress->sink;
    const uint64_t part_done = share >= 1.0
                                   ? progress->part_bytes
                                   : (uint64_t)(share * (double)progress->part_bytes);
    progress->done_bytes = progress->before_bytes + part_done;
    const struct dr_load_progress now = {.component = progress->component,
                                         .done_bytes = progress->done_bytes,
                                         .total_bytes = progress->total_bytes,
                                         .elapsed_ms =
                                             clock_ms() - progress->started_ms};
    if (sink->report(sink->cookie, &now) != 0) cancel_request(sink->cancel);
}

const struct component_progress *load_progress_part(struct load_progress *progress,
                                                    const char *component,
                                                    uint64_t bytes)
{
    progress->component = component;
    progress->before_bytes = progress->done_bytes;
    progress->part_bytes = bytes;
    progress->reader =
        (struct component_progress){.report =
                                        progress->sink.report ? report_part : NULL,
                                    .cookie = progress,
                                    .cancel = progress->sink.cancel};
    return &progress->reader;
}

void load_progress_replace(struct load_progress *progress, uint64_t bytes)
{
    progress->total_bytes = progress->done_bytes + bytes;
}
