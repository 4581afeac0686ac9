#include "pipeline/vae_said.h"

#include <stdio.h>

struct vae_said vae_said_by(enum vae_source source, const char *choice)
{
    struct vae_said said = {.source = source};
    (void)snprintf(said.choice, sizeof said.choice, "%s", choice);
    return said;
}

const char *vae_source_name(enum vae_source source)
{
    switch (source) {
    case VAE_SAID_DEFAULT: return "default";
    case VAE_SAID_SETTING: return "setting";
    case VAE_SAID_MODEL: return "model";
    case VAE_SAID_JOB: return "job";
    }
    return "";
}
