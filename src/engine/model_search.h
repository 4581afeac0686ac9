/* model_search — where models are looked for: the directories, the settings, and the memory of digests.
 *
 * One thread. Memory: model_search_close.
 */
#ifndef ENGINE_MODEL_SEARCH_H
#define ENGINE_MODEL_SEARCH_H

#include <stdbool.h>

#include "darkroom/darkroom.h"
#include "switch/model_folder.h"
#include "weights/pack_store.h"

struct model_search {
    bool only_names; /* complete ones */
    struct dr_settings settings;
    struct model_folder folder;
    struct pack_store store;
};

/* options: NULL for none. *out is to be closed on error too; NULL is fine. Errors: DR_NOMEM, DR_BAD_INPUT (the settings
 * are damaged). */
enum dr_code model_search_open(struct model_search **out,
                               const struct dr_models_options *options,
                               struct dr_error *err) DR_MUST_CHECK;
void model_search_close(struct model_search *search);

#endif
