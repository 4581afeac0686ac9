#include "switch/lora_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/path.h"
#include "base/xdg.h"
#include "switch/vae_folder.h"

void lora_folder_find(const char *option, char folder[static DR_PATH_BYTES])
{
    (void)xdg_choose(option, "DARKROOM_LORA_DIR", NULL, "lora", folder, DR_PATH_BYTES);
}

static bool is_lora(const char *path, const char *name)
{
    return vae_extension(name) && vae_is_file(path);
}

enum dr_code lora_folder_read(struct folder_listing *folder, const char *path,
                              struct dr_error *err)
{
    const struct folder_walk how = {.what = "LoRA directory",
                                    .takes_several = true,
                                    .is_file = is_lora};
    return folder_listing_read(folder, path, &how, err);
}

/* 3: the name, 2: the stem; without regard to case, 1. */
static int rate(const struct folder_entry *entry, const char *name)
{
    char stem[256];
    path_stem(entry->name, stem, sizeof stem);
    if (strcmp(entry->name, name) == 0) return 3;
    if (strcmp(stem, name) == 0) return 2;
    return strcasecmp(stem, name) == 0 || strcasecmp(entry->name, name) == 0;
}

enum dr_code lora_folder_match(const struct folder_listing *folder,
                               const char *directory, const char *name,
                               char path[static DR_PATH_BYTES], struct dr_error *err)
{
    const struct folder_entry *best = NULL, *other = NULL;
    int most = 0;
    for (size_t i = 0; i < folder->count; ++i) {
        const int rating = rate(&folder->entries[i], name);
        if (rating == 0 || rating < most) continue;
        other = rating == most ? best : NULL;
        best = &folder->entries[i];
        most = rating;
    }
    if (!best)
        return error_set(
            err, DR_NOT_FOUND,
            "there is no LoRA \"%.200s\" in %.400s; `darkroom loras` lists "
            "those that are there",
            name, directory[0] ? directory : "any directory");
    if (other)
        return error_set(err, DR_BAD_INPUT,
                         "the LoRA \"%.200s\" could be %.300s or %.300s; give the path",
                         name, other->path, best->path);
    (void)snprintf(path, DR_PATH_BYTES, "%s", best->path);
    return DR_OK;
}

/* The number behind the last ':' of the first `bytes` bytes; false where there is none. */
static bool last_number(const char *text, size_t *bytes, double *out)
{
    char number[64];
    size_t at = *bytes;
    while (at > 0 && text[at - 1] != ':')
        --at;
    const size_t length = *bytes - at;
    if (at < 2 || length == 0 || length >= sizeof number) return false;
    memcpy(number, text + at, length);
    number[length] = '\0';
    char *end = NULL;
    const double value = strtod(number, &end);
    if (*end || number[0] == ' ') return false;
    *out = value;
    *bytes = at - 1;
    return true;
}

size_t lora_text_split(const char *text, double *unet, double *text_weight)
{
    size_t bytes = strlen(text);
    double last = 1, before = 1;
    *unet = *text_weight = 1;
    if (!last_number(text, &bytes, &last)) return bytes;
    *unet = *text_weight = last;
    if (!last_number(text, &bytes, &before)) return bytes;
    *unet = before;
    *text_weight = last;
    return bytes;
}
