/* vae_resolution — resolves a VAE choice to the checkpoint's own VAE or to a file, with the reason.
 *
 * The result depends on the choice, the checkpoint's path, the VAE directory and the files that exist. Nothing
 * is changed and no file is opened; whether the file is complete and compatible is checked later.
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
 * In the last two rows a diffusers VAE directory (config.json and diffusion_pytorch_model.*) counts as
 * a file whose name has no extension; so does a directory that has such a VAE in vae/ (in the VAE directory only
 * if it is a diffusers pipeline, with model_index.json). Files inside these are not found by name. A config.json
 * alone is not a VAE.
 *
 * Source: docs/MEMORY.md; what goes wrong elsewhere: docs/PITFALLS.md.
 */
#ifndef SWITCH_VAE_RESOLUTION_H
#define SWITCH_VAE_RESOLUTION_H

#include <stdbool.h>

#include "darkroom/darkroom.h"
#include "pipeline/vae_said.h"
#include "switch/vae_folder.h"

struct vae_resolution_request {
    const char *choice;     /* NULL means automatic */
    const char *checkpoint; /* path */
    const char *vae_folder; /* may be NULL or absent: no folder */
    /* What lies in that folder, where it was read before; NULL: it is read for this alone. */
    const struct folder_listing *folder;
    const struct cancel *cancel; /* of that reading; may be NULL */
};

/* Errors: DR_NOT_FOUND (names the searched places), DR_BAD_INPUT (two candidates: lists both; an
 * empty or overlong choice), DR_CANCELLED, DR_NOMEM. If a limit ended the search of the directory, the
 * reason or the error says so. */
enum dr_code vae_resolve(struct vae_resolution *resolution,
                         const struct vae_resolution_request *request,
                         struct dr_error *err) DR_MUST_CHECK;

/* Every file that `automatic` would look at beside the checkpoint and in the folder, and that
 * exists; calls found for each in order of preference. For inspect. Errors: DR_CANCELLED, DR_NOMEM. */
enum dr_code vae_neighbours(const struct vae_resolution_request *request,
                            void (*found)(void *cookie, const char *path), void *cookie,
                            struct dr_error *err) DR_MUST_CHECK;

#endif
