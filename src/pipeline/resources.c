#include "pipeline/resources.h"

#include <stdarg.h>
#include <stdio.h>

void resources_log(const struct resources *resources, enum dr_log_level level,
                   const char *format, ...)
{
    if (!resources->log) return;
    char line[DR_PATH_BYTES + DR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    resources->log(resources->log_cookie, level, line);
}

bool resources_fit(const struct resources *resources, size_t bytes)
{
    const size_t limit = resources->ledger.limit_bytes;
    return !limit ||
           (bytes <= limit && resources->ledger.private_bytes <= limit - bytes);
}

void resources_begin_progress(struct resources *resources,
                              struct load_progress *progress, uint64_t total_bytes)
{
    const struct load_progress_sink sink = {resources->load_progress,
                                            resources->load_cookie, resources->cancel};
    load_progress_begin(progress, &sink, total_bytes);
}

enum dr_code resources_settle(struct resources *resources, struct pipeline *pipeline,
                              unsigned slots, struct source *other,
                              struct dr_error *err)
{
    const struct component_progress progress = {.cancel = resources->cancel};
    const struct pipeline_settle settle = {.slots = slots,
                                           .other = other,
                                           .manner = COMPONENT_PACK_WAIT,
                                           .ledger = &resources->ledger,
                                           .progress = &progress};
    return pipeline_settle(pipeline, &settle, err);
}
