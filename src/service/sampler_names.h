/* sampler_names — samplers and schedules by the names that clients have for them: A1111's ("DPM++ 2M Karras"), k-diffusion's
 * ("k_dpmpp_2m"), stable-diffusion.cpp's ("dpm++2m", "discrete") and the engine's own, in any case.
 *
 * A name is compared by its letters and digits alone; "+" counts as "p". Pure functions; any thread.
 */
#ifndef SERVICE_SAMPLER_NAMES_H
#define SERVICE_SAMPLER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <darkroom/darkroom.h>

enum {
    SAMPLER_ALIASES = 5
};

struct sampler_entry {
    const char *name;                         /* the engine's: "dpmpp-2m" */
    const char *label;                        /* A1111's: "DPM++ 2M" */
    const char *aliases[SAMPLER_ALIASES + 1]; /* until NULL */
};
struct schedule_entry {
    const char *name;  /* the engine's: "sgm-uniform" */
    const char *key;   /* A1111's name in requests: "sgm_uniform" */
    const char *label; /* A1111's in texts: "SGM Uniform" */
    const char *aliases[SAMPLER_ALIASES + 1];
};
/* Those that are offered, by index until NULL. */
const struct sampler_entry *sampler_names_at(size_t idx);
const struct schedule_entry *schedule_names_at(size_t idx);

/* The sampler that a name means; NULL: none. *schedule: the one that stands in the same name, else NULL. */
const struct sampler_entry *sampler_names_find(const char *said,
                                               const struct schedule_entry **schedule);
/* The one with the engine's name; NULL for another. */
const struct sampler_entry *sampler_names_of(const char *name);

enum schedule_match {
    SCHEDULE_FOUND,
    SCHEDULE_FOREIGN, /* one of another program, which the engine does not have: *schedule is automatic */
    SCHEDULE_UNKNOWN
};
enum schedule_match schedule_names_find(const char *said,
                                        const struct schedule_entry **schedule);
const struct schedule_entry *schedule_names_of(const char *name);

/* Does the engine's sampler go with the engine's schedule? */
bool sampler_names_accepts(const char *sampler, const char *schedule);
/* The schedule for a sampler, by the engine's name: the wanted one where it goes with it, else the one that A1111 takes
 * ("automatic", "" and what does not go with it). */
const char *sampler_names_schedule(const struct sampler_entry *sampler,
                                   const char *wanted);

#endif
