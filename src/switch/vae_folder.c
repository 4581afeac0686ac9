#include "switch/vae_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/path_error.h"
#include "base/xdg.h"
#include "weights/hub_cache.h"

/* ---- what counts as a VAE ---------------------------------------------------------------- */

static const char *const extensions[] = {".safetensors", ".sft", ".gguf", ".ckpt",
                                         ".pt",          ".pth", ".bin"};

const char *vae_extension(const char *name)
{
    const char *const dot = strrchr(name, '.');
    if (!dot || dot == name) return NULL;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; ++i)
        if (strcasecmp(dot, extensions[i]) == 0) return dot;
    return NULL;
}

bool vae_is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? S_ISREG(status.st_mode) : path_is_broken(path);
}

static bool has_file(const char *folder, const char *name)
{
    char path[DR_PATH_BYTES];
    struct stat status;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && lstat(path, &status) == 0 &&
           vae_is_file(path);
}

static int is_diffusers_file(const struct dirent *entry)
{
    return strncmp(entry->d_name, "diffusion_pytorch_model", 23) == 0;
}

/* A config.json alone is not enough: download programs leave one beside other files. */
static bool has_network(const char *folder)
{
    struct dirent **entries = NULL;
    if (!has_file(folder, "config.json")) return false;
    const int count = scandir(folder, &entries, is_diffusers_file, NULL);
    for (int i = 0; i < count; ++i)
        free(entries[i]);
    free(entries);
    return count > 0;
}

bool vae_find_in(const char *folder, char path[static DR_PATH_BYTES])
{
    if (hub_cache_resolve(folder, path, DR_PATH_BYTES, NULL) != DR_OK) return false;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        --length;
    if (length + sizeof "/vae" > DR_PATH_BYTES) return false;
    path[length] = '\0';
    if (has_network(path)) return true;
    memcpy(path + length, "/vae", sizeof "/vae");
    return has_network(path);
}

/* ---- the folder -------------------------------------------------------------------------- */

/* One VAE, or a directory to search. The other networks of a diffusers pipeline are not VAEs. */
static enum folder_verdict judge_folder(const char *path,
                                        char taken[static DR_PATH_BYTES])
{
    if (hub_cache_is_top(path) && vae_find_in(path, taken)) return FOLDER_TAKE;
    if (!has_network(path) && !has_file(path, "model_index.json")) return FOLDER_ENTER;
    return vae_find_in(path, taken) ? FOLDER_TAKE : FOLDER_SKIP;
}

static bool is_vae(const char *path, const char *name)
{
    return vae_extension(name) && vae_is_file(path);
}

#define WHAT "VAE directory"

enum dr_code vae_folder_read(struct folder_listing *folder, const char *path,
                             const struct cancel *cancel, struct dr_error *err)
{
    const struct folder_walk how = {.what = WHAT,
                                    .is_file = is_vae,
                                    .judge_folder = judge_folder,
                                    .cancel = cancel};
    return folder_listing_read(folder, path, &how, err);
}

const char *vae_folder_left_out(const struct folder_listing *folder,
                                char text[static DR_TEXT_BYTES])
{
    return folder_listing_left_out(folder, WHAT, text);
}

void vae_folder_find(const char *option, const char *setting, char *folder,
                     size_t folder_bytes)
{
    (void)xdg_choose(option, "DARKROOM_VAE_DIR", setting, "vae", folder, folder_bytes);
}
