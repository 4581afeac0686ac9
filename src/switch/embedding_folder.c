#include "switch/embedding_folder.h"

#include <string.h>
#include <strings.h>

#include "base/xdg.h"
#include "switch/vae_folder.h"

void embedding_folder_find(const char *option, char folder[static DR_PATH_BYTES])
{
    (void)xdg_choose(option, "DARKROOM_EMBEDDING_DIR", NULL, "embeddings", folder,
                     DR_PATH_BYTES);
}

static bool is_embedding(const char *path, const char *name)
{
    static const char *const extensions[] = {".safetensors", ".pt", ".bin"};
    const char *const dot = strrchr(name, '.');
    for (size_t i = 0; dot && dot != name && i < sizeof extensions / sizeof *extensions;
         ++i)
        if (strcasecmp(dot, extensions[i]) == 0) return vae_is_file(path);
    return false;
}

enum dr_code embedding_folder_read(struct folder_listing *folder, const char *path,
                                   struct dr_error *err)
{
    const struct folder_walk how = {.what = EMBEDDING_FOLDER_WHAT,
                                    .takes_several = true,
                                    .is_file = is_embedding};
    return folder_listing_read(folder, path, &how, err);
}
