#include "service/model_choice.h"

#include <stdio.h>

#include "service/failure.h"

/* Nothing was chosen: with one usable model there is no question. */
static enum dr_code take_the_only(struct model_folders *folders,
                                  char path[DR_PATH_BYTES], struct dr_error *err)
{
    const struct model_snapshot *const snapshot = model_folders_hold(folders);
    const struct listed_checkpoint *only = NULL;
    size_t usable = 0;
    for (size_t i = 0; i < snapshot->model_count; ++i) {
        if (*snapshot->models[i].problem) continue;
        only = &snapshot->models[i];
        ++usable;
    }
    enum dr_code code = DR_OK;
    if (usable == 1)
        snprintf(path, DR_PATH_BYTES, "%s", only->path);
    else
        code = failure(err, DR_NOT_FOUND,
                       usable ? "no model was chosen, and there are %zu: set "
                                "sd_model_checkpoint to one of them"
                              : "there is no model (%zu files can be used): put a "
                                "checkpoint into a directory given by --models",
                       usable);
    model_folders_drop(folders, snapshot);
    return code;
}

enum dr_code model_choice_path(struct option_list *options,
                               struct model_folders *folders, char path[DR_PATH_BYTES],
                               struct dr_error *err)
{
    option_list_get(options, "sd_model_checkpoint", path, DR_PATH_BYTES);
    return *path ? DR_OK : take_the_only(folders, path, err);
}
