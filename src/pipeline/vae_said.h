/* vae_said — what was said about a checkpoint's VAE, by whom, and what that means.
 *
 * The words come from a job, a call or the settings (switch/vae_choice.h); their meaning is worked
 * out by switch/vae_resolution.h. A pipeline keeps both, so that it can always tell why its VAE is
 * the active one.
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
    char note[256]; /* "" or who said it, in words, to stand before the reason */
};

struct vae_resolution {
    bool is_base;
    bool is_explicit; /* a name or a path was said: failures are errors, not warnings */
    char path[DR_PATH_BYTES]; /* of the file or folder, where not base */
    char reason[DR_TEXT_BYTES];
};

struct vae_said vae_said_by(enum vae_source source, const char *choice);
const char *vae_source_name(enum vae_source source); /* "default", "setting", ... */

#endif
