/* event_json — what happens while a command runs, one object each.
 *
 * Progress of a job (step and step_count in the stage "unet" only; seed, of the image, only where noise is drawn;
 * left_ms, of the whole job, once it is known; finishing, how many sampled pictures are still written, only where the
 * job ends early):
 *     {"event":"progress", "stage":"unet", "image":0, "image_count":1, "seed":7, "step":3, "step_count":20,
 *      "left_ms":4601.0, "finishing":1, "share":0.15, "elapsed_ms":812.0}
 * A picture's file is there:
 *     {"event":"written", "image":0, "path":"a.png", "seed":7}
 * of reading weights:
 *     {"event":"progress", "stage":"load", "component":"unet", "done_bytes":..., "total_bytes":..., "share":0.4,
 *      "elapsed_ms":310.0}
 * A line of the log:
 *     {"event":"log", "level":"warning", "message":"..."}
 * Memory, by dr_clock_ms: a region came or went (the sums of all regions are those after it), a command began or ended:
 *     {"event":"opened", "ms":85.0, "component":"vae", "tag":"weights", "kind":"private", "start":140213,
 *      "bytes":167772160, "private_bytes":2138947584, "mapped_bytes":0}       or "closed"
 *     {"event":"begin", "ms":81.2, "command":"vae"}
 *     {"event":"end", "ms":97.9, "command":"vae", "ok":true}
 *
 * Each function makes a new object that the caller owns.
 */
#ifndef FRONT_EVENT_JSON_H
#define FRONT_EVENT_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *event_json_job(const struct dr_progress *progress);
json_t *event_json_written(int32_t index, const struct dr_image_info *image);
json_t *event_json_load(const struct dr_load_progress *progress);

json_t *event_json_log(enum dr_log_level level, const char *line);
/* "error", "warning", "info", "debug": static. */
const char *event_json_level(enum dr_log_level level);

json_t *event_json_memory(const struct dr_memory_event *region);
json_t *event_json_begin(const char *command, double ms);
json_t *event_json_end(const char *command, double ms, int ok);

#endif
