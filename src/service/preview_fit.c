#include "service/preview_fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/option_store.h"

enum {
    CHANNELS = 4,
    PIXELS = 8, /* of a picture's side for one of the latents */
    TEXT_BYTES = 512
};

void preview_fit_finish(struct preview_fit *fit)
{
    free(fit->latents);
    *fit = (struct preview_fit){0};
}

void preview_fit_take_latents(struct preview_fit *fit, const struct dr_preview *preview)
{
    if (fit->is_fitted || preview->step != preview->step_count) return;
    const size_t bytes =
        sizeof(float) * CHANNELS * (size_t)preview->height * (size_t)preview->width;
    free(fit->latents);
    fit->latents = malloc(bytes);
    if (!fit->latents) return;
    memcpy(fit->latents, preview->latents, bytes);
    fit->image = preview->image;
    fit->height = preview->height;
    fit->width = preview->width;
}

void preview_fit_take_image(struct preview_fit *fit, int32_t index, const float *rgb,
                            int32_t width, int32_t height)
{
    if (fit->is_fitted || !fit->latents || fit->image != index ||
        width != fit->width * PIXELS || height != fit->height * PIXELS)
        return;
    fit->is_fitted =
        preview_map_fit(&fit->map, fit->latents, rgb, fit->height, fit->width);
}

/* ---- in the store ------------------------------------------------------------------------ */

static void name_of(const char *digest, char name[static 96])
{
    snprintf(name, 96, "preview_map %.64s", digest);
}

struct search {
    char name[96];
    struct preview_map map;
    bool is_found;
};

static void look(void *cookie, const char *name, const char *value)
{
    struct search *const search = cookie;
    if (strcmp(name, search->name) == 0)
        search->is_found = preview_map_read(&search->map, value);
}

bool preview_fit_recall(struct store *store, const char *digest,
                        struct preview_map *map)
{
    struct search search = {.is_found = false};
    if (!*digest) return false;
    name_of(digest, search.name);
    if (option_store_read(store, look, &search, NULL) != DR_OK || !search.is_found)
        return false;
    *map = search.map;
    return true;
}

void preview_fit_keep(struct store *store, const char *digest,
                      const struct preview_map *map)
{
    char name[96], text[TEXT_BYTES];
    if (!*digest) return;
    name_of(digest, name);
    preview_map_print(map, text, sizeof text);
    (void)!option_store_write(store, name, text, NULL);
}
