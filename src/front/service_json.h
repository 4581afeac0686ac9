/* service_json — what a running service (darkroom serve) is asked and answers, for programs that talk to it.
 *
 *     ps      {"models":[{"model":"sd15.safetensors", "private_bytes":..., "expires_in_ms":..., "vae":{...}}, ...]}
 *     stop    {"receipt":{...}}
 *     submit  {"id":"...", "state":"queued", "position":1, "forecast":{...}}
 */
#ifndef FRONT_SERVICE_JSON_H
#define FRONT_SERVICE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <darkroom/darkroom.h>
#include <jansson.h>

/* Reads an answer: its members into fields. Errors: what the service says, with its code; DR_CORRUPT where the answer is
 * not a service's. */
enum dr_code service_json_read(json_t *fields, int status, const char *text,
                               size_t byte_count, struct dr_error *err) DR_MUST_CHECK;

/* Of the answer of ps: `expires` becomes `expires_in_ms` from now_s (Unix time); null stays for "never". Returns how many
 * models there are. */
size_t service_json_show_expiry(json_t *fields, double now_s);
/* The title of the loaded model that a user calls `said`: by its title, the beginning of that, or its path. NULL: no
 * loaded model is called that. Borrowed. */
const char *service_json_loaded(const json_t *fields, const char *said);

/* A job to submit. Texts may be NULL, numbers 0 (cfg negative): the service's own. styles: NULL-terminated, or NULL. sampling: NULL for
 * dr_sampling_default. */
struct service_job {
    const char *prompt, *negative, *model, *vae, *sampler, *scheduler;
    int32_t width, height, steps, clip_skip, batch;
    double cfg;
    const uint64_t *seed; /* NULL: any */
    const char *const *styles;
    const struct dr_sampling *sampling;
    enum dr_emphasis emphasis;
    int32_t pad_prompts;
};
/* The body of its request: malloc'ed; NULL where memory runs out. */
char *service_json_job(const struct service_job *job);

#endif
