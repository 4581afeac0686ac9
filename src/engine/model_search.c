#include "engine/model_search.h"

#include <stdlib.h>

#include "base/error.h"
#include "engine/engine.h"
#include "switch/settings.h"

enum dr_code model_search_open(struct model_search **out,
                               const struct dr_models_options *options,
                               struct dr_error *err)
{
    static const struct dr_models_options none;
    char packs[DR_PATH_BYTES];
    const struct dr_models_options *const how = options ? options : &none;
    struct model_search *const search = calloc(1, sizeof *search);
    *out = search;
    if (!search) return error_set(err, DR_NOMEM, "no memory for the list of models");
    search->only_names = how->only_names != 0;
    enum dr_code code = dr_settings_read(how->settings_path, &search->settings, err);
    if (code == DR_OK)
        code = model_folder_read(&search->folder, how->model_folders, &search->settings,
                                 err);
    engine_find_pack_folder(how->pack_folder, packs, sizeof packs);
    pack_store_open(&search->store, packs);
    return code;
}

void model_search_close(struct model_search *search)
{
    if (!search) return;
    model_folder_free(&search->folder);
    dr_settings_free(&search->settings);
    free(search);
}
