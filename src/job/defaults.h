/* defaults — size, steps, cfg, sampler and scheduler, if a request does not set them.
 *
 * Precedence: the request, the settings' entry for the model, the checkpoint's metadata, the settings for
 * all models, the family's defaults. Each fills the fields that are still open (not set):
 *
 *     struct job_defaults defaults = what the request gives;
 *     job_defaults_fill(&defaults, &entry's);
 *     job_defaults_fill_from_file(&defaults, &checkpoint.file, warning);
 *     job_defaults_fill(&defaults, &settings');
 *     job_defaults_fill(&defaults, &family's);
 *
 * A scheduler belongs to its sampler: a layer's scheduler counts only where no higher layer has chosen another sampler.
 *
 * Metadata, all optional: darkroom.default.size ("128x128"), .steps, .cfg, .sampler, .scheduler (the option's names and
 * ranges). An invalid value is reported and ignored.
 */
#ifndef JOB_DEFAULTS_H
#define JOB_DEFAULTS_H

#include "darkroom/darkroom.h"
#include "weights/family.h"
#include "weights/tensor_file.h"

enum {
    JOB_LEAST_SIDE = 64,
    JOB_MAX_SIDE = 8192, /* multiples of LATENT_FACTOR */
    JOB_MAX_CFG = 1000
};

/* As the fields of struct dr_generate_options. Names are borrowed. */
struct job_defaults {
    int32_t width, height, steps; /* 0: open */
    double cfg;                   /* DR_CFG_DEFAULT: open */
    const char *sampler;          /* NULL: open */
    const char *scheduler;        /* NULL: open, or the sampler's own */
};

/* Everything open. */
struct job_defaults job_defaults_none(void);

/* The family's defaults: only the scheduler is left open. */
struct job_defaults job_defaults_of_family(enum family family);

/* The values in the settings; NULL: none. The names are borrowed. */
struct job_defaults job_defaults_of_settings(const struct dr_defaults *settings);

/* Fields that are open in `defaults` are copied from `lower`. */
void job_defaults_fill(struct job_defaults *defaults, const struct job_defaults *lower);

/* The same from a checkpoint's metadata; names in `defaults` point into it. warning: "" or messages
 * about invalid values, only of fields that were open. */
void job_defaults_fill_from_file(struct job_defaults *defaults,
                                 const struct tensor_file *file,
                                 char warning[static DR_TEXT_BYTES]);

#endif
