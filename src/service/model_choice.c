#include "service/model_choice.h"

#include <stdio.h>
#include <string.h>

#include "service/failure.h"

static enum dr_code take_the_first(struct model_folders *folders,
                                   char path[DR_PATH_BYTES], struct dr_error *err)
{
    const struct model_snapshot *const snapshot = model_folders_hold(folders);
    const size_t count = snapshot->model_count;
    size_t i = 0;
    while (i < count && *snapshot->models[i].problem)
        ++i;
    if (i < count) snprintf(path, DR_PATH_BYTES, "%s", snapshot->models[i].path);
    model_folders_drop(folders, snapshot);
    if (i < count) return DR_OK;
    return failure(
        err, DR_NOT_FOUND,
        "there is no model (%zu files were found, and none can be used): put "
        "a checkpoint into a directory that --models names",
        count);
}

enum dr_code model_choice_path(struct option_list *options,
                               struct model_folders *folders, char path[DR_PATH_BYTES],
                               struct dr_error *err)
{
    option_list_get(options, "sd_model_checkpoint", path, DR_PATH_BYTES);
    return *path ? DR_OK : take_the_first(folders, path, err);
}
