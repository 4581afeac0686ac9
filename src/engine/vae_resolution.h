/* vae_resolution — what a VAE choice means: the checkpoint's own, or a file; and why.
 *
 * A function of the choice, the checkpoint's path, the VAE folder and what files are there. It
 * changes nothing and opens no file; whether the file is whole and fits is asked later.
 *
 *     choice                              means
 *     none, default, built-in (any case)  base
 *     automatic, auto (any case)          <stem>.vae.safetensors|sft|ckpt|pt beside it;
 *                                         else <stem>.* or <stem>.vae.* in the VAE folder;
 *                                         else base
 *     a name                              that file in the VAE folder or below, with or without
 *                                         its extension; two candidates are an error
 *     a path (has a '/', or names a       that file
 *     file here and none in the folder)
 *
 * A folder as diffusers writes it for a VAE (config.json and diffusion_pytorch_model.*) counts as
 * a file in the last two rows, its name whole; so does a folder with such a one as vae/ in it, in
 * the VAE folder a pipeline's (model_index.json). Neither is looked into for names. A config.json
 * alone is no VAE.
 *
 * Source: docs/MEMORY.md; what goes wrong elsewhere: docs/PITFALLS.md.
 */
#ifndef ENGINE_VAE_RESOLUTION_H
#define ENGINE_VAE_RESOLUTION_H

#include <stdbool.h>

#include "darkroom/darkroom.h"
#include "engine/vae_folder.h"

/* What was said, and by whom. */
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
struct vae_said vae_said_by(enum vae_source source, const char *choice);
const char *vae_source_name(enum vae_source source); /* "default", "setting", ... */

struct vae_resolution_request {
    const char *choice;     /* NULL means automatic */
    const char *checkpoint; /* path */
    const char *vae_folder; /* may be NULL or absent: no folder */
    /* What lies in that folder, where it was read before; NULL: it is read for this alone. */
    const struct vae_folder *folder;
    const atomic_bool *cancel; /* of that reading; may be NULL */
};

struct vae_resolution {
    bool is_base;
    bool is_explicit; /* a name or a path was said: failures are errors, not warnings */
    char path[DR_PATH_BYTES]; /* of the file or folder, where not base */
    char reason[DR_TEXT_BYTES];
};

/* Errors: DR_NOT_FOUND (says where it looked), DR_BAD_INPUT (two candidates: lists both; an
 * empty or overlong choice), DR_CANCELLED, DR_NOMEM. What a limit on the folder left out is in the
 * reason or the error. */
enum dr_code vae_resolve(struct vae_resolution *resolution,
                         const struct vae_resolution_request *request,
                         struct dr_error *err) DR_MUST_CHECK;

/* "sd15" of "/models/sd15.safetensors" and of "/models/sd15/": the name without folder and the last
 * extension. */
void path_stem(const char *path, char *stem, size_t stem_bytes);
/* "sd15.safetensors": a pointer into path. */
const char *path_name(const char *path);
/* One entry of one folder, however both are spelled ("m.ckpt", "./m.ckpt", through a link to the
 * folder). A link to the file is another: neighbours and the name in pictures go by it. */
bool path_is_same(const char *a, const char *b);

/* Two paths of one file? */
bool path_is_same_file(const char *a, const char *b);

/* Every file that `automatic` would look at beside the checkpoint and in the folder, and that
 * exists; calls found for each in order of preference. For inspect. Errors: DR_CANCELLED, DR_NOMEM. */
enum dr_code vae_neighbours(const struct vae_resolution_request *request,
                            void (*found)(void *cookie, const char *path), void *cookie,
                            struct dr_error *err) DR_MUST_CHECK;

#endif
