/* Which VAEs are in a VAE directory, whatever the model: dr_vae_files_list. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "darkroom/darkroom.h"
#include "switch/settings.h"
#include "switch/vae_folder.h"

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the list of VAEs");
}

static uint64_t file_bytes(const struct folder_entry *entry)
{
    struct stat status;
    return !entry->is_folder && stat(entry->path, &status) == 0
               ? (uint64_t)status.st_size
               : 0;
}

static enum dr_code copy_entries(const struct folder_listing *folder,
                                 struct dr_vae_files *list, struct dr_error *err)
{
    list->files = calloc(folder->count + 1, sizeof *list->files);
    for (size_t i = 0; list->files && i < folder->count; ++i) {
        struct dr_vae_file *const file = &list->files[list->count++];
        *file = (struct dr_vae_file){.name = strdup(folder->entries[i].name),
                                     .path = strdup(folder->entries[i].path),
                                     .bytes = file_bytes(&folder->entries[i])};
        if (!file->name || !file->path) return no_memory(err);
    }
    return list->files ? DR_OK : no_memory(err);
}

enum dr_code dr_vae_files_list(const char *vae_folder, const char *settings_path,
                               struct dr_vae_files *list, struct dr_error *err)
{
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    struct folder_listing folder = {0};
    *list = (struct dr_vae_files){0};
    if (!settings) return no_memory(err);
    enum dr_code code = dr_settings_read(settings_path, settings, err);
    if (code == DR_OK) {
        vae_folder_find(vae_folder, settings->vae_folder, list->folder,
                        sizeof list->folder);
        code = vae_folder_read(&folder, list->folder, NULL, err);
    }
    if (code == DR_OK) code = copy_entries(&folder, list, err);
    folder_listing_free(&folder);
    dr_settings_free(settings);
    free(settings);
    if (code != DR_OK) dr_vae_files_free(list);
    return code;
}

void dr_vae_files_free(struct dr_vae_files *list)
{
    if (!list) return;
    for (size_t i = 0; i < list->count; ++i) {
        free(list->files[i].name);
        free(list->files[i].path);
    }
    free(list->files);
    *list = (struct dr_vae_files){0};
}
