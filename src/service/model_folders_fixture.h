/* model_folders_fixture — directories with two tiny models (a, b) and a file that is named as a VAE (sharp), in the scratch
 * folder. */
#ifndef SERVICE_MODEL_FOLDERS_FIXTURE_H
#define SERVICE_MODEL_FOLDERS_FIXTURE_H

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ready_checkpoint.h"
#include "scratch_folder.h"
#include "service/model_folders.h"

/* Once in a program. The caller's to destroy. */
static inline struct model_folders *model_folders_fixture(void)
{
    static char models[512], vaes[512];
    static const char *const model_paths[] = {models, NULL}, *const vae_paths[] = {
                                                                 vaes, NULL};
    char ready[512];
    struct model_folders *folders = NULL;
    ready_checkpoint_path(ready, sizeof ready, "--family sd15 --size least --seed 1");
    (void)snprintf(models, sizeof models, "%s", scratch_path("models"));
    (void)snprintf(vaes, sizeof vaes, "%s", scratch_path("vae"));
    check_int(mkdir(models, 0700), ==, 0);
    check_int(mkdir(vaes, 0700), ==, 0);
    check_int(symlink(ready, scratch_path("models/a.safetensors")), ==, 0);
    check_int(symlink(ready, scratch_path("models/b.safetensors")), ==, 0);
    scratch_write(scratch_path("vae/sharp.safetensors"), "sharp", 5);
    const struct model_folders_options options = {.models = model_paths,
                                                  .vaes = vae_paths,
                                                  .pack_folder = "",
                                                  .settings_path = ""};
    check_int(model_folders_create(&folders, &options, NULL), ==, DR_OK);
    return folders;
}

#endif
