/* model_choice — which model counts now.
 *
 * Threads: any.
 */
#ifndef SERVICE_MODEL_CHOICE_H
#define SERVICE_MODEL_CHOICE_H

#include <darkroom/darkroom.h>

#include "service/model_folders.h"
#include "service/option_list.h"

/* The path of the model that the options name, else of the first one in the list that can be used. Errors: DR_NOT_FOUND (there
 * is none). Whether the file is still there is asked when it is loaded. */
enum dr_code model_choice_path(struct option_list *options,
                               struct model_folders *folders, char path[DR_PATH_BYTES],
                               struct dr_error *err) DR_MUST_CHECK;

#endif
