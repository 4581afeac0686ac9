#include "front/event_json.h"

#include "front/member.h"

/* ---- progress ---------------------------------------------------------------------------- */

static json_t *begin_progress(const char *stage)
{
    json_t *const event = json_object();
    member_set_text(event, "event", "progress");
    member_set_text(event, "stage", stage);
    return event;
}

static json_t *end_progress(json_t *event, double share, double elapsed_ms)
{
    member_set_real(event, "share", share);
    member_set_real(event, "elapsed_ms", elapsed_ms);
    return event;
}

static double share_of(uint64_t done, uint64_t total)
{
    return total ? (double)done / (double)total : 1.0;
}

json_t *event_json_job(const struct dr_progress *progress)
{
    json_t *const event = begin_progress(dr_stage_name(progress->stage));
    member_set_integer(event, "image", progress->image);
    member_set_integer(event, "image_count", progress->image_count);
    if (progress->has_seed) member_set_seed(event, progress->seed);
    if (progress->stage == DR_STAGE_UNET) {
        member_set_integer(event, "step", progress->step);
        member_set_integer(event, "step_count", progress->step_count);
    }
    if (progress->left_ms >= 0.0) member_set_real(event, "left_ms", progress->left_ms);
    if (progress->finishing_count > 0)
        member_set_integer(event, "finishing", progress->finishing_count);
    return end_progress(event, progress->share, progress->elapsed_ms);
}

json_t *event_json_written(int32_t index, const struct dr_image_info *image)
{
    json_t *const event = json_object();
    member_set_text(event, "event", "written");
    member_set_integer(event, "image", index);
    member_set_text(event, "path", image->path);
    member_set_seed(event, image->seed);
    return event;
}

json_t *event_json_load(const struct dr_load_progress *progress)
{
    json_t *const event = begin_progress("load");
    member_set_text(event, "component", progress->component);
    member_set_bytes(event, "done_bytes", progress->done_bytes);
    member_set_bytes(event, "total_bytes", progress->total_bytes);
    return end_progress(event, share_of(progress->done_bytes, progress->total_bytes),
                        progress->elapsed_ms);
}

/* ---- the log ----------------------------------------------------------------------------- */

const char *event_json_level(enum dr_log_level level)
{
    switch (level) {
    case DR_LOG_ERROR: return "error";
    case DR_LOG_WARNING: return "warning";
    case DR_LOG_NOTICE: return "notice";
    case DR_LOG_INFO: return "info";
    case DR_LOG_DEBUG: return "debug";
    }
    return "";
}

json_t *event_json_log(enum dr_log_level level, const char *line)
{
    json_t *const event = json_object();
    member_set_text(event, "event", "log");
    member_set_text(event, "level", event_json_level(level));
    member_set_text(event, "message", line);
    return event;
}

/* ---- memory ------------------------------------------------------------------------------ */

static json_t *begin_timed(const char *name, double ms)
{
    json_t *const event = json_object();
    member_set_text(event, "event", name);
    member_set_real(event, "ms", ms);
    return event;
}

json_t *event_json_memory(const struct dr_memory_event *region)
{
    json_t *const event = begin_timed(region->opened ? "opened" : "closed", region->ms);
    member_set_text(event, "component", region->component);
    member_set_text(event, "tag", region->tag);
    member_set_text(event, "kind", region->kind);
    member_set_bytes(event, "start", region->start);
    member_set_bytes(event, "bytes", region->bytes);
    member_set_bytes(event, "private_bytes", region->ledger_private_bytes);
    member_set_bytes(event, "mapped_bytes", region->ledger_mapped_bytes);
    return event;
}

json_t *event_json_begin(const char *command, double ms)
{
    json_t *const event = begin_timed("begin", ms);
    member_set_text(event, "command", command);
    return event;
}

json_t *event_json_end(const char *command, double ms, int ok)
{
    json_t *const event = begin_timed("end", ms);
    member_set_text(event, "command", command);
    member_set_flag(event, "ok", ok);
    return event;
}
