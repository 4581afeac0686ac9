#include "engine/vae_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum dr_code vae_file_open(struct vae_file **out, const char *path, enum family family,
                           enum dtype dtype, struct dr_error *err)
{
    struct vae_file *file = calloc(1, sizeof *file);
    if (!file) return error_set(err, DR_NOMEM, "no memory to open %.400s", path);
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    const struct component_index *const index = &file->checkpoint.components[ROLE_VAE];
    enum dr_code code = checkpoint_open(&file->checkpoint, path, err);
    if (code != DR_OK) goto out;
    if (index->count == 0) {
        code = error_set(err, DR_INCOMPLETE, "%.600s has no VAE: it is a %s file", path,
                         family_name(file->checkpoint.family));
        goto out;
    }
    code = vae_spec_create(&file->spec, index, family, dtype, err);
    if (code != DR_OK) {
        error_prefix(err, "%.300s", path);
        goto out;
    }
    file->source = (struct source){.name = "vae (override)",
                                   .spec = vae_component(file->spec),
                                   .path = file->path};
    *out = file;
    file = NULL;
out:
    vae_file_close(&file);
    return code;
}

void vae_file_close(struct vae_file **file)
{
    if (!file || !*file) return;
    vae_spec_destroy(&(*file)->spec);
    checkpoint_close(&(*file)->checkpoint);
    free(*file);
    *file = NULL;
}

bool vae_file_is(const struct vae_file *file, const char *path)
{
    if (!file) return false;
    struct stat status;
    const struct file_identity *const known = &file->checkpoint.file.shards[0].identity;
    return stat(path, &status) == 0 && (uint64_t)status.st_dev == known->device &&
           (uint64_t)status.st_ino == known->inode &&
           tensor_file_check(&file->checkpoint.file, NULL) == DR_OK;
}
