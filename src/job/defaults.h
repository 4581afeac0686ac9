/* defaults — size, steps, cfg, sampler and scheduler of a job that does not give them.
 *
 * Layers, highest first: the request, the settings' entry for the model, the checkpoint's metadata, the settings for
 * all models, its family. Each fills what is still open:
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
 * ranges). A value that is not one of these is reported and left open.
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

/* What the family has: nothing is open but the scheduler. */
struct job_defaults job_defaults_of_family(enum family family);

/* What the settings have; NULL: nothing. The names are borrowed. */
struct job_defaults job_defaults_of_settings(const struct dr_defaults *settings);

/* What is open in `defaults` is taken from `lower`. */
void job_defaults_fill(struct job_defaults *defaults, const struct job_defaults *lower);

/* The same from a checkpoint's metadata, which names have to outlive. warning: "" or sentences about values that are of
 * no use; of those alone that are needed. */
void job_defaults_fill_from_file(struct job_defaults *defaults,
                                 const struct tensor_file *file,
                                 char warning[static DR_TEXT_BYTES]);

#endif
