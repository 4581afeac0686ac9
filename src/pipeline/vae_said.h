/* vae_said — the VAE choice that applies to a checkpoint, its origin, and its meaning.
 *
 * The choice comes from a job, a call or the settings (switch/vae_choice.h); switch/vae_resolution.h
 * resolves it. A pipeline keeps both, so that it can always report why its VAE is the active one.
 */
#ifndef PIPELINE_VAE_SAID_H
#define PIPELINE_VAE_SAID_H

#include <stdbool.h>

#include "darkroom/darkroom.h"

enum vae_source {
    VAE_SAID_DEFAULT, /* nobody */
    VAE_SAID_SETTING, /* for all models */
    VAE_SAID_MODEL,   /* for this model, in the settings */
    VAE_SAID_JOB
};
struct vae_said {
    char choice[DR_PATH_BYTES];
    enum vae_source source;
    bool forced;    /* with DR_VAE_FORCE */
    char note[256]; /* "" or the origin of the choice as text, put before the reason */
};

struct vae_resolution {
    bool is_base;
    bool
        is_explicit; /* a name or a path was given: failures are errors, not warnings */
    char path[DR_PATH_BYTES]; /* of the file or folder, where not base */
    char reason[DR_REASON_BYTES];
};

struct vae_said vae_said_by(enum vae_source source, const char *choice);
const char *vae_source_name(enum vae_source source); /* "default", "setting", ... */

#endif
