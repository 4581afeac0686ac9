/* vae_file — an opened VAE file or diffusers VAE directory: header and spec, without weights.
 *
 * An override is made from one. Two may be open at the same time: the setting's and the job's. The slot
 * knows whose weights are in memory.
 */
#ifndef PIPELINE_VAE_FILE_H
#define PIPELINE_VAE_FILE_H

#include "darkroom/darkroom.h"
#include "model/vae.h"
#include "pipeline/slot.h"

struct vae_file {
    char path[DR_PATH_BYTES];
    struct checkpoint checkpoint;
    struct vae_spec *spec;
    struct source source;
    bool forced;                  /* the caller requested no latent probe */
    char warnings[DR_TEXT_BYTES]; /* as struct pipeline's */
};

/* Open it and check that it is complete: every tensor of the architecture with the right shape.
 * options->family: of the checkpoint that it will serve; gives the scale factor where the file does not.
 * Errors: tensor_file_open's, DR_INCOMPLETE (lists tensors), DR_UNSUPPORTED. */
struct vae_file_options {
    enum family family;
    enum dtype dtype;
    enum component_storage storage;
    const struct pack_store *packs; /* borrowed; NULL: none */
    bool force; /* no latent probe, and findings of meaning.h are warnings */
};
enum dr_code vae_file_open(struct vae_file **out, const char *path,
                           const struct vae_file_options *options,
                           struct dr_error *err) DR_MUST_CHECK;
void vae_file_close(struct vae_file **file); /* NULL and *file == NULL are fine */

/* Is it still the file or folder at this path, unchanged? Then choosing it again needs no read. */
bool vae_file_is(const struct vae_file *file, const char *path);

#endif
