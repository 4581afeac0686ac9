#include "pipeline/vae_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum dr_code check_meaning(struct vae_file *file, bool force,
                                  struct dr_error *err)
{
    /* In a complete checkpoint only the VAE's tensors count; in a VAE file all of them do. */
    const bool is_alone = file->checkpoint.family == FAMILY_VAE;
    const unsigned roles = 1U << ROLE_VAE | (is_alone ? 1U << ROLE_COUNT : 0U);
    const enum dr_code code =
        component_note_unused(vae_component(file->spec), &file->checkpoint, err);
    return code == DR_OK ? meaning_check(&file->checkpoint, roles, force,
                                         file->warnings, sizeof file->warnings, err)
                         : code;
}

enum dr_code vae_file_open(struct vae_file **out, const char *path,
                           const struct vae_file_options *options, struct dr_error *err)
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
    code = vae_spec_create(&file->spec, index, options->family, options->dtype, err);
    if (code == DR_OK) code = vae_spec_store(file->spec, options->storage, err);
    if (code != DR_OK) {
        error_prefix(err, "%.300s", path);
        goto out;
    }
    code = check_meaning(file, options->force, err);
    if (code != DR_OK) goto out;
    file->forced = options->force;
    file->source = (struct source){.name = "vae (override)",
                                   .spec = vae_component(file->spec),
                                   .path = file->path};
    component_pack_init(&file->source.pack, options->packs);
    *out = file;
    file = NULL;
out:
    vae_file_close(&file);
    return code;
}

void vae_file_close(struct vae_file **file)
{
    if (!file || !*file) return;
    source_finish(&(*file)->source);
    vae_spec_destroy(&(*file)->spec);
    checkpoint_close(&(*file)->checkpoint);
    free(*file);
    *file = NULL;
}

/* Compared by what the names show now, since a folder has no identity of its own; that this is
 * still what was opened is tensor_file_check's to say. */
bool vae_file_is(const struct vae_file *file, const char *path)
{
    struct stat now, known;
    return file && stat(path, &now) == 0 && stat(file->path, &known) == 0 &&
           now.st_dev == known.st_dev && now.st_ino == known.st_ino &&
           tensor_file_check(&file->checkpoint.file, NULL) == DR_OK;
}
